"""Any attribution method of captum by its class: ``captum:IntegratedGradients`` and others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from saliency_audit.attribution.blocks import CHOSEN, INPUT, explained_block
from saliency_audit.attribution.captum_classes import (
    HOOKS_ACTIVATIONS,
    CaptumClass,
    captum_class,
)
from saliency_audit.attribution.grid import Grid, Placement
from saliency_audit.attribution.method import (
    Cost,
    Explainer,
    Method,
    RawMap,
    background_of,
)
from saliency_audit.attribution.parameters import described
from saliency_audit.attribution.path_attribution import Sign
from saliency_audit.attribution.placement import grid_of
from saliency_audit.attribution.scores import Score, explained_scores
from saliency_audit.attribution.seeds import global_seed, legacy_seed
from saliency_audit.compute import evaluating
from saliency_audit.errors import ModelError, NotApplicable, ParameterError
from saliency_audit.naming import refuse_unknown
from saliency_audit.parameters import build, parameter_types
from saliency_audit.ranges import Count, Seed, Text

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from saliency_audit.compute import Compute
    from saliency_audit.models.classifier import Classifier


@dataclass(frozen=True)
class Captum(Method):
    """A method of captum, for one image and label at a time.

    Attributions to pixels (3, H, W), or to a block's activations (C, h, w) painted where its cells
    look, become a map as ``sign`` says. What captum holds in memory is captum's: GradientShap and
    DeepLiftShap hold all their samples at once.

    ``class_name``: of ``captum.attr``; ``sign``: ``positive`` maps max(Σ_c φ_c, 0), ``absolute``
    the mean of |φ_c| over the channels; ``arguments``: options of the class and of its
    ``attribute``, such as ``n_steps`` (``baselines`` as one number); ``score``: what is
    explained, ``logit`` or ``probability``; ``block`` and ``placement``: for methods of a layer, as
    of Grad-CAM;
    ``patches``: a method that hides features hides squares, so many per side, 1 or more;
    ``seed``: 0 or more.
    """

    class_name: str
    sign: Sign = "positive"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    score: Score = "logit"
    block: Text | None = None
    placement: Placement = "field"
    patches: Count = 8
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Check class, names, types and ranges; raises ParameterError."""
        super().__post_init__()
        kind = captum_class(self.class_name)
        if self.score == "probability" and not kind.reads_function:
            raise ParameterError(f"captum:{kind.name} explains score logit alone")
        if self.block is not None and not kind.reads_layer:
            raise ParameterError(f"captum:{kind.name} explains pixels: leave block out")
        refuse_unknown(self.arguments, kind.options, "unknown parameter ")
        for name, value in self.arguments.items():
            _check_argument(name, value, kind.options[name])

    @property
    def needs_background(self) -> bool:
        """Whether the class compares with baselines and has no default for them."""
        return captum_class(self.class_name).needs_baselines

    def explainer(
        self, classifier: Classifier, *, compute: Compute, background: Tensor | None = None
    ) -> Explainer:
        """See ``Method.explainer``.

        A label whose score is no number has a map of NaN. Raises NotApplicable where captum
        cannot explain the network.
        """
        return _CaptumExplainer(self, classifier, compute, background)

    def maps(
        self,
        classifier: Classifier,
        images: Tensor,
        labels: Sequence[Sequence[int]],
        keys: Sequence[str],
        compute: Compute,
        background: Tensor | None,
    ) -> list[list[RawMap]]:
        """Explain labels of images that have been checked."""
        import torch

        kind = captum_class(self.class_name)
        size = (int(images.shape[2]), int(images.shape[3]))
        options = self._options(kind, size, compute)
        grid = self.grid(classifier, size)
        if kind.reads_layer and "attribute_to_layer_input" in kind.takes:
            name, _ = self._block(classifier, size)
            options["attribute_to_layer_input"] = name.endswith(INPUT)
        if kind.needs_baselines:
            baselines = background_of(f"captum:{kind.name}", images, background)
            options["baselines"] = compute.place(baselines)
        with evaluating(classifier), _out_of_place(classifier):
            with torch.no_grad():
                numbers = compute.call(classifier, images).isfinite().tolist()
            method = self._build(kind, classifier, size, compute)
            return [
                [
                    RawMap(
                        self._map(method, compute.place(image[None]), label, key, options, grid)
                        if number[label]
                        else np.full(size, np.nan)
                    )
                    for label in asked
                ]
                for image, asked, key, number in zip(images, labels, keys, numbers, strict=True)
            ]

    def _build(
        self, kind: CaptumClass, classifier: Classifier, size: tuple[int, int], compute: Compute
    ) -> Any:
        """Build captum's object, on a model that is called in one batch shape.

        A function gets every batch padded; a class that hooks into modules gets the classifier
        itself, and calls it with the same number of rows for every image.
        """
        building = {name: self.arguments.get(name, old) for name, old in kind.building.items()}
        if kind.name in HOOKS_ACTIVATIONS:
            _check_activations(kind.name, classifier)
        if kind.reads_layer:
            return kind.kind(classifier, self._block(classifier, size)[1], **building)
        if not kind.reads_function:
            return kind.kind(classifier, **building)

        def scores(points: Tensor) -> Tensor:
            return explained_scores(classifier, points, self.score, compute)

        return kind.kind(scores, **building)

    def grid(self, classifier: Classifier, size: tuple[int, int]) -> Grid | None:
        """See ``Explainer.grid``."""
        if not captum_class(self.class_name).reads_layer:
            return None
        block = self._block(classifier, size)[0]
        return grid_of(classifier, block, self.placement, size, named=self.block not in CHOSEN)

    def _block(self, classifier: Classifier, size: tuple[int, int]) -> tuple[str, nn.Module]:
        return explained_block(classifier, self.block, image_size=size)

    def _options(
        self, kind: CaptumClass, size: tuple[int, int], compute: Compute
    ) -> dict[str, Any]:
        options = {name: self.arguments.get(name, old) for name, old in kind.attributing.items()}
        if kind.name == "Occlusion":
            options = {**options, **_windows(options, size)}
        if "feature_mask" in kind.takes and kind.reads_function:
            options["feature_mask"] = _squares(self.patches, size).to(compute.device)
        if "internal_batch_size" in kind.takes:
            options["internal_batch_size"] = compute.batch
        if "perturbations_per_eval" in kind.takes and kind.reads_function:
            options["perturbations_per_eval"] = compute.batch
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in options.items()
        }

    def _map(
        self,
        method: Any,
        image: Tensor,
        label: int,
        key: str,
        options: Mapping[str, Any],
        grid: Grid | None,
    ) -> Any:
        """Give the map (H, W), float64, of one image (1, 3, H, W)."""
        import torch

        with global_seed(legacy_seed(self.seed, key)), torch.enable_grad():
            try:
                found = method.attribute(image.clone().requires_grad_(), target=label, **options)
            except (
                RuntimeError,
                AssertionError,
                ValueError,
                TypeError,
                AttributeError,
            ) as error:
                said = " ".join(str(error).split()) or type(error).__name__
                raise _kind_of(error)(
                    f"captum:{self.class_name} cannot explain this network ({said}): "
                    "take another method, or change its arguments"
                ) from error
        phi = found[0] if isinstance(found, tuple) else found
        if phi.ndim != 4:
            raise ModelError(
                f"captum:{self.class_name} gave attributions {tuple(phi.shape)}, not "
                "(1, C, h, w): name a block with such activations"
            )
        phi = phi.detach().double()
        read = phi.abs().mean(dim=1) if self.sign == "absolute" else phi.sum(dim=1).relu()
        if grid is not None and tuple(read.shape[1:]) == grid.cells:
            return grid.painted(read, (int(image.shape[2]), int(image.shape[3])))[0]
        return np.asarray(read[0].cpu().numpy())

    def cost(self) -> Cost:
        """Count steps or samples, where the class has them; None where the image's size decides."""
        kind = captum_class(self.class_name)
        options = {**kind.options, **self.arguments}
        if kind.needs_baselines and "n_samples" not in options:
            return Cost(None, None, forward_shared=False)
        steps = options.get("n_steps", options.get("n_samples"))
        if kind.differentiates:
            return Cost(steps or 1, steps or 1, forward_shared=False)
        sampled = kind.name in ("Lime", "KernelShap")
        return Cost(steps if sampled else None, 0, forward_shared=False)


class _CaptumExplainer(Explainer):
    """Explains one image and label after the other; captum keeps nothing between them."""

    def __init__(
        self,
        method: Captum,
        classifier: Classifier,
        compute: Compute,
        background: Tensor | None,
    ) -> None:
        super().__init__(classifier, compute)
        self._method = method
        self._background = background
        self.grid = cache(partial(method.grid, classifier))  # type: ignore[method-assign]

    def maps(
        self, images: Tensor, labels: Sequence[Sequence[int]], keys: Sequence[str]
    ) -> list[list[RawMap]]:
        """Explain labels of images."""
        return self._method.maps(
            self.classifier, images, labels, keys, self.compute, self._background
        )


def captum_method(name: str, parameters: Mapping[str, object]) -> Captum:
    """Build ``captum:<name>`` of its parameters, with the defaults of captum's own arguments.

    Raises ParameterError for an unknown class, parameter or argument, and for wrong values.

    >>> captum_method("Saliency", {}).arguments
    {'abs': True}
    """
    kind = captum_class(name)
    if "class_name" in parameters:
        raise ParameterError("unknown parameter class_name: the class stands under `class`")
    given = build(Captum, {"class_name": name, **parameters})
    return replace(given, arguments={**kind.options, **given.arguments})


def captum_schema(name: str) -> dict[str, dict[str, object]]:
    """Give the type and default of each parameter of ``captum:<name>``.

    >>> captum_schema("IntegratedGradients")["arguments"]["default"]["n_steps"]
    50
    """
    default = captum_method(name, {})
    return {
        key: {"type": described(wanted), "default": getattr(default, key)}
        for key, wanted in parameter_types(Captum).items()
        if key != "class_name"
    }


def _kind_of(error: Exception) -> type[ModelError]:
    """Tell an error that the network causes from one of the machine, such as its memory."""
    machine = isinstance(error, RuntimeError) and type(error) is not RuntimeError
    return ModelError if machine else NotApplicable


def _check_argument(name: str, value: object, default: object) -> None:
    """Raise ParameterError unless a value is of its default's type, and counts are positive."""
    if value is None or value == default:
        return
    if name in ("n_steps", "n_samples") and (type(value) is not int or value < 1):
        raise ParameterError(f"{name} is {value!r}: give a whole number, 1 or more")
    if name == "baselines" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ParameterError(f"baselines is {value!r}: give one number, the value of every pixel")
    number = isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool)
    if default is not None and not number and type(value) is not type(default):
        raise ParameterError(f"{name} is {value!r}: give a value such as {default!r}")


def _check_activations(name: str, classifier: Classifier) -> None:
    """Raise NotApplicable where a network has no activation modules to hook into."""
    from torch import nn

    if not any(isinstance(module, nn.ReLU) for module in classifier.modules()):
        raise NotApplicable(
            f"captum:{name} changes how nn.ReLU modules pass gradients back, and this network has "
            "none (it calls functions instead), so its maps would be plain gradients: take "
            "another method"
        )


@contextmanager
def _out_of_place(classifier: Classifier) -> Iterator[None]:
    """Let activations work out of place: hooks on modules cannot follow those in place."""
    changed: list[Any] = [m for m in classifier.modules() if getattr(m, "inplace", False) is True]
    for module in changed:
        module.inplace = False
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True


def _windows(options: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Windows of an eighth of the image each way, at half their size, where none are given."""
    window = options["sliding_window_shapes"] or (3, *(-(-length // 8) for length in size))
    strides = options["strides"] or (window[0], *(-(-length // 2) for length in window[1:]))
    return {"sliding_window_shapes": window, "strides": strides}


def _squares(patches: int, size: tuple[int, int]) -> torch.Tensor:
    """Give the number of each pixel's square, (1, 1, H, W), ``patches`` squares per side."""
    import torch

    if patches > min(size):
        raise ParameterError(
            f"patches is {patches}, but the images have {size[0]}x{size[1]} pixels: "
            f"give at most {min(size)}"
        )
    rows, columns = (torch.arange(length) * patches // length for length in size)
    return (rows[:, None] * patches + columns)[None, None]
