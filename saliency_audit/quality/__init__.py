"""The quality of an audit: rules and comparisons that say whether it is as it should be."""
