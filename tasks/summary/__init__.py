"""An audit's summary as records: what ``tasks.summarise`` writes and the report reads.

What belongs here says what summary.json holds, and nothing of how it is
computed or printed. One module per part, as in ``tasks.summarise``;
``document`` is the whole, and reads and writes it.
"""
