"""Stages on other machines: sent to a work pool, taken and run there.

What belongs here: both ends of the way between a run and its workers. What does not: how a stage is
run by DVC (``execution.stage``) and who shares GPUs out (``execution.placement``).
"""
