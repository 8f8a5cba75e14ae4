"""A reference: a few images, and what the owner's own model gives for them.

A small safetensors file that proves an adopted classifier to be the owner's.
It holds ``inputs``, pixels as the audit sees them, and ``outputs``, numbers as
the owner's program has them; beside them, as one entry of metadata, the labels
in the order of the outputs and whether they are scores or probabilities.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from saliency_audit.errors import ModelError

#: What is said beside the tensors stands under one key: several would be in random order.
SAID = "saliency_audit_reference"
#: Fewest images that tell one preprocessing from another.
FEWEST = 4
#: How far outputs may be from the owner's, as a share of their range over the images: other
#: hardware and TensorFloat-32 differ by less, the nearest wrong interpolation by more.
TOLERANCE = 0.005
KINDS = ("scores", "probabilities")
SNIPPET = """\
import json, torch
from safetensors.torch import save_file

model.eval()                                  # your model, as you use it
with torch.no_grad():                         # images: (n, 3, H, W), 8 or more, pixels in 0 to 1
    outputs = torch.cat([model(transform(image)[None]).cpu() for image in images])
said = {"labels": LABELS, "outputs": "scores"}  # or "probabilities", after softmax or sigmoid
save_file(
    {"inputs": (images * 255).round().to(torch.uint8), "outputs": outputs.float()},
    "reference.safetensors", metadata={"saliency_audit_reference": json.dumps(said)})
"""


@dataclass(frozen=True)
class Reference:
    """Images and the owner's outputs for them.

    ``inputs``: pixels (n, 3, H, W) in [0, 1], float32; ``outputs``: (n, k), float32; ``labels``: of
    the outputs, in their order, None where they are not said; ``kind``: ``scores`` or
    ``probabilities``, None where it is not said. Raises ModelError for fewer than ``FEWEST``
    images, other shapes, numbers that are none, pixels out of range, and outputs or images that are
    all the same: they prove nothing.
    """

    inputs: Tensor
    outputs: Tensor
    labels: tuple[str, ...] | None = None
    kind: Literal["scores", "probabilities"] | None = None

    def __post_init__(self) -> None:
        """Check the numbers; raises ModelError."""
        _check_shapes(self.inputs, self.outputs)
        for name in ("inputs", "outputs"):
            if not bool(getattr(self, name).isfinite().all()):
                raise ModelError(f"{name} hold NaN or infinity: write the reference anew")
        low, high = float(self.inputs.min()), float(self.inputs.max())
        if low < 0 or high > 1:
            raise ModelError(
                f"inputs are {low:.3g} to {high:.3g}: give pixels in [0, 1], or uint8, before "
                "mean and std are taken off"
            )
        for name in ("inputs", "outputs"):
            if bool((getattr(self, name) == getattr(self, name)[:1]).all()):
                raise ModelError(f"{name} are the same for every image: give images that differ")
        if self.labels is not None and len(self.labels) not in (1, 2, self.outputs.shape[1]):
            raise ModelError(
                f"there are {len(self.labels)} labels and {self.outputs.shape[1]} outputs: name "
                "one for each output"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its images, pixels."""
        return int(self.inputs.shape[-2]), int(self.inputs.shape[-1])


def _check_shapes(inputs: Tensor, outputs: Tensor) -> None:
    if inputs.ndim != 4 or inputs.shape[1] != 3:
        raise ModelError(
            f"inputs have shape {tuple(inputs.shape)}: give (n, 3, H, W), or (n, H, W, 3) of uint8"
        )
    if outputs.ndim != 2 or len(outputs) != len(inputs):
        raise ModelError(
            f"outputs have shape {tuple(outputs.shape)} for {len(inputs)} images: give (n, k), a "
            "row for each image"
        )
    if len(inputs) < FEWEST:
        raise ModelError(f"there are {len(inputs)} images: give {FEWEST} or more, better 16")


def read_reference(path: Path) -> Reference:
    """Read a reference; raises ModelError naming the file for anything that proves nothing."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(f"the reference {path} is missing: put the file beside model.yaml")
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            lacking = {"inputs", "outputs"} - names
            if lacking:
                raise ModelError(f"it lacks {', '.join(sorted(lacking))}")
            inputs, outputs = file.get_tensor("inputs"), file.get_tensor("outputs")
            said = json.loads((file.metadata() or {}).get(SAID, "{}"))
        return Reference(_pixels(inputs), outputs.float(), *_said(said))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path} is no readable safetensors file ({error}): get it anew") from None
    except ModelError as error:
        raise ModelError(f"{path}: {error}; `saliency-audit reference` says how") from None


def _pixels(inputs: Tensor) -> Tensor:
    if inputs.dtype == torch.uint8:
        if inputs.ndim == 4 and inputs.shape[-1] == 3 and inputs.shape[1] != 3:
            inputs = inputs.permute(0, 3, 1, 2)
        return inputs.contiguous().float() / 255
    return inputs.float()


def _said(said: Any) -> tuple[tuple[str, ...] | None, Any]:
    if not isinstance(said, dict):
        raise ModelError(f"what it says of itself is {said!r}: give labels and outputs")
    kind, labels = said.get("outputs"), said.get("labels")
    if kind not in (None, *KINDS):
        raise ModelError(f"it says that its outputs are {kind!r}: say scores or probabilities")
    if labels is not None and not (
        isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    ):
        raise ModelError(f"its labels are {labels!r}: give a list of texts")
    return None if labels is None else tuple(labels), kind


def write_reference(
    path: Path,
    inputs: Tensor,
    outputs: Tensor,
    labels: Sequence[str] | None = None,
    kind: Literal["scores", "probabilities"] | None = None,
) -> Reference:
    """Write a reference, pixels as 0 to 255; the same numbers give the same bytes.

    ``inputs`` (n, 3, H, W) in [0, 1] and ``outputs`` (n, k). Gives what was written; raises
    ModelError as ``Reference``.
    """
    from safetensors.torch import save

    named = None if labels is None else tuple(labels)
    pixels = (inputs * 255).round().to(torch.uint8)
    reference = Reference(_pixels(pixels), outputs.float(), named, kind)
    said = {"labels": None if named is None else list(named), "outputs": kind}
    given = {name: value for name, value in said.items() if value is not None}
    tensors = {"inputs": pixels.contiguous(), "outputs": reference.outputs.contiguous()}
    path.write_bytes(save(tensors, {SAID: json.dumps(given, sort_keys=True)}))
    return reference
