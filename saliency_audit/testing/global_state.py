"""What a process has once for all: the state of its random numbers, and how torch counts."""

from __future__ import annotations

import random

import numpy as np
import torch


def taken() -> dict[str, object]:
    """Give what a well-behaved piece of code leaves as it was, as values that can be compared."""
    numbers = np.random.get_state(legacy=False)
    return {
        "the state of torch's random numbers": torch.get_rng_state().numpy().tobytes(),
        "the state of numpy's random numbers": repr(numbers),
        "the state of Python's random numbers": random.getstate(),
        "whether torch records gradients": torch.is_grad_enabled(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's default type": torch.get_default_dtype(),
        "whether torch is deterministic": torch.are_deterministic_algorithms_enabled(),
    }
