"""What an explanation method is to the rest of the audit, and what may be asked of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saliency_audit.errors import DataError, ParameterError
from saliency_audit.parameters import Checked, in_words

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.attribution.grid import Grid
    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class RawMap:
    """The map of one image and label as a method gives it, before normalising and rounding.

    ``values``: float64 (H, W), non-negative, in units of the explained score; NaN where the
    network gave NaN. ``status``: why it is special where only the method can know
    (a ``measures.status.MethodStatus``), else None. ``completeness``: for SHAP, the
    sum of the signed attributions minus (y(x) - mean y(background)), in units of the score.
    """

    values: NDArray[np.float64]
    status: str | None = None
    completeness: float | None = None


@dataclass(frozen=True)
class Cost:
    """Passes through the classifier that a method makes, as its parameters say.

    ``forward``: forward passes per image, shared by all its labels where ``forward_shared``, else
    per image and label; ``backward``: backward passes per image and label. None where the number
    depends on the size of the image. Rows of padding are not counted.
    """

    forward: int | None
    backward: int | None
    forward_shared: bool = True
    forward_exact: bool = True


class Explainer(ABC):
    """A method made ready for one classifier: what can be done once has been done.

    ``classifier``: the one that is explained; ``compute``: how it is called.
    """

    def __init__(self, classifier: Classifier, compute: Compute) -> None:
        self.classifier = classifier
        self.compute = compute

    def explain(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images: a map for each asked label, in the order asked.

        Arguments and errors are those of ``Method.explain``.
        """
        check_request(self.classifier, images, labels, keys)
        return self.maps(images, labels, keys)

    def foresee(self, images: Tensor) -> None:  # noqa: B027
        """Begin what needs no model for images (B, 3, H, W) to be explained next, beside it."""

    def grid(self, size: tuple[int, int]) -> Grid | None:
        """Give the cells that maps of images of ``size`` (H, W) are made of; None for pixels."""
        return None

    @abstractmethod
    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images that have been checked."""


class Method(Checked, ABC):
    """An explanation method: a frozen dataclass of its own parameters, checked, that explains.

    The map of an image depends on its pixels, its key, the label and the parameters, never on
    the images beside it, nor on the other labels asked.
    """

    @property
    def words(self) -> str:
        """Its parameters as a report says them."""
        return in_words(self) or "no parameters"

    @property
    def needs_background(self) -> bool:
        """Whether background images are wanted."""
        return False

    @abstractmethod
    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """Make the method ready for a classifier, whose weights stay as they are meanwhile.

        ``background``: (K, 3, H, W), of the same kind as the images. Raises NotApplicable where
        the method cannot explain the classifier, whatever the image; so may ``Explainer.maps``.
        """

    @abstractmethod
    def cost(self) -> Cost:
        """Give the passes that a map takes."""

    def explain(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Sequence[Sequence[int]],
        keys: Sequence[str],
        *,
        compute: Compute,
        background: Tensor | None = None,
    ) -> list[list[RawMap]]:
        """Explain labels of images: a map for each asked label, in the order asked.

        ``images``: (B, 3, H, W) float32 in [0, 1]; ``labels``: for each image, indices of the
        labels to explain; ``keys``: for each image, the digest of its pixels, of which its random
        numbers are made; ``background``: as of ``explainer``. Raises DataError for other images,
        ParameterError for a label that the classifier does not have or parameters that do not fit
        the images, NotApplicable where the method cannot explain it. To explain batch after batch,
        make an ``explainer`` once.
        """
        check_request(classifier, images, labels, keys)
        if len(images) == 0:
            return []
        ready = self.explainer(classifier, compute=compute, background=background)
        return ready.maps(images, labels, keys)


def check_request(
    classifier: Classifier,
    images: Tensor,
    labels: Sequence[Sequence[int]],
    keys: Sequence[str],
) -> None:
    """Raise unless images, labels and keys are what ``Method.explain`` says that it takes.

    DataError names the image by its key, ParameterError the label and how many there are.
    """
    if not len(images) == len(labels) == len(keys):
        raise DataError(
            f"{len(images)} images came with {len(labels)} lists of labels and {len(keys)} keys: "
            "give one of each per image"
        )
    _check_pixels(images, keys)
    count = len(classifier.labels)
    for key, asked in zip(keys, labels, strict=True):
        for label in asked:
            if not 0 <= label < count:
                raise ParameterError(
                    f"label {label} was asked of image {key}, but the classifier has {count} "
                    f"labels: give 0 to {count - 1}"
                )


def background_of(method: str, images: Tensor, background: Tensor | None) -> Tensor:
    """Give the background images (K, 3, H, W) after checking that they fit ``images``.

    One image is enough: it is then the only baseline. Raises DataError where there is none, or
    where they are of another size.
    """
    if background is None or len(background) == 0:
        raise DataError(f"{method} needs background images, and got none: give at least one")
    if background.shape[1:] != images.shape[1:]:
        raise DataError(
            f"{method} got background images {tuple(background.shape[1:])} for images "
            f"{tuple(images.shape[1:])}: give both in one size"
        )
    _check_pixels(background, [f"background {index}" for index in range(len(background))])
    return background


def _check_pixels(images: Tensor, keys: Sequence[str]) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise DataError(
            f"images are {images.dtype} {tuple(images.shape)}: give float32 (B, 3, H, W) in [0, 1]"
        )
    for key, image in zip(keys, images, strict=True):
        if not bool(((image >= 0) & (image <= 1)).all()):
            raise DataError(f"image {key} has pixels outside [0, 1] or NaN: scale it to [0, 1]")
