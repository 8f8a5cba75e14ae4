"""Stage ``check_inputs``: a dataset and its split, held to what training and testing rest on."""
