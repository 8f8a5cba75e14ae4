"""What every architecture promises, and how to look at it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from saliency_audit.attribution.seeds import global_seed
from saliency_audit.models.architectures import build
from saliency_audit.testing.contract import Check, Promise, checks, promise, require, run_all
from saliency_audit.testing.global_state import taken

#: How far an output may move with the rows beside it, as a share of the largest.
ROUNDING = 1e-4


@dataclass(frozen=True)
class NetworkTrial:
    """An architecture to be tried by its name, on images of a size (H, W)."""

    architecture: str
    input_size: tuple[int, int]

    def build(self, outputs: int = 3, seed: int = 0) -> nn.Module:
        """Build the network, in evaluation mode."""
        return build(self.architecture, outputs, self.input_size, seed=seed).eval()

    def images(self, count: int = 3) -> Tensor:
        """Give random images (count, 3, H, W), the same at each call."""
        return torch.rand(count, 3, *self.input_size, generator=torch.Generator().manual_seed(1))


def architecture_checks(
    architecture: str,
    *,
    input_size: tuple[int, int] = (32, 32),
    expected: Mapping[str, str] | None = None,
) -> Iterator[Check[NetworkTrial]]:
    """Give the checks of ``check_architecture`` one by one, for ``pytest.mark.parametrize``."""
    trial = NetworkTrial(architecture, input_size)
    return checks(PROMISES, f"architecture {architecture}", trial, expected or {})


def check_architecture(
    architecture: str,
    *,
    input_size: tuple[int, int] = (32, 32),
    expected: Mapping[str, str] | None = None,
) -> list[str]:
    """Check that an architecture keeps what every one promises; gives the names of the checks.

    ``architecture``: its registered name; ``input_size``: (H, W) of the images, pixels;
    ``expected``: by the name of a check, why it does not hold. Raises ContractError that names
    each broken promise and how to mend it.

    >>> "has_an_output_per_label" in check_architecture("cnn")
    True
    """
    return run_all(architecture_checks(architecture, input_size=input_size, expected=expected))


@promise(
    "It gives one finite number per label for each image.",
    "give (B, outputs) before softmax or sigmoid",
)
def _has_an_output_per_label(trial: NetworkTrial) -> None:
    for outputs in (1, 4):
        with torch.no_grad():
            given = trial.build(outputs)(trial.images())
        shape = tuple(given.shape)
        require(shape == (3, outputs), f"for 3 images and {outputs} outputs it gives {shape}")
        require(torch.isfinite(given).all(), "an output is not finite")


@promise(
    "The seed decides its weights, and leaves the process's random numbers as they were.",
    "draw weights by torch's own initialisers, with no generator of its own",
)
def _weights_follow_the_seed(trial: NetworkTrial) -> None:
    before = taken()
    first = trial.build().state_dict()
    with global_seed(7):
        again = trial.build().state_dict()
    other = trial.build(seed=1).state_dict()
    require(taken() == before, "building it changed the state of the process")
    require(list(first) == list(again), "built again it has other weights")
    same = all(torch.equal(value, again[name]) for name, value in first.items())
    require(same, "built again with the same seed, it has other weights")
    moved = any(not torch.equal(value, other[name]) for name, value in first.items())
    require(moved, "seeds 0 and 1 give the same weights")


@promise(
    "In evaluation mode an image has the same outputs whatever stands beside it, each time.",
    "leave batch statistics, dropout and noise to training mode",
)
def _rows_are_apart(trial: NetworkTrial) -> None:
    network, images = trial.build(), trial.images()
    state = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        together, again = network(images), network(images)
        alone = torch.cat([network(image[None]) for image in images])
    require(torch.equal(together, again), "asked again, it gives other outputs")
    apart = float((together - alone).abs().max() / together.abs().max().clamp(min=1e-12))
    require(apart <= ROUNDING, f"alone, an image's outputs move by {apart:.1e} of the largest")
    kept = all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    require(kept, "asking it changed what it holds")


@promise(
    "It can be trained, and explained by its gradient.",
    "compute outputs by torch alone, without detach",
)
def _gradients_reach_all(trial: NetworkTrial) -> None:
    network, images = trial.build(), trial.images().requires_grad_()
    network(images).square().sum().backward()
    require(images.grad is not None and bool(images.grad.any()), "no gradient reaches the pixels")
    for name, parameter in network.named_parameters():
        require(parameter.grad is not None, f"no gradient reaches {name}")


@promise(
    "Its weights are all that it holds: built again and given them, it is the same network.",
    "register what it computes with as parameters or persistent buffers",
)
def _weights_are_all(trial: NetworkTrial) -> None:
    one, other = trial.build(), trial.build(seed=1)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(0.01)
        other.load_state_dict(one.state_dict())
        same = torch.equal(one(trial.images()), other(trial.images()))
    require(same, "with the weights of another, it gives other outputs than that")


#: In the order in which they are looked at.
PROMISES: tuple[Promise[NetworkTrial], ...] = (
    _has_an_output_per_label,
    _weights_follow_the_seed,
    _rows_are_apart,
    _gradients_reach_all,
    _weights_are_all,
)
