"""Weight randomisation: whether a map depends on what the model has learnt.

Source: Adebayo et al. 2018: weights are replaced by random ones, from the output layer down
(cascading) or in one layer at a time (independent), and the map is compared with the original
one. A map that stays as it was, as an edge detector's does, explains the image and not the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from saliency_audit.errors import ModelError
from saliency_audit.faithfulness.map_status import map_status
from saliency_audit.faithfulness.similarity import Similarity, similarity
from saliency_audit.measures.arrays import SaliencyMap
from saliency_audit.measures.status import Status
from saliency_audit.naming import refuse_unknown
from saliency_audit.ranges import check_at_least

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True)
class RandomisationStep:
    """A layer whose weights have been made random, and how alike the map still is.

    ``layer``: its name in ``named_modules``, empty for the model's own weights; ``similarity``:
    of the map with the original one. In a cascade, all earlier steps' layers are random too.
    """

    layer: str
    similarity: Similarity


@dataclass(frozen=True)
class WeightRandomisation:
    """How alike a map stays to the original one when weights are random.

    ``steps``: from the output down; ``unchanged``: layers that have no step because their initial
    weights are those that they have, such as a normalisation that was not trained; ``spearman``
    and ``ssim``: means in [-1, 1] over the steps that have a value, near 1 where the map does not
    depend on the weights; ``counted``: how many steps these are. ``status``: ``ok`` where all
    have one; else that of the original map, without steps then, or of the first step without.
    """

    steps: tuple[RandomisationStep, ...]
    unchanged: tuple[str, ...]
    spearman: float | None
    ssim: float | None
    counted: int
    status: Status


def weight_randomisation(
    model: Module,
    explain: Callable[[Module], SaliencyMap],
    images: Tensor,
    *,
    order: Literal["cascading", "independent"],
    seed: int,
    layers: Sequence[str] | None = None,
    ssim_window: int | None = None,
) -> WeightRandomisation:
    """Compare a model's map with those of copies whose weights are random.

    ``model`` stays as it is; ``explain``: a model to a map (H, W) of one image and label, its
    random numbers the same at each call; ``images``: (B, C, H, W) that the model can be called
    on, which shows the order of its layers; ``seed``: 0 or more, of which with a layer's name its
    random weights are made, the same in both orders; ``layers``: some of ``layers_from_output``,
    or None for all; ``ssim_window``: as of ``similarity``.

    A layer takes the weights that its ``reset_parameters`` gives, which for a batch normalisation
    includes its running statistics; one without takes its own values in a random order. Copies
    are in evaluation mode. Raises ModelError for a model without weights that can be made random,
    ParameterError for an unknown order or layer, or a wrong window, DataError for other maps.
    """
    check_at_least(0, seed=seed)
    refuse_unknown([order], ("cascading", "independent"), "order is ")
    parts = _parts_from_output(model, images)
    chosen = list(parts) if layers is None else list(layers)
    refuse_unknown(chosen, parts, "layers names ")
    original = explain(_copy(model))
    status = map_status(np.abs(original))
    if status is not Status.OK:
        return WeightRandomisation((), (), None, None, 0, status)
    steps, unchanged = [], []
    randomised = _copy(model)
    for layer in (name for name in parts if name in chosen):
        if order == "independent":
            randomised = _copy(model)
        if not _randomise(randomised, parts[layer], seed):
            unchanged.append(layer)
            continue
        alike = similarity(original, explain(randomised), ssim_window=ssim_window)
        steps.append(RandomisationStep(layer, alike))
    if not steps:
        raise ModelError(
            "no layer's weights differ from its initial ones, so there is nothing to randomise: "
            "give a trained model, or other layers"
        )
    return _summary(steps, unchanged)


def _summary(steps: list[RandomisationStep], unchanged: list[str]) -> WeightRandomisation:
    found = [step.similarity for step in steps]
    spearman = [alike.spearman for alike in found if alike.spearman is not None]
    ssim = [alike.ssim for alike in found if alike.ssim is not None]
    statuses = (alike.status for alike in found if alike.status is not Status.OK)
    return WeightRandomisation(
        steps=tuple(steps),
        unchanged=tuple(unchanged),
        spearman=float(np.mean(spearman)) if spearman else None,
        ssim=float(np.mean(ssim)) if ssim else None,
        counted=len(spearman),
        status=next(statuses, Status.OK),
    )


def layers_from_output(model: Module, images: Tensor) -> tuple[str, ...]:
    """Names of the layers with weights, the one called last first.

    ``images``: (B, C, H, W) that the model can be called on. A module that is never called, as the
    output projection of ``MultiheadAttention``, counts as part of the nearest one around it that
    is. Weights that a module with parts holds itself, as a transformer's position embeddings,
    count as used when it is entered. Raises ModelError for a model without weights.

    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    >>> layers_from_output(model, torch.zeros(1, 1, 2, 2))
    ('3', '0')
    """
    return tuple(_parts_from_output(model, images))


def _parts_from_output(model: Module, images: Tensor) -> dict[str, list[str]]:
    """Give, for each layer from the output down, the modules that hold its weights."""
    traced = _copy(model)
    calls = _first_calls(traced, images)
    parts: dict[str, list[str]] = {}
    for name, module in traced.named_modules():
        if next(module.parameters(recurse=False), None) is not None:
            parts.setdefault(next(n for n in _outwards(name) if n in calls), []).append(name)
    if not parts:
        raise ModelError("the model has no weights to randomise: give one that has")
    return {layer: parts[layer] for layer in sorted(parts, key=lambda n: -calls[n])}


def _first_calls(model: Module, images: Tensor) -> dict[str, int]:
    """Give each module that is called its place in the order of first calls; the model has 0."""
    import torch

    calls: dict[str, int] = {}

    def record(name: str, module: Module) -> None:
        def hook(called: Module, inputs: object) -> None:
            calls.setdefault(name, len(calls))

        module.register_forward_pre_hook(hook)

    for name, module in model.named_modules():
        record(name, module)
    with torch.no_grad():
        model(images)
    return calls


def _outwards(name: str) -> Iterator[str]:
    """Give a module's name and the names of those around it, the model last."""
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""


def _copy(model: Module) -> Module:
    return deepcopy(model).eval()


def _randomise(model: Module, names: Sequence[str], seed: int) -> bool:
    """Make the weights of modules random, in place; give whether any is another than before."""
    import torch

    changed = False
    for name in names:
        module = model.get_submodule(name)
        fresh = _initialised(module, seed, name)
        with torch.no_grad():
            for kind in ("_parameters", "_buffers"):
                for key, tensor in getattr(module, kind).items():
                    if tensor is not None:
                        new = getattr(fresh, kind)[key].to(tensor.device)
                        changed = changed or not torch.equal(tensor, new)
                        tensor.copy_(new)
    return changed


def _initialised(module: Module, seed: int, name: str) -> Module:
    """Give a copy of a module with random weights, drawn on the CPU wherever the module is."""
    import torch

    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    fresh = deepcopy(module).cpu()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        # The CPU's generator alone: torch.manual_seed would touch the GPU's as well.
        torch.default_generator.manual_seed(int.from_bytes(digest[:4], "big"))
        reset = getattr(fresh, "reset_parameters", None)
        if callable(reset):
            reset()
        else:
            for parameter in fresh.parameters(recurse=False):
                shuffled = parameter.flatten()[torch.randperm(parameter.numel())]
                parameter.copy_(shuffled.view_as(parameter))
    return fresh
