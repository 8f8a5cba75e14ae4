"""When and where the audit runs: Prefect flows over DVC's graph, and the command line.

What belongs here starts stages and watches them. What a stage does is
``tasks``; what a stage needs and makes is dvc.yaml.
"""
