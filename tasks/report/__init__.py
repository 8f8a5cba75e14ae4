"""Stage ``report``: a dataset's page, tables and metrics, its classifiers side by side.

What belongs here words, draws and lays out numbers that ``tasks.summarise``
has made; it computes none but counts of the dataset. By part:

- ``inputs``: what the stage reads; ``dataset``: images, labels and splits, counted;
- ``numerals``: how a number is written; ``printed``: a table as HTML, CSV and Markdown;
- ``section``: a page is sections of tables, charts and galleries;
- ``data_section`` … ``provenance_section``: one module per section of the page;
- ``separators``: what the scores of Table 4 are called;
- ``headline``: the answer in a few sentences; ``papers``: what the papers printed;
- ``chart``, ``drawing``: charts as SVG; ``picture``: maps and masks as pixels;
- ``metrics``, ``plots``: what ``dvc metrics diff`` and ``dvc plots`` read;
- ``page`` and ``templates/``: HTML.
"""
