"""Is a map faithful to the model, and does it pass the sanity checks? No ground truth is asked.

What belongs here probes a model, or the method that explains it, through a callable, and knows
neither architectures, methods nor files:

- ``map_status``: what a map is, before anything is read from it;
- ``scoring``: batched scores of changed images;
- ``baselines``: what a removed pixel may be replaced by;
- ``deletion_insertion``: the score while the most salient pixels are removed or inserted;
- ``imputation``: pixels filled in from their neighbours;
- ``road``: the score after removing and debiasing, most and least relevant first;
- ``sparseness``: how few pixels hold the saliency;
- ``sensitivity``: how far a map moves with an imperceptible change of the image;
- ``similarity``: how alike two maps are;
- ``repeatability``: how alike the maps of one image from several seeds are;
- ``weight_randomisation``: whether a map depends on what the model has learnt.

Of these the audit's stages use ``sparseness`` alone, for the profile that drift is counted from.
Whether a map meets a clinician's region belongs to ``measures``.
"""

__all__ = [
    "baselines",
    "deletion_insertion",
    "imputation",
    "repeatability",
    "road",
    "sensitivity",
    "similarity",
    "sparseness",
    "weight_randomisation",
]
