"""What a registry's ``model.yaml`` says of a classifier, read and checked.

Every key is known and every number in its range, or an error names the file,
the key and the nearest right one. Building what it describes belongs to
``adoption`` and ``architectures``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.preprocessing import Preprocessing
from saliency_audit.models.reference import TOLERANCE
from saliency_audit.models.training import TrainingParameters
from saliency_audit.parameters import Checked, build, parameter_types
from saliency_audit.plain_yaml import read_yaml
from saliency_audit.ranges import Distinct, Interval, Length, PositiveShare, Text

#: Which outputs of a network are the labels', counted from 0.
Indices = Annotated[tuple[Annotated[int, Interval(ge=0)], ...], Length(1), Distinct()]
Kind = Literal["scores", "probabilities"]
#: A layer of a head: with weights of its own (linear, batch_norm), or without.
Layer = Literal[
    "linear",
    "batch_norm",
    "relu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "leaky_relu",
    "elu",
    "dropout",
    "flatten",
    "identity",
]


@dataclass(frozen=True)
class TrainSpecification(TrainingParameters):
    """A classifier to train here: TrainingParameters, and where its weights start.

    ``pretrained``: from ImageNet weights, downloaded by torchvision or timm, instead of random.
    """

    pretrained: bool = False


@dataclass(frozen=True)
class Outputs(Checked):
    """Which outputs of a network are the labels', and what they are.

    ``indices``: in the order of the labels, of a network with more outputs; ``are``: ``scores``, or
    ``probabilities`` of a network that ends in sigmoid or softmax.
    """

    indices: Indices
    are: Kind = "scores"


@dataclass(frozen=True)
class AdoptSpecification(Checked):
    """A classifier that was trained elsewhere.

    ``labels``: in the order of its outputs; ``weights``: file beside model.yaml, ``.safetensors``
    or ``.pt``; ``labelling``: how the labels relate, or None for the dataset's own;
    ``trusted_architecture``: a Python file beside model.yaml that builds the network, as in an
    XAIMed task folder; ``i_trust_this_code``: must be true for that file to be run; ``outputs``:
    ``probabilities`` of a network that ends in sigmoid or softmax, ``scores`` said outright, the
    indices of the labels' outputs where there are more, or both (``Outputs``); ``reference``: file
    beside model.yaml with images and the owner's own outputs; ``tolerance``: how far outputs may be
    from these, as a share of their range; ``entry``: which of a checkpoint's entries holds the
    weights; ``prefix``: what the names of the network's weights begin with in it; ``rename``: names
    of weights, or what they begin with, and those of the network; ``ignore``: names, or what they
    begin with, that are not the network's; ``head``: the layers in place of the network's last.
    """

    labels: Annotated[tuple[Text, ...], Length(1), Distinct()]
    weights: Text = "weights.safetensors"
    labelling: Labelling | None = None
    trusted_architecture: Text | None = None
    i_trust_this_code: bool = False
    outputs: Outputs | Kind | Indices | None = None
    reference: Text | None = None
    tolerance: PositiveShare = TOLERANCE
    entry: Text | None = None
    prefix: Text | None = None
    rename: Mapping[str, Text] = field(default_factory=dict)
    ignore: Annotated[tuple[Text, ...], Distinct()] = ()
    head: Annotated[tuple[Layer, ...], Length(1)] | None = None

    def __post_init__(self) -> None:
        """Check the values, and how they go together; raises ParameterError."""
        super().__post_init__()
        if len(self.labels) < 2 and self.labelling is not Labelling.MULTILABEL:
            raise ParameterError(
                f"labels are {list(self.labels)}: give two or more, in the order of the outputs; "
                "a binary classifier has [negative, positive]"
            )
        for name in ("weights", "trusted_architecture", "reference"):
            file = getattr(self, name)
            if file is not None and Path(file).name != file:
                raise ParameterError(f"{name} is {file!r}: give a file that lies beside model.yaml")
        if self.trusted_architecture and not self.i_trust_this_code:
            raise ParameterError(
                f"trusted_architecture names {self.trusted_architecture}, which is code and would "
                "run on this machine: read it, and if you trust it add i_trust_this_code: true"
            )
        if self.trusted_architecture and self.head:
            raise ParameterError(
                f"head is of a network by name: {self.trusted_architecture} builds its own"
            )
        self._check_indices()

    def _check_indices(self) -> None:
        if self.indices is None or len(self.indices) == len(self.labels):
            return
        if len(self.indices) == 1 and self.labelling in (None, Labelling.BINARY):
            return  # of a binary classifier, the positive label's
        raise ParameterError(
            f"outputs names {len(self.indices)} and labels {len(self.labels)}: name one output for "
            "each label, in their order"
        )

    @property
    def indices(self) -> tuple[int, ...] | None:
        """The outputs of the labels, None for all of them."""
        if isinstance(self.outputs, Outputs):
            return self.outputs.indices
        return self.outputs if isinstance(self.outputs, tuple) else None

    @property
    def gives(self) -> Kind | None:
        """What the outputs are said to be, None where nothing is said."""
        if isinstance(self.outputs, Outputs):
            return self.outputs.are
        return None if isinstance(self.outputs, tuple) else self.outputs


@dataclass(frozen=True, kw_only=True)
class ClassifierSpecification(Preprocessing):
    """One classifier of the registry: its preprocessing, and exactly one of ``train``, ``adopt``.

    ``architecture``: a name that ``architectures.build`` knows (for a trusted architecture: any
    name, for the report); ``description``: a sentence or two for the report.
    """

    architecture: Text
    train: TrainSpecification | None = None
    adopt: AdoptSpecification | None = None
    description: str = ""

    def __post_init__(self) -> None:
        """Check the values, and that it is trained or adopted; raises ParameterError."""
        super().__post_init__()
        if (self.train is None) == (self.adopt is None):
            given = "neither" if self.train is None else "both"
            raise ParameterError(f"it has {given} of train and adopt: give exactly one of them")

    @property
    def preprocessing(self) -> dict[str, Any]:
        """The fields of its ``Preprocessing``, by name."""
        return {name: getattr(self, name) for name in parameter_types(Preprocessing)}


def read_specification(path: Path) -> ClassifierSpecification:
    """Read a ``model.yaml``.

    Raises ModelError where there is none, ParameterError naming file and key for anything in it
    that is not known, of the wrong type or out of range.
    """
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        raise ModelError(
            f"{path} is missing: a classifier is a folder of classifiers/ with a model.yaml"
        ) from None
    return parse_specification(raw, str(path))


def parse_specification(raw: Any, source: str) -> ClassifierSpecification:
    """Check what a ``model.yaml`` holds; ``source`` names it in errors, as above.

    >>> parse_specification({"architecture": "cnn", "train": {"seed": 3}}, "model.yaml").train.seed
    3
    >>> parse_specification({"architecture": "cnn", "train": {"epoch": 3}}, "model.yaml")
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: model.yaml: unknown key train.epoch: did you mean epochs?
    """
    if not isinstance(raw, Mapping):
        raise ParameterError(f"{source} holds no keys: give architecture, and train or adopt")
    # `train:` alone means all of its defaults.
    raw = {key: {} if key == "train" and value is None else value for key, value in raw.items()}
    return build(ClassifierSpecification, raw, source=f"{source}: ")
