"""Many numbers to one statement: quality of predictions, risk and coverage, resampling by group.

What belongs here reads columns of numbers and knows neither maps nor models:

- ``classification``: what predicted labels get right (precision, recall, F1, confusion);
- ``probabilities``: what probabilities are worth (reliability, calibration error, Brier, log loss);
- ``ranking``: what scores put in order (AUROC, average precision, risk and coverage);
- ``means``: means with their counts, over rows and over labels;
- ``resampling``: how far a figure would move with other patients (bootstrap over groups).
"""

__all__ = [
    "classification",
    "means",
    "probabilities",
    "ranking",
    "resampling",
]
