"""The quality of an audit: rules and comparisons that say whether it is as it should be."""

__all__ = [
    "drift",
    "mask_plausibility",
    "near_duplicates",
    "outliers",
]
