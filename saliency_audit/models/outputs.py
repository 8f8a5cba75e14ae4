"""What a network's outputs are to a classifier: which are the labels', and scores or probabilities.

A network may end in a sigmoid or softmax. Probabilities taken twice are of
another model, and a map of a probability is flat where the model is sure; so
the last activation is bypassed where it is a module, else inverted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from saliency_audit.errors import ModelError
from saliency_audit.labelling import Labelling
from saliency_audit.models.soundness import check_outputs

Activation = Literal["sigmoid", "softmax"]
#: Inverted probabilities are held to [CLAMP, 1 - CLAMP]: scores of a sigmoid lie within ±13.8.
CLAMP = 1e-6
#: How far the probabilities of an image may be from a sum of one: rounding of half precision.
SUM = 1e-3
#: Steps of autograd's graph that change no value.
UNCHANGED = (
    *("Squeeze", "Unsqueeze", "View", "UnsafeView", "Reshape", "Flatten", "Clone", "ToCopy", "T"),
    *("Slice", "Select", "Alias", "Expand", "Transpose", "Permute", "Split", "Index"),
)
LAST: dict[str, Activation] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
MODULES: dict[type[nn.Module], Activation] = {nn.Softmax: "softmax", nn.Sigmoid: "sigmoid"}


@dataclass(frozen=True)
class Reading:
    """How a network's outputs (B, n) become outputs of the labels.

    ``indices``: the outputs of the labels, in their order; of a binary classifier that of the
    positive label alone, or those of [negative, positive], of which it takes the difference; None:
    all of them; ``inverted``: what is inverted first: the network ends in it.
    """

    indices: tuple[int, ...] | None = None
    inverted: Activation | None = None

    def wanted(self, labels: int, labelling: Labelling) -> int | None:
        """How many outputs the network has to have, None for as many as it likes."""
        if self.indices is not None:
            return None
        return 1 if labelling is Labelling.BINARY else labels

    def __call__(self, given: Tensor, labelling: Labelling) -> Tensor:
        """Give outputs (B, labels), or (B, 1) of a binary classifier, before softmax or sigmoid.

        >>> given = torch.tensor([[0.5, 0.25, 0.25]])
        >>> Reading((0, 2), "softmax")(given, Labelling.BINARY).exp()
        tensor([[0.5000]])
        """
        if self.inverted == "sigmoid":
            given = torch.logit(given, eps=CLAMP)
        if self.inverted == "softmax":
            given = given.clamp(min=CLAMP).log()
        if self.indices is None:
            return given
        if max(self.indices) >= given.shape[1]:
            raise ModelError(
                f"outputs names {max(self.indices)} and the network has {given.shape[1]}, the last "
                f"being {given.shape[1] - 1}: name others in model.yaml"
            )
        chosen = given[:, list(self.indices)]
        if labelling is Labelling.BINARY and len(self.indices) == 2:
            return chosen[:, 1:] - chosen[:, :1]
        return chosen


def last_activation(network: nn.Module, images: Tensor) -> Activation | None:
    """Say in what a network ends, as autograd tells of images (B, C, h, w); None for neither.

    Also where it is no module but a function.

    >>> last_activation(nn.Sequential(nn.Flatten(), nn.Softmax(1)), torch.rand(2, 1, 2, 2))
    'softmax'
    """
    with torch.enable_grad():
        given = network(images.clone().requires_grad_())
    step: Any = given.grad_fn if isinstance(given, Tensor) else None
    while step is not None:
        name = type(step).__name__.partition("Backward")[0]
        if name not in UNCHANGED:
            return LAST.get(name)
        step = step.next_functions[0][0] if step.next_functions else None
    return None


def looks_like(outputs: Tensor) -> Activation | None:
    """Say of what outputs (n, k) look like the result, from their values alone; None of neither.

    Rows that sum to one are of a softmax, others in [0, 1] of a sigmoid.

    >>> looks_like(torch.tensor([[0.1, 0.9], [0.7, 0.3]]))
    'softmax'
    """
    if not len(outputs) or bool((outputs < 0).any()) or bool((outputs > 1).any()):
        return None
    sums = outputs.double().sum(dim=1)
    return "softmax" if outputs.shape[1] > 1 and bool((sums - 1).abs().max() <= SUM) else "sigmoid"


def check_scores(network: nn.Module, images: Tensor) -> None:
    """Raise ModelError where a network ends in softmax or sigmoid, which would be taken twice."""
    found = last_activation(network, images)
    if found is None:
        with torch.no_grad():
            found = "softmax" if looks_like(network(images)) == "softmax" else None
    if found is not None:
        raise ModelError(
            f"the network ends in a {found}, and the audit would take it once more: write "
            "`outputs: probabilities` under adopt in model.yaml, or `outputs: scores` if what it "
            "gives are scores all the same"
        )


def read_probabilities(
    network: nn.Module, images: Tensor, labelling: Labelling, indices: Sequence[int] | None
) -> Reading:
    """Give the reading of a network that ends in probabilities, in evaluation mode.

    Its last activation is taken out of it, in place, where it is a module that is used there alone;
    else the reading inverts it. ``images`` (B, C, h, w) to try it on. Raises ModelError where what
    it gives is not in [0, 1].
    """
    with torch.no_grad():
        before = check_outputs(network(images), images, None)
    if looks_like(before) is None:
        raise ModelError(
            "outputs is probabilities, but the network gives "
            f"{float(before.min()):.3g} to {float(before.max()):.3g}: leave the key out where it "
            "ends in scores"
        )
    chosen = None if indices is None else tuple(indices)
    kind = last_activation(network, images) or _by_labelling(before, labelling)
    for path in _last_modules(network, images):
        if _bypassed(network, path, images, before, kind):
            return Reading(chosen)
    return Reading(chosen, kind)


def _by_labelling(before: Tensor, labelling: Labelling) -> Activation:
    several = labelling is not Labelling.MULTILABEL and before.shape[1] > 1
    return "softmax" if several else "sigmoid"


def _last_modules(network: nn.Module, images: Tensor) -> list[str]:
    """Paths of the activations that ran, the last first."""
    ran: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in network.named_modules()
        if type(module) in MODULES and name
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return list(dict.fromkeys(reversed(ran)))


def _bypassed(
    network: nn.Module, path: str, images: Tensor, before: Tensor, kind: Activation
) -> bool:
    """Whether a module could be taken out: its activation of what is left is what was before."""
    parent, _, name = path.rpartition(".")
    owner = network.get_submodule(parent)
    taken = getattr(owner, name)
    setattr(owner, name, nn.Identity())
    with torch.no_grad():
        given = network(images)
        again = given.softmax(dim=1) if kind == "softmax" else given.sigmoid()
    if torch.allclose(again, before, rtol=1e-4, atol=1e-6):
        return True
    setattr(owner, name, taken)
    return False
