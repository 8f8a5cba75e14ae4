"""What every room stands on: git, checkouts, the Prefect server, the environment, locks, the voice.

What belongs here: what knows neither stages nor audits. What does not: anything that imports
another room.
"""
