"""Stage ``check_models``: two models and what they say, before anything is explained."""
