"""Why a classifier is not its owner's: what, changed in it, gives the owner's outputs.

Candidates are tried, one change and then two: normalisation, range, order of
channels, size and scaling of images, what is done to outputs, their order. What
fits is named with the lines to write; where nothing does, that is said.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import torch
from torch import Tensor, nn

from saliency_audit.models.classifier import Classifier
from saliency_audit.models.comparison import difference, spread, views
from saliency_audit.models.preprocessing import Preprocessing
from saliency_audit.models.reference import Reference

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
#: Normalisations that networks are trained with: offset and divisor of pixels in [0, 1], per
#: channel, and the lines that say so.
NORMALISATIONS: tuple[tuple[str, Sequence[float], Sequence[float], str], ...] = (
    (
        "ImageNet's mean and std",
        *IMAGENET,
        "mean: [0.485, 0.456, 0.406]\nstd: [0.229, 0.224, 0.225]",
    ),
    ("mean and std 0.5", (0.5,), (0.5,), "mean: [0.5, 0.5, 0.5]\nstd: [0.5, 0.5, 0.5]"),
    ("no normalisation, pixels of 0 to 1", (0.0,), (1.0,), "mean: [0, 0, 0]\nstd: [1, 1, 1]"),
    ("pixels of 0 to 255", (0.0,), (1 / 255,), "input_range: [0, 255]"),
    ("pixels of -1024 to 1024", (0.5,), (1 / 2048,), "input_range: [-1024, 1024]"),
    ("mean 0.5 and std 0.25", (0.5,), (0.25,), "mean: [0.5, 0.5, 0.5]\nstd: [0.25, 0.25, 0.25]"),
    (
        "ImageNet's mean of 0 to 255, no std",
        IMAGENET[0],
        (1 / 255,),
        "mean: [0.485, 0.456, 0.406]\nstd: [0.00392157, 0.00392157, 0.00392157]",
    ),
    (
        "CLIP's mean and std",
        *CLIP,
        "mean: [0.48145466, 0.4578275, 0.40821073]\nstd: [0.26862954, 0.26130258, 0.27577711]",
    ),
    (
        "ImageNet's mean and std taken off pixels of 0 to 255",
        [value / 255 for value in IMAGENET[0]],
        [value / 255 for value in IMAGENET[1]],
        "mean: [0.00190, 0.00179, 0.00159]\nstd: [0.000898, 0.000878, 0.000882]",
    ),
    ("pixels divided by 255 twice", (0.0,), (255.0,), ""),
)
#: How torchvision's GoogLeNet and Inception take ImageNet's normalisation back: to this.
TRANSFORM_INPUT = 0.5
#: Sides that networks are trained at.
SIDES = (24, 28, 32, 48, 50, 64, 96, 128, 160, 192, 224, 240, 256, 288, 299, 320, 384, 448, 512)
#: Images that candidates are tried on; what fits is tried on all.
FEW = 6


@dataclass(frozen=True)
class Candidate:
    """A change of a classifier: what it is in words, the lines that make it, and the change.

    ``line``: empty where model.yaml cannot say it.
    """

    words: str
    line: str
    change: Callable[[Classifier], Classifier]


def diagnose(classifier: Classifier, reference: Reference, tolerance: float) -> str:
    """Say what, changed in a classifier, gives the owner's outputs (n, k), or that nothing does."""
    found = next(_fitting(classifier, reference, tolerance), None)
    if found is not None:
        words, lines = found
        if not lines:
            return f"With {words} they are his: model.yaml cannot say that"
        said = "\n".join(f"  {line}" for line in lines.splitlines())
        return f"With {words} they are the same: write in model.yaml\n{said}"
    return (
        "Neither another normalisation, range, order of channels, size, scaling, softmax or "
        "sigmoid nor another order of the outputs, nor two of these, gives his: the reference or "
        "the weights are of another model; if they were trained anew, write the reference anew"
    )


def _fitting(
    classifier: Classifier, reference: Reference, tolerance: float
) -> Iterator[tuple[str, str]]:
    few = _part(reference)
    groups = _groups(classifier, reference)
    none = Candidate("", "", lambda own: own)
    singles = [[none], *([candidate] for group in groups for candidate in group)]
    pairs = [list(pair) for one, two in combinations(groups, 2) for pair in product(one, two)]
    for changes in [*singles, *pairs]:
        changed = classifier
        try:
            for candidate in changes:
                changed = candidate.change(changed)
            for words, line, values in _readings(changed, few):
                if not _fits(values, few.outputs, tolerance):
                    continue
                said = [*changes, Candidate(words, line, none.change)]
                yield (
                    " and ".join(c.words for c in said if c.words),
                    "\n".join(c.line for c in said if c.line),
                )
        except Exception:  # a network may refuse a size in any way
            continue


def _part(reference: Reference) -> Reference:
    """Give the first images; all of them where these have outputs that do not differ."""
    if spread(reference.outputs[:FEW]) < 0.2 * spread(reference.outputs):
        return reference
    return replace(reference, inputs=reference.inputs[:FEW], outputs=reference.outputs[:FEW])


def _fits(values: Tensor, outputs: Tensor, tolerance: float) -> bool:
    return values.shape == outputs.shape and difference(values, outputs) <= tolerance


def _groups(classifier: Classifier, reference: Reference) -> list[list[Candidate]]:
    return [
        _normalisations(classifier),
        _channels(classifier),
        _scalings(classifier, reference.size),
        _sizes(classifier, reference.size),
    ]


def _normalisations(classifier: Classifier) -> list[Candidate]:
    found = [_normalised(classifier, *row) for row in NORMALISATIONS]
    if hasattr(classifier.network, "transform_input"):
        words = "transform_input, as torchvision's ImageNet weights of this network have it,"
        half = (TRANSFORM_INPUT,)
        line = "mean: [0.5, 0.5, 0.5]\nstd: [0.5, 0.5, 0.5]"
        found.insert(0, _normalised(classifier, words, half, half, line))
    return found


def _normalised(
    classifier: Classifier, words: str, offset: Sequence[float], divisor: Sequence[float], line: str
) -> Candidate:
    channels = classifier.get_buffer("mean").shape[1]

    def change(own: Classifier) -> Classifier:
        changed = _copy(own)
        for name, values in (("mean", offset), ("std", divisor)):
            numbers = [*values] if len(values) == channels else [values[0]] * channels
            setattr(changed, name, own.get_buffer(name).new_tensor(numbers).view(1, -1, 1, 1))
        return changed

    return Candidate(words, line, change)


def _channels(classifier: Classifier) -> list[Candidate]:
    own = classifier.preprocessing.channels
    other = {"RGB": "BGR", "BGR": "RGB"}.get(own)
    if other is None:
        return []
    words = f"channels in the order {other}"
    return [Candidate(words, f"channels: {other}", lambda c: _preprocessed(c, channels=other))]


def _scalings(classifier: Classifier, size: tuple[int, int]) -> list[Candidate]:
    """Other ways to scale an image to the size that the network sees."""
    own = classifier.preprocessing
    wanted = own.input_size
    if wanted is None or wanted == size:
        return []
    found = []
    for name, smooth in product(("bilinear", "bicubic", "nearest"), (True, False)):
        if (name, smooth) == (own.interpolation, own.antialias) or (name, smooth) == (
            "nearest",
            True,
        ):
            continue
        line = f"interpolation: {name}\nantialias: {str(smooth).lower()}"
        words = f"interpolation {name}{'' if smooth else ' without antialiasing'}"
        found.append(Candidate(words, line, _scaling(name, smooth)))
    for larger in (1 / 0.875, 256 / 240, 1.1):
        words = f"images scaled to {round(wanted[0] * larger)} pixels and cut to the middle"
        found.append(Candidate(words, "", _cropped(larger)))
    return found


def _scaling(name: str, smooth: bool) -> Callable[[Classifier], Classifier]:
    return lambda c: _preprocessed(c, interpolation=name, antialias=smooth)


def _cropped(larger: float) -> Callable[[Classifier], Classifier]:
    def change(own: Classifier) -> Classifier:
        assert own.input_size is not None
        height, width = own.input_size
        size = (round(height * larger), round(width * larger))
        changed = _preprocessed(own, input_size=size)
        changed.network = nn.Sequential(_Middle((height, width)), own.network)
        return changed

    return change


class _Middle(nn.Module):
    """Cut images (B, C, h, w) to their middle."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        top, left = (
            (have - want) // 2 for have, want in zip(images.shape[-2:], self.size, strict=True)
        )
        return images[..., top : top + self.size[0], left : left + self.size[1]]


def _sizes(classifier: Classifier, size: tuple[int, int]) -> list[Candidate]:
    own = classifier.input_size or size
    sizes = {size, *((side, side) for side in SIDES)} - {own}
    return [
        Candidate(
            f"images of {height}x{width}",
            f"input_size: [{height}, {width}]",
            _sized((height, width)),
        )
        for height, width in sorted(sizes)
    ]


def _sized(size: tuple[int, int]) -> Callable[[Classifier], Classifier]:
    return lambda c: _preprocessed(c, input_size=size)


def _copy(classifier: Classifier) -> Classifier:
    """Give a copy that shares the network."""
    changed = copy.copy(classifier)
    changed._buffers = dict(classifier._buffers)
    changed._modules = dict(classifier._modules)
    return changed


def _preprocessed(classifier: Classifier, **fields: object) -> Classifier:
    changed = _copy(classifier)
    given = {
        name: getattr(classifier.preprocessing, name) for name in ("channels", "interpolation")
    }
    given |= {"antialias": classifier.preprocessing.antialias, "input_size": classifier.input_size}
    # Mean and std are the buffers', which another candidate may have changed.
    changed.preprocessing = Preprocessing(**(given | fields))
    return changed


def _readings(classifier: Classifier, reference: Reference) -> Iterator[tuple[str, str, Tensor]]:
    """Give outputs as they are, and as they would be after another softmax, sigmoid or order."""
    outputs = reference.outputs
    for view in views(classifier, reference.inputs):
        yield "", "", view.values
        if view.values.ndim == 2 and view.values.shape == outputs.shape:
            yield from _ordered(view.values, outputs, classifier, reference)
            for words, activation in _ACTIVATIONS:
                twice = (
                    f"{words} {'more often' if view.kind == 'probabilities' else 'taken of them'}"
                )
                yield twice, "", activation(view.values)


_ACTIVATIONS: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    ("a softmax", lambda values: values.softmax(dim=1)),
    ("a sigmoid", lambda values: values.sigmoid()),
    ("a logarithm of a softmax", lambda values: values.log_softmax(dim=1)),
    ("the opposite sign", lambda values: -values),
)


def _ordered(
    values: Tensor, outputs: Tensor, classifier: Classifier, reference: Reference
) -> Iterator[tuple[str, str, Tensor]]:
    """Give outputs in the order that is nearest to the owner's, if it is another."""
    from scipy.optimize import linear_sum_assignment

    apart = (values[:, :, None] - outputs[:, None, :]).abs().amax(dim=0).double().cpu().numpy()
    of_owner = np.argsort(linear_sum_assignment(apart)[1])
    if (of_owner == np.arange(len(of_owner))).all():
        return
    words = f"the outputs in the order {', '.join(map(str, of_owner))}"
    own = classifier.labels
    line = ""
    if len(own) == len(of_owner) and reference.labels is None:
        line = f"adopt:\n  labels: [{', '.join(own[int(place)] for place in np.argsort(of_owner))}]"
    yield words, line, values[:, torch.from_numpy(of_owner)]
