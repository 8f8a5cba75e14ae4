"""The models of an audit: classifiers, the segmenter, their training and calibration.

``classifier`` says what a classifier is to everyone else; ``architectures``
builds networks by name; ``specification`` reads a registry's ``model.yaml``;
``training`` trains; ``calibration`` and ``thresholds`` turn scores into
probabilities and predictions; ``segmenter`` is the model that draws P.
Reading tables and writing artifacts belongs to ``tasks``.
"""

__all__ = [
    "architectures",
    "calibration",
    "classifier",
    "inference",
    "segmenter",
    "specification",
    "thresholds",
    "training",
    "weights",
]
