"""The kinds of sources, by the name that params.yaml gives them.

Classes are named, not imported: choosing one does not load the others.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Kind to ``module:class``; the class is the dataclass of its parameters.
SOURCES: Mapping[str, str] = {
    "phantom_skin": "saliency_audit.datasets.phantom_skin:PhantomSkin",
    "phantom_chest": "saliency_audit.datasets.phantom_chest:PhantomChest",
    "ham10000": "saliency_audit.datasets.ham10000:Ham10000",
    "chestxdet": "saliency_audit.datasets.chestxdet:ChestXDet",
    "folder": "saliency_audit.datasets.folder:Folder",
}
