"""Audits as a series: one of a named revision, those that were made, and what they were of.

What belongs here: the worktree and branch of an audit, its subject, and weights and data that are
newer than a revision. What does not: when audits are made (``serving``).
"""
