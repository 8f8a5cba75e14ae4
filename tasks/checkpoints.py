"""Where a training keeps its state, so that a killed one goes on and a finished one is not redone.

The name is a digest of all that decides the weights: input files, parameters,
code and the torch version. Whatever else changes, the training is another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks import places
from tasks.artifacts import file_sha256


def checkpoint(stage: str, name: str, inputs: Iterable[Path], parameters: Any, code: Path) -> Path:
    """Give the file of a training's state; those of its former versions are removed.

    ``inputs``: files that the training reads; ``parameters``: anything JSON can hold; ``code``:
    the digests of its modules.
    """
    import torch

    content = {
        "inputs": [file_sha256(path) for path in inputs],
        "parameters": parameters,
        "code": file_sha256(code),
        "torch": str(torch.__version__),
    }
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:20]
    folder = places.LOCAL / "checkpoints" / stage / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{key}.pt"
    for former in folder.glob("*.pt*"):
        if not former.name.startswith(key):
            former.unlink(missing_ok=True)
    return kept
