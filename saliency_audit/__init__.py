"""How an audit of medical-image classifiers' explanations is computed.

The library works on arrays and tensors. It knows no Prefect, no DVC and no
disk layout, and it needs torch, numpy and pyarrow only: whatever else a part
uses is imported inside the function that uses it.

- ``datasets``: sources of images, masks and labels, and how they are split;
- ``models``: the classifiers under audit and the segmenter beside them;
- ``attribution``: one module per explanation method;
- ``measures``: saliency maps to numbers;
- ``faithfulness``: what a map says of the model it explains, by asking the model again;
- ``statistics``: many numbers to one statement;
- ``quality``: copies, masks that cannot be their image's, what stands apart, drift;
- ``plugins``: what other distributions register, by entry point;
- ``testing``: the checks that every method, dataset and architecture passes, a third party's too.

Importing this package imports nothing heavy.
"""

__version__ = "0.1.0"

__all__ = [
    "attribution",
    "compute",
    "datasets",
    "errors",
    "faithfulness",
    "inspection",
    "labelling",
    "measures",
    "models",
    "plugins",
    "problem",
    "progress",
    "quality",
    "statistics",
    "testing",
]
