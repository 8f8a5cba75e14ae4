"""SmoothGrad: the mean of a gradient method's maps over noisy copies of the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.attribution.attention_relevance import AttentionRelevance
from saliency_audit.attribution.gradcam import GradCam
from saliency_audit.attribution.gradcam_plus_plus import GradCamPlusPlus
from saliency_audit.attribution.hirescam import HiResCam
from saliency_audit.attribution.integrated_gradients import IntegratedGradients
from saliency_audit.attribution.layercam import LayerCam
from saliency_audit.attribution.method import Cost, Explainer, Method, RawMap
from saliency_audit.attribution.path_attribution import (
    PathAttribution,
    PathExplainer,
    Sign,
    attributed,
    path_sums,
    signed_map,
)
from saliency_audit.attribution.seeds import generator
from saliency_audit.attribution.shap import Shap
from saliency_audit.attribution.xgradcam import XGradCam
from saliency_audit.compute import evaluating
from saliency_audit.errors import ParameterError
from saliency_audit.parameters import build
from saliency_audit.ranges import Count, NotNegative, Seed

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_audit.attribution.grid import Grid
    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier

#: The plain gradient ∂y/∂x, which has no method of its own.
GRADIENT = "gradient"
#: What can be smoothed, by its name in the registry.
KINDS: Mapping[str, type[Method]] = {
    "gradcam": GradCam,
    "gradcam_plus_plus": GradCamPlusPlus,
    "hirescam": HiResCam,
    "layercam": LayerCam,
    "xgradcam": XGradCam,
    "attention_relevance": AttentionRelevance,
    "shap": Shap,
    "integrated_gradients": IntegratedGradients,
}


@dataclass(frozen=True)
class SmoothGrad(Method):
    """SmoothGrad (Smilkov et al. 2017): m = mean over n copies of M(x + ε), ε ~ N(0, σ²).

    M is the map of the method ``of``, with ``parameters`` as in ``method.<of>``; for ``gradient``,
    ``shap`` and ``integrated_gradients`` the signed attributions are averaged, and ``sign`` is
    read from their mean. Noise is added to pixels in [0, 1] and not cut off, as in the paper.

    ``of``: a gradient method by its name, or ``gradient`` for ∂y/∂x; ``parameters``: of that
    method; ``samples``: noisy copies n, 1 or more; ``noise``: σ as a share of the image's range of
    values, 0 or more; ``sign``: of ``gradient`` alone, as of ``shap``; ``seed``: of the noise, 0 or
    more.
    """

    of: Literal[
        "gradient",
        "gradcam",
        "gradcam_plus_plus",
        "hirescam",
        "layercam",
        "xgradcam",
        "attention_relevance",
        "shap",
        "integrated_gradients",
    ] = "gradient"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    samples: Count = 32
    noise: NotNegative = 0.15
    sign: Sign = "absolute"
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Check the parameters of the method that is smoothed, too; raises ParameterError."""
        super().__post_init__()
        if self.of == GRADIENT:
            if self.parameters:
                raise ParameterError(f"parameters is {self.parameters}: gradient has none")
            return
        if self.sign != "absolute":
            raise ParameterError(
                f"sign is of gradient alone: give {self.of} its own, as parameters: {{sign: …}}"
            )
        inner = build(KINDS[self.of], dict(self.parameters), "parameters")
        # With all defaults, so that two ways to write the same have one digest.
        object.__setattr__(self, "parameters", asdict(inner))  # type: ignore[call-overload]

    @property
    def inner(self) -> Method | None:
        """The method that is smoothed; None for the plain gradient."""
        return None if self.of == GRADIENT else build(KINDS[self.of], dict(self.parameters))

    @property
    def words(self) -> str:
        """How many noisy copies, how noisy, of what.

        >>> SmoothGrad("gradcam").words
        'mean of gradcam (activations of the deepest block with 7x7 cells, placed where its cells
        look) over 32 copies with noise of 0.15 of the range, seed 0'
        """
        inner = self.inner
        said = f"{self.sign} evidence" if inner is None else inner.words
        return (
            f"mean of {self.of} ({said}) over {self.samples:,} copies with noise of "
            f"{self.noise:g} of the range, seed {self.seed}"
        )

    @property
    def needs_background(self) -> bool:
        """Whether the method that is smoothed wants background images."""
        return self.inner is not None and self.inner.needs_background

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``; of attributions maps have the mean completeness."""
        if self.inner is None:
            return _SmoothGradients(self, classifier, compute)
        inner = self.inner.explainer(classifier, compute=compute, background=background)
        if isinstance(inner, PathExplainer) and isinstance(self.inner, PathAttribution):
            return _SmoothAttributions(self, inner, self.inner.sign)
        return _SmoothMaps(self, inner)

    def cost(self) -> Cost:
        """Count the passes of the method that is smoothed, for each copy."""
        inner = Cost(forward=1, backward=1) if self.inner is None else self.inner.cost()
        return Cost(
            forward=None if inner.forward is None else self.samples * inner.forward,
            backward=None if inner.backward is None else self.samples * inner.backward,
            forward_shared=inner.forward_shared,
        )

    def copies(self, image: Tensor, key: str, rows: int) -> Iterator[Tensor]:
        """Give noisy copies of an image (3, H, W) as (n, 3, H, W), n at most ``rows``.

        The noise depends on the image's key and range and on the seed, not on ``rows``.
        """
        import torch

        random = generator(self.seed, key, 0)
        width = self.noise * float(image.max() - image.min())
        for start in range(0, self.samples, rows):
            count = min(rows, self.samples - start)
            noise = random.standard_normal((count, *image.shape), dtype=np.float32)
            yield image + width * torch.from_numpy(noise).to(image)


class _SmoothMaps(Explainer):
    """Means of maps that another explainer makes of the copies, batch by batch."""

    def __init__(self, method: SmoothGrad, inner: Explainer) -> None:
        super().__init__(inner.classifier, inner.compute)
        self._smooth = method
        self._inner = inner

    def grid(self, size: tuple[int, int]) -> Grid | None:
        """Give the cells of the method that is smoothed."""
        return self._inner.grid(size)

    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images."""
        return [
            self._of_image(image, asked, key) if asked else []
            for image, asked, key in zip(images, labels, keys, strict=True)
        ]

    def _of_image(self, image: Tensor, labels: Sequence[int], key: str) -> list[RawMap]:
        found: list[list[RawMap]] = []
        for copies in self._smooth.copies(image, key, self.compute.batch):
            names = [f"{key} {len(found) + number}" for number in range(len(copies))]
            found += self._inner.maps(copies, [labels] * len(copies), names)
        return [_mean(column) for column in zip(*found, strict=True)]


def _mean(maps: Sequence[RawMap]) -> RawMap:
    """Give the mean of maps, with the first status that one of them has."""
    status = next((raw.status for raw in maps if raw.status is not None), None)
    return RawMap(np.mean([raw.values for raw in maps], axis=0), status)


class _SmoothAttributions(Explainer):
    """Means of the signed attributions of the copies, one copy after the other."""

    def __init__(self, method: SmoothGrad, inner: PathExplainer, sign: Sign) -> None:
        super().__init__(inner.classifier, inner.compute)
        self._smooth = method
        self._inner = inner
        self._sign = sign

    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images."""
        classifier, attribute, expected = self._inner.ready(images)
        found: list[list[RawMap]] = []
        with evaluating(classifier):
            for image, asked, key in zip(images.to(self.compute.device), labels, keys, strict=True):
                if not asked:
                    found.append([])
                    continue
                parts = [
                    attribute(copy, asked, f"{key} {number}")
                    for number, copy in enumerate(self._copies(image, key))
                ]
                phi = np.mean([attributions for attributions, _ in parts], axis=0)
                gains = np.mean([scores for _, scores in parts], axis=0) - expected[list(asked)]
                found.append(
                    [
                        attributed(own, self._sign, float(gain))
                        for own, gain in zip(phi, gains, strict=True)
                    ]
                )
        return found

    def _copies(self, image: Tensor, key: str) -> Iterator[Tensor]:
        for copies in self._smooth.copies(image, key, self.compute.batch):
            yield from copies


class _SmoothGradients(Explainer):
    """Means of plain gradients, of a classifier made ready for many passes."""

    def __init__(self, method: SmoothGrad, classifier: Classifier, compute: Compute) -> None:
        from saliency_audit.models.inference import for_inference

        super().__init__(classifier, compute)
        self._smooth = method
        self._ready = cache(partial(for_inference, classifier, compute))

    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images."""
        ready = self._ready((int(images.shape[2]), int(images.shape[3])))
        with evaluating(ready):
            return [
                [RawMap(read) for read in self._of_image(ready, image, asked, key)]
                for image, asked, key in zip(
                    images.to(self.compute.device), labels, keys, strict=True
                )
            ]

    def _of_image(
        self, ready: Classifier, image: Tensor, labels: Sequence[int], key: str
    ) -> list[NDArray[np.float64]]:
        if not labels:
            return []
        copies = self._smooth.copies(image, key, self.compute.batch)
        paths = ((points, points.new_ones(1)) for points in copies)
        total, scores = path_sums(ready, labels, paths, self.compute)
        return [
            signed_map(phi / self._smooth.samples, self._smooth.sign)
            if np.isfinite(own)
            else np.full(image.shape[1:], np.nan)
            for phi, own in zip(total, scores, strict=True)
        ]
