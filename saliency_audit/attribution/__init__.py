"""Explanation methods, one module each, behind one small interface, and their registry.

What belongs here: from a classifier, images and labels to raw saliency maps
(``method.Method``), and from a raw map to the one that is stored (``maps``).
What is read from maps belongs to ``measures``. Modules import torch where they
use it, so that parameters can be checked without loading it.
"""

__all__ = [
    "attention_relevance",
    "attention_rollout",
    "captum",
    "gradcam",
    "gradcam_plus_plus",
    "hirescam",
    "integrated_gradients",
    "layercam",
    "lime",
    "maps",
    "method",
    "perturbation",
    "registry",
    "rise",
    "scorecam",
    "shap",
    "smoothgrad",
    "xgradcam",
]
