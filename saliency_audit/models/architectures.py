"""Networks by name, with an output per label: what a classifier or a reader of weights builds on.

Families: ``cnn``, the small network of the XAIMed paper; torchvision's
classifiers by their own names; ``timm:<name>``, ``xrv:<name>`` and
``monai:<name>`` for those of timm, TorchXRayVision and MONAI; and those that
other distributions register by entry point (``saliency_audit.plugins``).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from saliency_audit import plugins
from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.models.head import read_channels
from saliency_audit.models.medical import FAMILIES, medical_network
from saliency_audit.models.weights import put_weights
from saliency_audit.naming import hint
from saliency_audit.ranges import check_at_least

#: torchvision's classifiers that want images of one size, and the argument that says which.
SIZED = {"vit_": "image_size", "maxvit": "input_size"}
#: torchvision's CNNs with a second head for training, which this audit builds without it.
TWO_HEADED = ("googlenet", "inception_v3")
TIMM = "timm:"


class Cnn(nn.Module):
    """The CNN of the XAIMed paper (Table 1), before its last activation.

    Two convolutions of 3×3 (16 and 32 channels, same size, ReLU), each followed by batch norm and
    a 2×2 max pooling; a layer of 256 with ReLU; dropout of 0.5; ``outputs`` numbers. Images
    (B, in_channels, height, width) of ``input_size`` (height, width), at least 4 pixels each.
    """

    def __init__(self, outputs: int, input_size: tuple[int, int], in_channels: int = 3) -> None:
        super().__init__()
        height, width = input_size
        if min(input_size) < 4:
            raise ParameterError(
                f"input_size is {height}x{width}: architecture cnn halves it twice, "
                "give 4 pixels or more each way"
            )
        self.input_size = (height, width)
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(32)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(32 * (height // 4) * (width // 4), 256)
        self.dropout = nn.Dropout(0.5)
        self.fc2 = nn.Linear(256, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Give outputs (B, outputs) of images (B, in_channels, height, width)."""
        if tuple(images.shape[-2:]) != self.input_size:
            size = "x".join(map(str, images.shape[-2:]))
            wanted = "x".join(map(str, self.input_size))
            raise ModelError(
                f"a cnn built for images of {wanted} was given {size}: set input_size in model.yaml"
            )
        features = self.pool(self.bn1(self.conv1(images).relu()))
        features = self.pool(self.bn2(self.conv2(features).relu()))
        hidden = self.fc1(features.flatten(1)).relu()
        outputs: Tensor = self.fc2(self.dropout(hidden))
        return outputs


def build(
    architecture: str,
    outputs: int,
    input_size: tuple[int, int],
    *,
    pretrained: bool = False,
    in_channels: int = 3,
    seed: int = 0,
) -> nn.Module:
    """Build a network (B, in_channels, h, w) → (B, outputs) by name.

    ``input_size``: (h, w) of the images it will see, in pixels; ``pretrained``: start from the
    ImageNet weights of torchvision or timm, all but the last layer; ``seed``: of the random
    weights, the same bytes for the same seed. Raises ParameterError for an unknown name, a wrong
    number, or a plugin that cannot be imported; ModelError where pretrained weights cannot be had
    or the images are too small.

    >>> build("cnn", 2, (50, 50)).fc1.in_features  # 12 · 12 · 32, as in the paper
    4608
    >>> build("cnm", 2, (50, 50))
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: unknown architecture 'cnm': did you mean cnn?
    """
    check_at_least(1, outputs=outputs, in_channels=in_channels)
    plugin = architecture_plugin(architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if architecture == "cnn":
            if pretrained:
                raise ParameterError(
                    "architecture cnn has no pretrained weights: set pretrained: false"
                )
            return Cnn(outputs, input_size, in_channels)
        if plugin is not None:
            network = _of_plugin(plugin, outputs, input_size, pretrained, in_channels)
        elif architecture.startswith(TIMM):
            network = _timm(architecture, outputs, input_size, pretrained, in_channels)
        elif architecture.startswith(FAMILIES):
            if pretrained:
                raise ParameterError(
                    f"architecture {architecture} is built without its weights: set pretrained: "
                    "false, or adopt them"
                )
            network = medical_network(architecture, outputs, in_channels)
        else:
            network = _torchvision(architecture, outputs, input_size, pretrained, in_channels)
        _try(network, architecture, outputs, (in_channels, *input_size))
    return network


def check_architecture(architecture: str) -> None:
    """Raise ParameterError for a name that ``build`` does not know, with the nearest that it does.

    >>> check_architecture("cnn")
    """
    if architecture == "cnn" or architecture_plugin(architecture) is not None:
        return
    if architecture.startswith(TIMM):
        import timm

        name = architecture.removeprefix(TIMM)
        if "/" in name or not timm.is_model(name):
            said = hint(name, timm.list_models())
            raise ParameterError(f"unknown architecture {architecture!r}: {said}")
        return
    if architecture.startswith(FAMILIES):
        return  # the package says, when it builds it
    known = _of_torchvision()
    if architecture not in known:
        families = ["timm:<name>", *(f"{family}<name>" for family in FAMILIES)]
        own = ["cnn", *plugins.names(plugins.ARCHITECTURES), *known, *families]
        raise ParameterError(f"unknown architecture {architecture!r}: {hint(architecture, own)}")


def architecture_plugin(architecture: str) -> plugins.Plugin | None:
    """Give the plugin that registers an architecture, or None; errors as of ``plugins.find``.

    The names of torchvision count as built in.
    """
    own: list[str] = ["cnn"]
    if architecture in plugins.names(plugins.ARCHITECTURES) and architecture != "cnn":
        own += _of_torchvision()
    if architecture.startswith((TIMM, *FAMILIES)):
        return None
    return plugins.find(plugins.ARCHITECTURES, architecture, own)


def _of_torchvision() -> list[str]:
    from torchvision import models

    return list(models.list_models(models))


def _of_plugin(
    plugin: plugins.Plugin,
    outputs: int,
    input_size: tuple[int, int],
    pretrained: bool,
    in_channels: int,
) -> nn.Module:
    make = plugin.load()
    options = {"pretrained": True} if pretrained else {}
    try:
        taken = inspect.signature(make)
        if pretrained and "pretrained" not in taken.parameters:
            raise ParameterError(f"{plugin} has no pretrained weights: set pretrained: false")
        taken.bind(outputs, input_size, in_channels, **options)
    except TypeError as error:
        raise ParameterError(
            f"{plugin} cannot be called with outputs, input_size and in_channels: {error}"
        ) from None
    network = make(outputs, input_size, in_channels, **options)
    if not isinstance(network, nn.Module):
        raise ParameterError(f"{plugin} gives no torch.nn.Module: have it return the network")
    return network


def _torchvision(
    architecture: str,
    outputs: int,
    input_size: tuple[int, int],
    pretrained: bool,
    in_channels: int,
) -> nn.Module:
    from torchvision import models

    check_architecture(architecture)
    if pretrained and in_channels != 3:
        raise ParameterError(
            f"the pretrained weights of {architecture} read 3 channels: set channels: RGB, or "
            "pretrained: false"
        )
    options: dict[str, Any] = {"num_classes": outputs}
    if architecture in TWO_HEADED:
        options |= {"aux_logits": False, "init_weights": True}
    for beginning, argument in SIZED.items():
        if architecture.startswith(beginning):
            options[argument] = _square(architecture, input_size, argument)
    try:
        network: nn.Module = models.get_model(architecture, weights=None, **options)
    except (ValueError, RuntimeError, AssertionError) as error:
        size = "x".join(map(str, input_size))
        raise ModelError(
            f"architecture {architecture} cannot read images of {size}: {error}; "
            "set another input_size in model.yaml"
        ) from None
    if in_channels != 3:
        read_channels(network, in_channels)
    if pretrained:
        weights = models.get_model_weights(architecture).DEFAULT
        try:
            state = weights.get_state_dict(progress=False, check_hash=True)
        except Exception as error:  # whatever the network, the file system or torch.hub says
            raise _unavailable(architecture, error) from None
        load_all_but_head(network, state, architecture)
    return network


def _square(architecture: str, input_size: tuple[int, int], argument: str) -> Any:
    height, width = input_size
    if argument == "input_size":
        return input_size
    if height != width:
        raise ParameterError(
            f"input_size is {height}x{width}: architecture {architecture} reads squares"
        )
    return height


def _timm(
    architecture: str,
    outputs: int,
    input_size: tuple[int, int],
    pretrained: bool,
    in_channels: int,
) -> nn.Module:
    import timm

    check_architecture(architecture)
    name = architecture.removeprefix(TIMM)
    if not pretrained:
        options = {"num_classes": outputs, "in_chans": in_channels}
        try:
            # A transformer is built for images of one size; others take no such argument.
            network: nn.Module = timm.create_model(name, img_size=input_size, **options)
        except (TypeError, AssertionError):
            network = timm.create_model(name, **options)
        return network
    if not timm.get_pretrained_cfg(name) or not timm.is_model_pretrained(name):
        raise ParameterError(f"timm has no pretrained weights of {name}: set pretrained: false")
    try:
        network = timm.create_model(
            name, pretrained=True, num_classes=outputs, in_chans=in_channels
        )
    except Exception as error:  # huggingface_hub, the network or the file system
        raise _unavailable(architecture, error) from None
    return network


def _unavailable(architecture: str, error: Exception) -> ModelError:
    said = " ".join(str(error).split()) or type(error).__name__
    return ModelError(
        f"the pretrained weights of {architecture} cannot be had ({said}): connect to the "
        "network, or set pretrained: false in model.yaml to train from random weights"
    )


def load_all_but_head(
    network: nn.Module, pretrained: Mapping[str, Tensor], architecture: str
) -> None:
    """Load weights into a network whose last layer alone may differ in shape.

    Raises ModelError where more than that one layer differs: those weights are of another network.
    """
    own = network.state_dict()
    fitting = {
        name: tensor
        for name, tensor in pretrained.items()
        if name in own and own[name].shape == tensor.shape
    }
    lacking = [name for name in own if name not in fitting and "num_batches_tracked" not in name]
    layers = {name.rpartition(".")[0] for name in lacking}
    if len(layers) > 1:
        raise ModelError(
            f"the pretrained weights do not fit {architecture}: "
            f"{', '.join(sorted(layers)[:4])} differ; set pretrained: false"
        )
    put_weights(network, fitting)


def _try(network: nn.Module, architecture: str, outputs: int, shape: tuple[int, ...]) -> None:
    size = "x".join(map(str, shape[1:]))
    network.eval()
    try:
        with torch.no_grad():
            given = network(torch.zeros(1, *shape))
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise ModelError(
            f"architecture {architecture} cannot read images of {size}: {error}; "
            "set a larger input_size in model.yaml"
        ) from None
    finally:
        network.train()
    if not isinstance(given, Tensor) or tuple(given.shape) != (1, outputs):
        raise ModelError(
            f"architecture {architecture} does not give {outputs} outputs per image: take another"
        )
