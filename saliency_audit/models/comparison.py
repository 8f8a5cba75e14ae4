"""How far a classifier's outputs are from those that its owner has of the same images.

The owner's numbers may be scores or probabilities, of all outputs or of the
labels' alone: each reading that a correct adoption allows is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from saliency_audit.labelling import Labelling
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.outputs import looks_like
from saliency_audit.models.reference import Reference

Kind = Literal["scores", "probabilities"]
#: Rounding of float32, as a share of the largest output: never a difference.
ROUNDING = 1e-6


@dataclass(frozen=True)
class View:
    """A reading of a classifier's outputs (n, k), and whether it is of scores or probabilities."""

    kind: Kind
    values: Tensor


def views(classifier: Classifier, images: Tensor) -> list[View]:
    """Give the readings of a classifier's outputs for pixels (n, 3, H, W): what its owner may have.

    All of the network's outputs, and those of the labels.
    """
    with torch.no_grad():
        given = classifier.outputs(images)
        scores = classifier.reading(given, classifier.labelling)
        shown = classifier.probabilities(_both(classifier, scores))
    if classifier.reading.inverted is not None:
        found = [View("probabilities", given), View("scores", scores)]
    else:
        found = [
            View("scores", given),
            View("probabilities", _all_probabilities(classifier, given)),
            View("scores", scores),
        ]
    found.append(View("probabilities", shown))
    if classifier.labelling is Labelling.BINARY:
        found.append(View("probabilities", shown[:, 1:]))
    return found


def _both(classifier: Classifier, scores: Tensor) -> Tensor:
    return torch.cat([-scores, scores], 1) if classifier.labelling is Labelling.BINARY else scores


def _all_probabilities(classifier: Classifier, given: Tensor) -> Tensor:
    exclusive = classifier.labelling is not Labelling.MULTILABEL and given.shape[1] > 1
    return given.softmax(dim=1) if exclusive else given.sigmoid()


def owners_kind(reference: Reference) -> Kind:
    """Give what the owner's outputs are: as is said, or as they look."""
    if reference.kind is not None:
        return reference.kind
    return "scores" if looks_like(reference.outputs) is None else "probabilities"


def spread(outputs: Tensor) -> float:
    """Largest range of an output (n, k) over the images: what a difference is measured by."""
    return float((outputs.amax(dim=0) - outputs.amin(dim=0)).max())


def difference(values: Tensor, outputs: Tensor) -> float:
    """Largest distance of values from the owner's outputs (n, k), as a share of their spread.

    >>> difference(torch.tensor([[0.0], [1.5]]), torch.tensor([[0.0], [2.0]]))
    0.25
    """
    rounding = ROUNDING * float(outputs.abs().max())
    largest = float((values - outputs).abs().max())
    return 0.0 if largest <= rounding else largest / spread(outputs)


def nearest(classifier: Classifier, reference: Reference) -> Iterator[tuple[float, View]]:
    """Give each reading that has as many columns as the owner's outputs, with its difference."""
    for view in views(classifier, reference.inputs):
        if view.values.shape == reference.outputs.shape:
            yield difference(view.values, reference.outputs), view
