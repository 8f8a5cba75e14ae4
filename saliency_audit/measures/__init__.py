"""Saliency maps to numbers: pure functions on arrays, one module per measure of docs/definitions.

What belongs here reads one map (and masks) and knows neither models nor files:

- ``arrays``: what maps and masks look like, and the checks that hold them to it;
- ``status``: the words that say why a value is missing or special;
- ``top_fraction``: the explanation T, the share of a map that is kept;
- ``overlap``: IoU and its relatives of two masks, and their ceilings;
- ``area_curve``: IoU with a mask while the kept area grows pixel by pixel;
- ``auitc``: areas under the IoU-threshold curve;
- ``segx``: a map restricted to a predicted mask;
- ``controls``: maps that know nothing of the image, with the values of the one that does;
- ``mask_probability``: how sure the segmenter is of P;
- ``explained``: an explanation beside a mask, under each reading; ``scores``: figures of it;
- ``figure``: what is stated of a figure; ``localisation_figures`` and ``certainty_figures``
  declare them, and everything that computes, stores, checks or prints figures reads them there;
- ``localisation``: all of them for one image and label, against ground truth (Table 3);
- ``segu``: the same without ground truth, as a score of certainty (Table 4);
- ``grid``: cells of a map and the agreement of methods (XAIMed);
- ``confidence``: three words for a probability (XAIMed).

Statements over many images belong to ``statistics``.
"""

__all__ = [
    "arrays",
    "auitc",
    "confidence",
    "controls",
    "grid",
    "localisation",
    "overlap",
    "segu",
    "segx",
    "status",
    "top_fraction",
]
