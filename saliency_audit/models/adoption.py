"""Classifiers from their specification: fresh ones to train, and given ones with their weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.architectures import build
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.head import head_of, replace_head
from saliency_audit.models.outputs import Reading, check_scores, read_probabilities
from saliency_audit.models.preprocessing import COUNTS
from saliency_audit.models.renaming import Renaming, check_shapes, names_of_network
from saliency_audit.models.soundness import (
    check_modules,
    check_not_random,
    check_outputs,
    check_precision,
    check_rows_apart,
    random_state,
)
from saliency_audit.models.specification import AdoptSpecification, ClassifierSpecification
from saliency_audit.models.trusted import trusted_network
from saliency_audit.models.weights import load_into, load_weights

#: Images of noise that a network is tried on.
TRIED = 4


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
        in_channels=COUNTS[specification.channels],
        seed=train.seed,
    )
    return Classifier(network, labels, labelling, **specification.preprocessing)


def adopted_classifier(
    specification: ClassifierSpecification,
    folder: Path,
    labels: tuple[str, ...],
    labelling: Labelling,
    image_size: tuple[int, int],
) -> Classifier:
    """Build a given classifier with its weights, from the folder of its ``model.yaml``.

    ``labels`` and ``labelling`` are the dataset's. Raises ModelError where the classifier's labels
    are others, its weights do not fit, are damaged, or hold code, and where its network is none
    that can be explained.
    """
    adopt = specification.adopt
    if adopt is None:
        raise ParameterError("adopt is missing in model.yaml: this classifier is trained here")
    state = load_weights(folder / adopt.weights, adopt.entry)
    own = _own_labels(adopt, labels)
    chosen = adopt.labelling or labelling
    size = specification.input_size or image_size
    try:
        network = _fitting(specification, folder, state, output_count(own, chosen), size)
        wanted = Reading(adopt.indices).wanted(len(own), chosen)
        _try(network, _noise(specification, size), wanted)
        return _read(network, specification, own, chosen, size)
    except ModelError as error:
        raise ModelError(f"{folder / adopt.weights}: {error}") from error


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

    ``state``: by the names of the network; ``labels`` in the order of the outputs. Nothing is
    downloaded. ``folder``: of ``model.yaml``, where a trusted architecture lies. Raises ModelError
    where the weights do not fit, and where outputs are no scores.
    """
    size = specification.input_size or image_size
    outputs = output_count(labels, labelling)
    network = _network(specification, folder, state, outputs, size)
    return _read(network, specification, labels, labelling, size)


def output_count(labels: tuple[str, ...], labelling: Labelling) -> int:
    """Count the outputs of a network: one per label, or one in all for a binary classifier.

    >>> output_count(("healthy", "ill"), Labelling.BINARY)
    1
    """
    return 1 if labelling is Labelling.BINARY else len(labels)


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


def _fitting(
    specification: ClassifierSpecification,
    folder: Path,
    state: Mapping[str, Tensor],
    outputs: int,
    size: tuple[int, int],
) -> nn.Module:
    """Build a network with the weights of a checkpoint, whatever their names there."""
    adopt, architecture = specification.adopt, specification.architecture
    assert adopt is not None
    said = Renaming(adopt.prefix, adopt.rename, adopt.ignore)
    network = _plain_network(specification, folder, outputs, size)
    if adopt.head is not None:
        replace_head(network, adopt.head, said(state))
    found = names_of_network(network, state, architecture, said)
    if adopt.trusted_architecture is None:
        weight = found[f"{head_of(network)}.weight"]
        _check_head(adopt, weight, outputs)
        if adopt.head is None and len(weight) != outputs:
            network = _plain_network(specification, folder, len(weight), size)
    check_shapes(network, found, architecture)
    return _loaded(network, found, architecture)


def _check_head(adopt: AdoptSpecification, weight: Tensor, outputs: int) -> None:
    if adopt.indices is None and len(weight) != outputs:
        some = ", ".join(map(str, range(len(adopt.labels))))
        if outputs == 1 and len(weight) == 2:
            line = "outputs: [0, 1]   # those of the negative and the positive label"
        else:
            line = f"outputs: [{some}]   # those of {', '.join(adopt.labels)}, counted from 0"
        raise ModelError(
            f"the head has {len(weight)} outputs, and {outputs} are wanted for the labels: write "
            f"under adopt in model.yaml\n  {line}"
        )


def _network(
    specification: ClassifierSpecification,
    folder: Path,
    state: Mapping[str, Tensor],
    outputs: int,
    size: tuple[int, int],
) -> nn.Module:
    """Build the network of weights that have its own names: with their head."""
    adopt = specification.adopt
    network = _plain_network(specification, folder, outputs, size)
    if adopt is not None and adopt.trusted_architecture is None:
        weight = state.get(f"{head_of(network)}.weight")
        if adopt.head is not None:
            replace_head(network, adopt.head, state)
        elif weight is not None and len(weight) != outputs:
            network = _plain_network(specification, folder, len(weight), size)
    return _loaded(network, state, specification.architecture)


def _plain_network(
    specification: ClassifierSpecification, folder: Path, outputs: int, size: tuple[int, int]
) -> nn.Module:
    adopt = specification.adopt
    channels = COUNTS[specification.channels]
    if adopt is not None and adopt.trusted_architecture is not None:
        return trusted_network(folder / adopt.trusted_architecture, adopt.i_trust_this_code)
    return build(specification.architecture, outputs, size, in_channels=channels)


def _noise(specification: ClassifierSpecification, size: tuple[int, int]) -> Tensor:
    """Give normal noise, which no network was trained on, as a network reads it."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn((TRIED, COUNTS[specification.channels], *size), generator=generator)


def _loaded(network: nn.Module, state: Mapping[str, Tensor], architecture: str) -> nn.Module:
    load_into(network, state, architecture)
    check_modules(network)
    return network.eval()


def _read(
    network: nn.Module,
    specification: ClassifierSpecification,
    labels: tuple[str, ...],
    labelling: Labelling,
    size: tuple[int, int],
) -> Classifier:
    """Put a network, its labels and its preprocessing together; what it ends in is seen to."""
    adopt, reading = specification.adopt, Reading()
    if adopt is not None:
        reading = Reading(adopt.indices)
        noise = _noise(specification, size)
        if adopt.gives == "probabilities":
            reading = read_probabilities(network, noise, labelling, adopt.indices)
        if adopt.gives is None:
            check_scores(network, noise)
    given = specification.preprocessing
    return Classifier(network, labels, labelling, reading=reading, **given).eval()


def _try(network: nn.Module, noise: Tensor, wanted: int | None) -> None:
    before = random_state(noise.device)
    try:
        with torch.no_grad():
            given = network(noise)
    except Exception as error:  # code from elsewhere may raise anything
        check_precision(network, noise)
        height, width = noise.shape[-2:]
        raise ModelError(
            f"the network cannot read images of {height}x{width}: {error}; "
            "set input_size in model.yaml"
        ) from None
    check_not_random(before, noise.device)
    check_outputs(given, noise, wanted)
    check_rows_apart(network, noise)
