"""Scores that might tell right predictions from wrong ones, and what they are called.

Those of a map are declared in ``saliency_audit.measures.certainty_figures``;
here are those that ``tasks.summarise.certainty`` makes of them and of the
classifier, and the order of each table.
"""

from __future__ import annotations

from saliency_audit.measures.certainty_figures import CERTAINTY_FIGURES, MASK_FIGURES

_FIGURES = {figure.key: figure.title for figure in (*CERTAINTY_FIGURES, *MASK_FIGURES)}
#: Those that confound a score and do not come from the map itself.
_ASIDE = ("predicted_area", "c_iou_ceiling", "mean_mask_probability")

#: What each score is called, in the order of the table that prints all.
SCORES = {
    **{key: title for key, title in _FIGURES.items() if key not in _ASIDE},
    "c_iou_shuffled": "c_IoU, shuffled map",
    "c_iou_centred": "c_IoU, centred map",
    "c_auitc_shuffled": "c_AUITC, shuffled map",
    "c_auitc_centred": "c_AUITC, centred map",
    "predicted_area": _FIGURES["predicted_area"],
    "c_iou_ceiling": _FIGURES["c_iou_ceiling"],
    "mask_present": "P marks something",
    "mean_mask_probability": _FIGURES["mean_mask_probability"],
    "calibrated": "calibrated probability",
    "c_iou_and_calibrated": "c_IoU and probability",
    "c_auitc_and_calibrated": "c_AUITC and probability",
}
