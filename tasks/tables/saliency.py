"""Saliency maps of one method, quantised as docs/definitions.md says under Maps."""

import pyarrow as pa

from tasks.tables.table import Column, Table


def saliency(height: int, width: int) -> Table:
    """Declare the table of maps (height, width), in pixels.

    >>> saliency(64, 64).schema.field("map").type.shape
    [64, 64]
    """
    return Table(
        name="saliency",
        meaning="One row per explained image and label, for one method.",
        key=("image_id", "label"),
        rows_per_group=64,
        columns=(
            Column("image_id", pa.string(), "a chosen image"),
            Column("label", pa.string(), "the label explained"),
            Column("method", pa.string(), "the method's name in params.yaml"),
            Column(
                "map",
                pa.fixed_shape_tensor(pa.float16(), (height, width)),
                "m̂; zeros where the status is not a value's",
                low=0,
                high=1,
            ),
            Column("offset", pa.float64(), "minimum of the map before normalising", null=True),
            Column("scale", pa.float64(), "range of the map before normalising", null=True),
            Column("status", pa.string(), "ok, or what is special about the map's values"),
            Column("method_status", pa.string(), "ok, or what the method says of the map"),
            Column(
                "tie_share",
                pa.float64(),
                "share of the top fraction that ties decided",
                null=True,
                low=0,
                high=1,
            ),
            Column(
                "completeness",
                pa.float64(),
                "SHAP: sum of attributions minus the score's difference from the background",
                null=True,
            ),
            Column("pixel_sha256", pa.string(), "digest of the pixels that it was made of"),
            Column("model_digest", pa.string(), "the classifier's weights"),
            Column("method_digest", pa.string(), "the method with all its parameters"),
        ),
    )
