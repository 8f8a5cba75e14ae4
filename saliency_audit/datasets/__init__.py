"""Sources of images, masks and labels, one module each, and how images are split.

What belongs here reads or draws one image after the other. Writing tables
belongs to ``tasks``.
"""
