"""How a model is called: device, precision, threads and the one batch shape.

A forward pass at batch 5 differs in its last bits from the same rows in a
batch of 32, and training with two threads from training with one. So all of
these come from parameters and never from the machine, and every call of a
model has the same batch shape, the last batch padded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from saliency_audit.errors import ParameterError
from saliency_audit.parameters import Checked
from saliency_audit.ranges import Count

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class Compute(Checked):
    """Where and how models run.

    ``threads``: CPU threads per process (1 or more); ``batch``: images per call of a model (1 or
    more); ``precision``: ``float32``; ``tfloat32``, on ``cuda`` alone, convolutions and products of
    inputs with 10 bits of mantissa; or ``bfloat16``, the passes of methods that sample (SHAP, LIME,
    RISE) in bfloat16 and all else in float32; ``device``: ``cpu`` or ``cuda``; ``channels_last``:
    memory format of images and convolutions.

    >>> Compute(batch=0)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: batch is 0: give 1 or more
    """

    threads: Count = 1
    batch: Count = 32
    precision: Literal["float32", "tfloat32", "bfloat16"] = "float32"
    device: Literal["cpu", "cuda"] = "cpu"
    channels_last: bool = True

    def __post_init__(self) -> None:
        """Check the ranges, and precision beside device; raises ParameterError."""
        super().__post_init__()
        if self.precision == "tfloat32" and self.device != "cuda":
            raise ParameterError(
                "precision is tfloat32, which only a CUDA device has: give float32, "
                "bfloat16, or device cuda"
            )

    def start(self) -> torch.device:
        """Fix threads and algorithms of this process, and give the device.

        Raises ParameterError where ``device`` is ``cuda`` and there is none.
        """
        import torch

        _keep_freed_memory()
        torch.set_num_threads(self.threads)
        # Not use_deterministic_algorithms: it imports the compiler, which takes seconds.
        torch.set_deterministic_debug_mode("warn")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ParameterError(
                "compute.device is cuda, but torch finds no CUDA device here: "
                "set compute.device: cpu, or run on a machine with a GPU"
            )
        torch.backends.cuda.matmul.allow_tf32 = self.precision == "tfloat32"
        torch.backends.cudnn.allow_tf32 = self.precision == "tfloat32"
        return torch.device(self.device)

    def prepare(self, model: Module) -> Module:
        """Move a model to the device, its convolutions in the memory format; in place."""
        import torch

        model.to(self.device)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)
        return model

    def place(self, images: Tensor) -> Tensor:
        """Move a batch (B, C, H, W) to the device, in the memory format of the parameters."""
        import torch

        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return images.to(self.device, memory_format=layout)

    def call(self, model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Call ``model`` on images (N, C, H, W) in batches of one shape; gives (N, ...).

        The last batch is padded with zeros, and the rows of the padding are dropped.
        Gradients flow if they are enabled.
        """
        import torch

        count = len(images)
        rows: list[Tensor] = []
        for start in range(0, count, self.batch):
            chunk = images[start : start + self.batch]
            kept = len(chunk)
            if kept < self.batch:
                padding = chunk.new_zeros((self.batch - kept, *chunk.shape[1:]))
                chunk = torch.cat([chunk, padding])
            rows.append(model(self.place(chunk))[:kept])
        if not rows:
            raise ParameterError("a model was called on no images: give at least one")
        return torch.cat(rows)


def _keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next layer, where it is glibc.

    It gives large blocks back by default, and the kernel clears each again: a tenth of the time
    that a stage takes.
    """
    import ctypes

    trim_threshold, mmap_max = -1, -4  # malloc.h
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(mmap_max, 0)
        library.mallopt(trim_threshold, 2**31 - 1)


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Put a model in evaluation mode, and back afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield model
    finally:
        model.train(was_training)
