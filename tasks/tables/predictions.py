"""What a classifier says of each image that it was not trained on."""

import pyarrow as pa

from tasks.tables.table import Column, Table

PREDICTIONS = Table(
    name="predictions",
    meaning="One row per image of tune, calibrate and test, and label.",
    key=("image_id", "label"),
    columns=(
        Column("image_id", pa.string(), "an image of the dataset"),
        Column("label", pa.string(), "a label of the classifier"),
        Column("group_id", pa.string(), "the image's patient or lesion"),
        Column("split", pa.string(), "tune, calibrate or test"),
        Column("label_index", pa.int32(), "position of the label among the scores", low=0),
        Column("score", pa.float64(), "the classifier's output before softmax or sigmoid"),
        Column("probability", pa.float64(), "raw probability", low=0, high=1),
        Column("calibrated", pa.float64(), "calibrated probability", low=0, high=1),
        Column(
            "threshold",
            pa.float64(),
            "τ_j; null where the highest score decides",
            null=True,
        ),
        Column("predicted", pa.bool_(), "whether the label is predicted"),
        Column("target", pa.bool_(), "whether the image has the label"),
        Column("chosen", pa.bool_(), "whether the image is one of those explained"),
        Column("explained", pa.bool_(), "whether a map is made for this row"),
    ),
)
