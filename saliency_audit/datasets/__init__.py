"""Sources of images, masks and labels, one module each, and how images are split.

What belongs here reads or draws one image after the other. Writing tables
belongs to ``tasks``.
"""

__all__ = [
    "chestxdet",
    "folder",
    "ham10000",
    "phantom_chest",
    "phantom_skin",
    "registry",
    "sample",
    "splitting",
]
