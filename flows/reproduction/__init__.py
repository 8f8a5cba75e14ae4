"""A revision rerun elsewhere, and what came out compared with what was recorded.

What belongs here: the rerun itself, and what it is for two artifacts to be the same. What does not:
what was recorded (``records``), and the words in which a person hears of it (``cli``).
"""
