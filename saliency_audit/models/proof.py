"""Whether an adopted classifier is the owner's: its outputs are those of the reference, or a stop.

A network can load and be another model: with another normalisation, its labels
in another order, a softmax taken twice. Only the owner's own outputs tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from saliency_audit.errors import ModelError
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.comparison import nearest, owners_kind, spread, views
from saliency_audit.models.diagnosis import diagnose
from saliency_audit.models.outputs import last_activation, looks_like
from saliency_audit.models.reference import TOLERANCE, Reference


@dataclass(frozen=True)
class Proof:
    """What a comparison with a reference found.

    ``images``: how many; ``compared``: scores or probabilities; ``difference``: the largest, as a
    share of the range of the owner's outputs; ``tolerance``: what it may be.
    """

    images: int
    compared: Literal["scores", "probabilities"]
    difference: float
    tolerance: float


def prove(
    classifier: Classifier,
    reference: Reference,
    image_size: tuple[int, int],
    *,
    stated: bool = False,
    tolerance: float = TOLERANCE,
) -> Proof:
    """Compare a classifier, in evaluation mode, with its owner's outputs.

    ``image_size``: (height, width) of the dataset's images; ``stated``: a person says that its
    outputs are scores. Raises ModelError where they are not the owner's, with the cause where one
    that is known explains it and the lines to write in model.yaml.
    """
    _check_size(classifier, reference, image_size)
    _check_labels(classifier, reference)
    found = list(nearest(classifier, reference))
    if not found:
        raise ModelError(_of_shapes(classifier, reference))
    kind = owners_kind(reference)
    least, view = min(((d, v) for d, v in found if v.kind == kind), default=found[0], key=_first)
    if view.kind == kind and least <= tolerance:
        return Proof(len(reference.inputs), kind, round(least, 6), tolerance)
    other, view = min(found, key=_first)
    if other > tolerance:
        raise ModelError(_of_difference(classifier, reference, least, tolerance))
    if kind == "probabilities" and not (stated or _ends_in_scores(classifier, reference)):
        raise ModelError(
            "the owner's outputs are probabilities, and the network gives them itself: the audit "
            "would take softmax or sigmoid a second time. Write under adopt in model.yaml\n"
            "  outputs: probabilities"
        )
    if kind == "scores":
        raise ModelError(
            "the reference says that its outputs are scores, and they are probabilities of this "
            "network: say so where it is written"
        )
    return Proof(len(reference.inputs), view.kind, round(other, 6), tolerance)


def _first(pair: tuple[float, object]) -> float:
    return pair[0]


def _ends_in_scores(classifier: Classifier, reference: Reference) -> bool:
    """Whether outputs in [0, 1] are scores all the same: by chance, of a network that ends so."""
    if reference.kind == "probabilities" or looks_like(reference.outputs) == "softmax":
        return False
    images = classifier.preprocess(reference.inputs)
    return last_activation(classifier.network, images) is None


def _check_size(classifier: Classifier, reference: Reference, image_size: tuple[int, int]) -> None:
    sizes = {image_size, classifier.input_size or image_size}
    if reference.size not in sizes:
        said = " or ".join(f"{height}x{width}" for height, width in sorted(sizes))
        height, width = reference.size
        raise ModelError(
            f"the reference has images of {height}x{width}, and the audit has {said}: write it "
            "from images of that size"
        )


def _check_labels(classifier: Classifier, reference: Reference) -> None:
    own, given = classifier.labels, reference.labels
    indices = classifier.reading.indices
    if given is None:
        return
    if indices is not None and len(given) > max(indices) and len(indices) == len(own):
        given = tuple(given[index] for index in indices)
    if given == own or len(given) < len(own):
        return
    if set(given) != set(own):
        raise ModelError(
            f"the reference is of the labels {', '.join(given)}, and model.yaml names "
            f"{', '.join(own)}: call them alike in both, in the order of the outputs"
        )
    raise ModelError(
        f"the owner's outputs are {', '.join(given)}, in this order, and model.yaml names "
        f"{', '.join(own)}: the labels are rotated. Write under adopt in model.yaml\n"
        f"  labels: [{', '.join(given)}]"
    )


def _of_shapes(classifier: Classifier, reference: Reference) -> str:
    widths = sorted({view.values.shape[1] for view in views(classifier, reference.inputs)})
    return (
        f"the reference has {reference.outputs.shape[1]} outputs for an image, and the classifier "
        f"{' or '.join(map(str, widths))}: it is of another model, or write it with all outputs"
    )


def _of_difference(
    classifier: Classifier, reference: Reference, least: float, tolerance: float
) -> str:
    words = (
        f"the classifier is not the owner's: its outputs for the {len(reference.inputs)} images of "
        f"the reference are up to {least:.2g} of their range ({spread(reference.outputs):.3g}) "
        f"from the owner's, and {tolerance:g} is allowed. "
    )
    return words + diagnose(classifier, reference, tolerance)
