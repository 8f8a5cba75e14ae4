"""Stage ``check_drift``: a dataset's profile, compared with the one that a person accepted."""
