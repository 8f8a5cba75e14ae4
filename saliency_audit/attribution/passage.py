"""Whether one block speaks for a network: what its scores read of an image that misses the block.

The last convolution of an ensemble is its last member's, and that of a network
with an attention gate may be the gate, one number for each place. A map of
either is not one of the network. Both show in the graph that automatic
differentiation records of one pass: here it is walked, never differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from saliency_audit.errors import NotApplicable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from saliency_audit.models.classifier import Classifier

#: A step of the recorded graph; those that it read are its ``next_functions``.
Step = Any
#: Candidates that a message names.
SHOWN = 6


@dataclass
class _Recorded:
    """One pass: ``steps`` of the block, ``channels`` of it, ``grids``: modules by what they gave.

    ``convolutions``: the step of each convolution that gives a grid, and its name; ``image``: the
    step that gives the image.
    """

    image: Step
    scores: Step = None
    steps: set[Step] = field(default_factory=set)
    channels: int = 0
    grids: set[str] = field(default_factory=set)
    convolutions: dict[Step, str] = field(default_factory=dict)


def check_passage(
    classifier: Classifier, name: str, block: nn.Module, size: tuple[int, int], *, of_input: bool
) -> None:
    """Raise NotApplicable where a default block is not what a network's scores are made of.

    It has one channel, so that its map weighs nothing; or other blocks, beside it and not before
    or after it, bring the image to the scores as well. The message names the candidates.
    ``block``: of this dotted ``name``; ``of_input``: whether its input is meant; ``size``: (h, w)
    in pixels that the network reads.
    """
    recorded = _record(classifier.network, block, size, of_input=of_input)
    if recorded.channels == 1:
        others = _named(_feeding(recorded), recorded, name)
        raise NotApplicable(
            f"the last convolutional block, {name}, has one channel, as an attention gate has, so "
            f"Grad-CAM and its kin would weigh nothing: name another with `block`"
            f"{_candidates(others)}"
        )
    if beside := _named(_beside(recorded), recorded, name):
        raise NotApplicable(
            f"the network's scores come from several blocks beside each other, and {name} is but "
            f"one of them, so Grad-CAM and its kin cannot explain the network by it: name one with "
            f"`block`{_candidates([name, *beside])}, or use shap, lime or rise"
        )


def _candidates(names: Iterable[str]) -> str:
    known = list(names)
    more = ", ..." if len(known) > SHOWN else ""
    return f" ({', '.join(known[:SHOWN])}{more})" if known else ""


def _record(
    network: nn.Module, block: nn.Module, size: tuple[int, int], *, of_input: bool
) -> _Recorded:
    import torch

    from saliency_audit.compute import evaluating

    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    noise = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0)) * 4 - 2
    with torch.enable_grad(), evaluating(network):
        image = noise.to(device).requires_grad_().clone()
        recorded = _Recorded(image.grad_fn)
        handles = list(_hooks(network, block, recorded, of_input=of_input))
        try:
            recorded.scores = network(image).grad_fn
        finally:
            for handle in handles:
                handle.remove()
    return recorded


def _hooks(
    network: nn.Module, block: nn.Module, recorded: _Recorded, *, of_input: bool
) -> Iterator[torch.utils.hooks.RemovableHandle]:
    def note(value: object) -> None:
        if _is_grid(value):
            recorded.steps.add(value.grad_fn)  # type: ignore[attr-defined]
            recorded.channels = int(value.shape[1])  # type: ignore[attr-defined]

    def before(_: nn.Module, inputs: tuple[object, ...]) -> None:
        note(inputs[0] if inputs else None)

    if of_input:
        yield block.register_forward_pre_hook(before)
    else:
        yield block.register_forward_hook(lambda _, inputs, output: note(output))
    for name, module in network.named_modules():
        if name:
            yield module.register_forward_hook(_grid_hook(name, recorded))


def _grid_hook(name: str, recorded: _Recorded) -> Callable[[nn.Module, object, object], None]:
    def hook(module: nn.Module, _: object, output: object) -> None:
        from torch import nn

        if _is_grid(output):
            recorded.grids.add(name)
            if isinstance(module, nn.Conv2d):
                recorded.convolutions[output.grad_fn] = name  # type: ignore[attr-defined]

    return hook


def _is_grid(value: object) -> bool:
    """Whether a value is (B, C, h, w) with more than one place each way."""
    import torch

    return isinstance(value, torch.Tensor) and value.ndim == 4 and min(value.shape[2:]) > 1


def _beside(recorded: _Recorded) -> list[Step]:
    """Give the last convolutions on the ways from image to scores that are beside the block."""
    before = _reached(recorded.steps, ())
    found = []
    for step in _frontier([recorded.scores], recorded.steps, recorded.convolutions):
        apart = _reached([step], recorded.steps)
        after = recorded.steps & apart
        if step not in before and not after and recorded.image in apart:
            found.append(step)
    return found


def _feeding(recorded: _Recorded) -> list[Step]:
    """Give the last convolutions before the scores, or before the block, but for its own."""
    own = _frontier(recorded.steps, (), recorded.convolutions)
    starts = [recorded.scores, *(read for step in own for read in _reads(step))]
    return [
        step for step in _frontier(starts, recorded.steps, recorded.convolutions) if step not in own
    ]


def _named(steps: Iterable[Step], recorded: _Recorded, block: str) -> list[str]:
    """Name the outermost modules around convolutions that give a grid and do not hold the block."""
    names = dict.fromkeys(
        _outermost(recorded.convolutions[step], recorded.grids, block) for step in steps
    )
    return sorted(name for name in names if name)


def _outermost(name: str, grids: set[str], block: str) -> str:
    parts = name.split(".")
    around = [".".join(parts[: n + 1]) for n in range(len(parts))]
    fitting = [own for own in around if own in grids and not f"{block}.".startswith(f"{own}.")]
    return fitting[0] if fitting else ""


def _frontier(starts: Iterable[Step], end: Iterable[Step], stops: Iterable[Step]) -> list[Step]:
    """Give the first of ``stops`` on each way back from ``starts``, none beyond ``end``."""
    met = _reached(starts, {*end, *stops})
    return [step for step in stops if step in met and step not in set(end)]


def _reached(starts: Iterable[Step], walls: Iterable[Step]) -> set[Step]:
    """Give all steps that can be reached back from some, those included; none beyond a wall."""
    blocked, found = set(walls), set(starts)
    waiting = list(found)
    while waiting:
        step = waiting.pop()
        for read in () if step in blocked else _reads(step):
            if read not in found:
                found.add(read)
                waiting.append(read)
    return found


def _reads(step: Step) -> list[Step]:
    return [] if step is None else [read for read, _ in step.next_functions if read is not None]
