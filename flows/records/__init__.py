"""What DVC recorded: stages and digests of a checkout or a revision, and the files behind them.

What belongs here: reading dvc.lock and the cache, and putting entries in. What does not: running
anything.
"""
