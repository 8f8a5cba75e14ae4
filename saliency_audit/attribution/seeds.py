"""Random numbers of one image: made of the method's seed and the image's key, of nothing else."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def generator(seed: int, key: str, stream: int) -> np.random.Generator:
    """Give the generator of an image's stream number ``stream`` of random numbers.

    What is drawn alternately comes from streams of its own, so that it does not depend on how
    many are drawn at a time.

    >>> generator(0, "a", 0).random() == generator(0, "a", 0).random()
    True
    >>> generator(0, "a", 0).random() == generator(0, "a", 1).random()
    False
    """
    words = np.frombuffer(hashlib.sha256(key.encode()).digest(), dtype=">u4")
    return np.random.default_rng([seed, stream, *(int(word) for word in words)])


def legacy_seed(seed: int, key: str) -> int:
    """Give an image's seed below 2³² for libraries that take no generator.

    >>> 0 <= legacy_seed(0, "a") < 2**32
    True
    """
    return int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:4], "big")


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the process-wide generators of Python, numpy and torch, and put them back afterwards.

    For libraries that draw from them; ours do not.
    """
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
