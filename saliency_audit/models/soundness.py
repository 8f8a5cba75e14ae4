"""What a network must be for a map to be of it: one table of numbers, the same each time.

A network that returns something else, draws random numbers or looks at the
images beside one cannot be explained, whatever the method: each is a
ModelError that says which, and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from saliency_audit.errors import ModelError

#: How far an output may move with the rows beside it, as a share of the largest: rounding.
ROUNDING = 1e-3


def check_modules(network: nn.Module) -> None:
    """Raise ModelError for batch norms without statistics of their own, or half precision.

    >>> check_modules(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)))
    Traceback (most recent call last):
    saliency_audit.errors.ModelError: the batch norm 0 keeps no running statistics ...
    """
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise ModelError(
                f"the batch norm {name} keeps no running statistics: an image's outputs would "
                "depend on the images beside it; build it with track_running_stats=True, and take "
                "weights that hold running_mean and running_var"
            )
    for name, parameter in network.named_parameters():
        if parameter.dtype in (torch.float16, torch.bfloat16):
            raise ModelError(
                f"the weights {name} are {_words(parameter.dtype)}: call float() on the network; "
                "compute.precision lowers the precision where that is wanted"
            )


def check_precision(network: nn.Module, images: Tensor) -> None:
    """Raise ModelError where weights are of another precision than images (B, C, h, w)."""
    for name, parameter in network.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != images.dtype:
            raise ModelError(
                f"the weights {name} are {_words(parameter.dtype)} and the images "
                f"{_words(images.dtype)}: give both one precision, float() or double()"
            )


def check_outputs(given: object, images: Tensor, wanted: int | None) -> Tensor:
    """Give what a network returned for images (B, C, h, w), if it is outputs (B, wanted).

    ``wanted``: how many outputs, None for any number. Raises ModelError that says what it is
    instead and what to do.
    """
    if not isinstance(given, Tensor):
        raise ModelError(
            f"the network gives {_kind(given)}, and one tensor is wanted: {_way(given)}"
        )
    count = "any number of" if wanted is None else wanted
    if given.ndim != 2 or len(given) != len(images) or wanted not in (None, given.shape[1]):
        raise ModelError(
            f"the network gives {tuple(given.shape)} for {len(images)} images, and "
            f"({len(images)}, {count}) is wanted: {_advice(given, wanted)}"
        )
    if given.dtype not in (torch.float32, torch.float64):
        raise ModelError(
            f"the network gives {_words(given.dtype)} for images in {_words(images.dtype)}: "
            "end it in the precision of its weights, without half() or rounding"
        )
    return given


def _advice(given: Tensor, wanted: int | None) -> str:
    if given.ndim != 2:
        return "pool and flatten what it gives, so that each image has one row"
    if wanted == 1:
        return (
            "a binary classifier has one output, or name the two of [negative, positive] as "
            "outputs: [0, 1] in model.yaml"
        )
    return (
        "name every output in labels, in their order, or those of the labels as outputs: "
        "[indices] in model.yaml"
    )


def _kind(given: object) -> str:
    if isinstance(given, Mapping):
        return f"a dictionary ({', '.join(map(str, list(given)[:4]))})"
    if isinstance(given, tuple | list):
        return f"a {type(given).__name__} of {len(given)}"
    return f"a {type(given).__name__}"


def _way(given: object) -> str:
    if isinstance(given, Mapping):
        return f"return one of its values, as outputs[{next(iter(given), 'logits')!r}]"
    if isinstance(given, tuple | list):
        return "return its first part, without auxiliary outputs or features"
    if hasattr(given, "logits"):
        return "return its .logits"
    return "return the scores before softmax or sigmoid"


def _words(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def random_state(device: torch.device) -> Tensor:
    """Give the state of the generator that random layers on a device draw from."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def check_not_random(before: Tensor, device: torch.device) -> None:
    """Raise ModelError where random numbers have been drawn since ``random_state``."""
    if not torch.equal(before, random_state(device)):
        raise ModelError(
            "the network draws random numbers in evaluation mode, so that each pass is of another "
            "model: give functional dropout training=self.training, or take a Dropout module"
        )


def check_rows_apart(network: nn.Module, images: Tensor) -> None:
    """Raise ModelError where an image's outputs depend on those beside it, of images (B, C, h, w).

    The network gives (B, n) and is in evaluation mode.
    """
    with torch.no_grad():
        together, alone = network(images), torch.cat([network(image[None]) for image in images])
    largest = together.abs().max().clamp(min=torch.finfo(together.dtype).tiny)
    if float((together - alone).abs().max() / largest) > ROUNDING:
        raise ModelError(
            "an image's outputs depend on the images beside it: normalise by running statistics, "
            "not by those of the batch"
        )
