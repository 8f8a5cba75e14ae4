"""Some explained predictions, right and wrong, with all that a page shows of them."""

import pyarrow as pa

from tasks.tables.table import Column, Table


def gallery(methods: int, height: int, width: int) -> Table:
    """Declare the table for a number of methods and a map's size (height, width), in pixels.

    Lists have one item per method, in the order of ``methods``.

    >>> gallery(2, 64, 64).schema.field("maps").type.shape
    [2, 64, 64]
    """
    return Table(
        name="gallery",
        meaning="One row per explained test image and label that the report shows.",
        key=("image_id", "label"),
        rows_per_group=4,
        columns=(
            Column("image_id", pa.string(), "a chosen image"),
            Column("label", pa.string(), "the label explained, and predicted"),
            Column("targets", pa.list_(pa.string()), "the labels that the image has"),
            Column("correct", pa.bool_(), "whether `label` is one of them"),
            Column("probability", pa.float64(), "raw probability", low=0, high=1),
            Column("calibrated", pa.float64(), "calibrated probability", low=0, high=1),
            Column("pixels", pa.binary(), "the RGB pixels at working resolution, as PNG"),
            Column("truth", pa.binary(), "M as one-bit PNG, where there is one", null=True),
            Column("predicted", pa.binary(), "P as one-bit PNG, where there is one", null=True),
            Column("methods", pa.list_(pa.string()), "the methods, in the order of params.yaml"),
            Column("statuses", pa.list_(pa.string()), "each map's status"),
            Column("method_statuses", pa.list_(pa.string()), "what each method says of its map"),
            Column(
                "maps",
                pa.fixed_shape_tensor(pa.float16(), (methods, height, width)),
                "each map m̂; zeros where its status is not a value's",
                low=0,
                high=1,
            ),
            Column("tops", pa.list_(pa.binary()), "each top fraction T as one-bit PNG, or null"),
            Column("top_cells", pa.list_(pa.list_(pa.int32())), "each method's top cells, or null"),
            Column("iou_original", pa.list_(pa.float64()), "IoU of each T with M, or null"),
            Column("iou_segx", pa.list_(pa.float64()), "IoU of each T∩P with M, or null"),
            Column("c_iou", pa.list_(pa.float64()), "IoU of each T with P, or null"),
            Column("counts_paper", pa.list_(pa.int32()), "votes per cell, agreement.methods"),
            Column("valid_paper", pa.int32(), "methods of those that can vote", low=0),
            Column("counts_all", pa.list_(pa.int32()), "votes per cell, all methods"),
            Column("valid_all", pa.int32(), "methods that can vote", low=0),
        ),
    )
