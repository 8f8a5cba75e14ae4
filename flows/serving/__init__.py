"""What `saliency-audit serve` does: audits at their time and on events, and tells of them.

What belongs here: the schedule, the flows that a server starts, events, and who is told of what in
which words. What does not: how an audit is made (``history``) or run (``execution``).
"""
