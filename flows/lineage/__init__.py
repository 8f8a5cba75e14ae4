"""Where a number comes from: followed back by a person, and sent to a lineage back end.

What belongs here: the way from a result to the files behind it, checked. What does not: reading
what DVC recorded (``records``).
"""
