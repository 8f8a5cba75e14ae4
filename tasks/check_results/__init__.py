"""Stage ``check_results``: the figures of an audit, before they are summarised."""
