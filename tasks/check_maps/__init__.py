"""Stage ``check_maps``: the saliency maps of an audit, before anything is measured on them."""
