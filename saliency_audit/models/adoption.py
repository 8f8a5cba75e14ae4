"""Classifiers from their specification: fresh ones to train, and given ones with their weights.

Also the one place that runs an ``architecture.py`` from somebody else, and
only where the person has said that it is trusted.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.specification import AdoptSpecification, ClassifierSpecification
from saliency_audit.models.weights import load_into, load_weights


def fresh_classifier(
    specification: ClassifierSpecification,
    labels: tuple[str, ...],
    labelling: Labelling,
    image_size: tuple[int, int],
) -> Classifier:
    """Build an untrained classifier for the labels of a dataset.

    ``image_size``: (height, width) of the dataset's images, in pixels. Raises ParameterError where
    the specification adopts, and what ``architectures.build`` raises.
    """
    train = specification.train
    if train is None:
        raise ParameterError("train is missing in model.yaml: this classifier is adopted")
    network = build(
        specification.architecture,
        output_count(labels, labelling),
        specification.input_size or image_size,
        pretrained=train.pretrained,
        seed=train.seed,
    )
    return _wrapped(network, specification, labels, labelling)


def adopted_classifier(
    specification: ClassifierSpecification,
    folder: Path,
    labels: tuple[str, ...],
    labelling: Labelling,
    image_size: tuple[int, int],
) -> Classifier:
    """Build a given classifier with its weights, from the folder of its ``model.yaml``.

    ``labels`` and ``labelling`` are the dataset's. Raises ModelError where the classifier's labels
    are others, its weights do not fit, are damaged, or hold code.
    """
    adopt = specification.adopt
    if adopt is None:
        raise ParameterError("adopt is missing in model.yaml: this classifier is trained here")
    state = load_weights(folder / adopt.weights)
    return with_weights(
        specification,
        folder,
        state,
        labels=_own_labels(adopt, labels),
        labelling=adopt.labelling or labelling,
        image_size=image_size,
    )


def with_weights(
    specification: ClassifierSpecification,
    folder: Path,
    state: Mapping[str, Tensor],
    *,
    labels: tuple[str, ...],
    labelling: Labelling,
    image_size: tuple[int, int],
) -> Classifier:
    """Build a classifier, trained or adopted, around weights that are at hand.

    ``labels`` in the order of the outputs. Nothing is downloaded. ``folder``: of ``model.yaml``,
    where a trusted architecture lies. Raises ModelError where the weights do not fit.
    """
    outputs = output_count(labels, labelling)
    size = specification.input_size or image_size
    adopt = specification.adopt
    if adopt is not None and adopt.trusted_architecture is not None:
        network = trusted_network(folder / adopt.trusted_architecture, adopt.i_trust_this_code)
        _try_outputs(network, outputs, size, adopt.trusted_architecture)
    else:
        network = build(specification.architecture, outputs, size)
    load_into(network, state, specification.architecture)
    return _wrapped(network, specification, labels, labelling).eval()


def output_count(labels: tuple[str, ...], labelling: Labelling) -> int:
    """Count the outputs of a network: one per label, or one in all for a binary classifier.

    >>> output_count(("healthy", "ill"), Labelling.BINARY)
    1
    """
    return 1 if labelling is Labelling.BINARY else len(labels)


def _wrapped(
    network: nn.Module,
    specification: ClassifierSpecification,
    labels: tuple[str, ...],
    labelling: Labelling,
) -> Classifier:
    return Classifier(
        network,
        labels,
        labelling,
        input_size=specification.input_size,
        mean=specification.mean,
        std=specification.std,
    )


def _own_labels(adopt: AdoptSpecification, labels: tuple[str, ...]) -> tuple[str, ...]:
    if set(adopt.labels) != set(labels):
        lacking = sorted(set(labels) - set(adopt.labels))
        unknown = sorted(set(adopt.labels) - set(labels))
        raise ModelError(
            f"the labels of model.yaml are not those of the dataset: it lacks {lacking or 'none'} "
            f"and names {unknown or 'none'} that the dataset does not have; "
            "name the dataset's labels, in the order of the network's outputs"
        )
    return adopt.labels


def trusted_network(path: Path, trusted: bool) -> nn.Module:
    """Build a network by RUNNING the Python file of an XAIMed task folder.

    The file defines one ``torch.nn.Module`` class that needs no arguments, or several and a
    function ``build()`` that returns the network. Raises ParameterError unless ``trusted``,
    ModelError where the file gives no network.
    """
    if not trusted:
        raise ParameterError(f"{path.name} is code: it runs only with i_trust_this_code: true")
    if not path.is_file():
        raise ModelError(f"the architecture {path} is missing: put the file there")
    specification = importlib.util.spec_from_file_location("trusted_architecture", path)
    if specification is None or specification.loader is None:
        raise ModelError(f"{path} is no Python file: give one that builds the network")
    module = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
        network = _factory(module, path)()
    except ModelError:
        raise
    except Exception as error:  # code from elsewhere may raise anything
        raise ModelError(f"{path} failed: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"{path}: build() gives no torch.nn.Module: let it return the network")
    return network


def _factory(module: ModuleType, path: Path) -> Callable[[], Any]:
    build_function: Callable[[], Any] | None = getattr(module, "build", None)
    if build_function is not None:
        return build_function
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise ModelError(
            f"{path} defines {len(own)} networks: define one class, or a function build() "
            "that returns the network"
        )
    return own[0]


def _try_outputs(network: nn.Module, outputs: int, size: tuple[int, int], source: str) -> None:
    network.eval()
    try:
        with torch.no_grad():
            given = network(torch.zeros(1, 3, *size))
    except Exception as error:  # code from elsewhere may raise anything
        raise ModelError(
            f"the network of {source} cannot read images of {size[0]}x{size[1]}: {error}; "
            "set input_size in model.yaml"
        ) from None
    if not isinstance(given, Tensor) or tuple(given.shape) != (1, outputs):
        shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ModelError(
            f"the network of {source} gives {shape} for one image: {outputs} outputs are wanted; "
            "check labels and labelling in model.yaml"
        )
