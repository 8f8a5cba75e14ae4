"""Stage ``summarise``: an audit's rows become the numbers and the gallery of the report.

What belongs here reads an audit's tables and gives the records of
``tasks.summary``, each number with the count behind it; how they are worded,
drawn or laid out belongs in ``tasks.report``. One module per part of the report:

- ``rows``: the audit's tables joined to its cohort;
- ``figures``: means of columns with nulls;
- ``classification``, ``cohort``, ``maps``: what was predicted, what counts, how the maps are;
- ``localisation``: the paper's Table 3 with its controls;
- ``certainty``: the paper's Table 4 with its confounders; ``separation``: right against wrong;
- ``agreement``: where the methods agree;
- ``gallery``: some predictions to look at.
"""
