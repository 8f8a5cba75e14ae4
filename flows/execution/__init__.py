"""One run of the graph in one checkout: what is stale, what fits the machine, and how it went.

What belongs here: the Prefect flow of a run, a stage as a process, and what is kept and shown of a
run. What does not: anything that knows of several revisions, audits or machines.
"""
