"""What a registry's ``model.yaml`` says of a classifier, read and checked.

Every key is known and every number in its range, or an error names the file,
the key and the nearest right one. Building what it describes belongs to
``adoption`` and ``architectures``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.training import TrainingParameters
from saliency_audit.parameters import Checked, build
from saliency_audit.plain_yaml import read_yaml
from saliency_audit.ranges import Distinct, Interval, Length, PositiveShare, Share, Text

#: Pixels of a side that a network can see.
Side = Annotated[int, Interval(ge=4)]


@dataclass(frozen=True)
class TrainSpecification(TrainingParameters):
    """A classifier to train here: TrainingParameters, and where its weights start.

    ``pretrained``: from ImageNet weights, downloaded by torchvision or timm, instead of random.
    """

    pretrained: bool = False


@dataclass(frozen=True)
class AdoptSpecification(Checked):
    """A classifier that was trained elsewhere.

    ``labels``: in the order of its outputs; ``weights``: file beside model.yaml, ``.safetensors``
    or ``.pt``; ``labelling``: how the labels relate, or None for the dataset's own;
    ``trusted_architecture``: a Python file beside model.yaml that builds the network, as in an
    XAIMed task folder; ``i_trust_this_code``: must be true for that file to be run.
    """

    labels: Annotated[tuple[Text, ...], Length(1), Distinct()]
    weights: Text = "weights.safetensors"
    labelling: Labelling | None = None
    trusted_architecture: Text | None = None
    i_trust_this_code: bool = False

    def __post_init__(self) -> None:
        """Check the values, and how they go together; raises ParameterError."""
        super().__post_init__()
        if len(self.labels) < 2 and self.labelling is not Labelling.MULTILABEL:
            raise ParameterError(
                f"labels are {list(self.labels)}: give two or more, in the order of the outputs; "
                "a binary classifier has [negative, positive]"
            )
        for name in ("weights", "trusted_architecture"):
            file = getattr(self, name)
            if file is not None and Path(file).name != file:
                raise ParameterError(f"{name} is {file!r}: give a file that lies beside model.yaml")
        if self.trusted_architecture and not self.i_trust_this_code:
            raise ParameterError(
                f"trusted_architecture names {self.trusted_architecture}, which is code and would "
                "run on this machine: read it, and if you trust it add i_trust_this_code: true"
            )


@dataclass(frozen=True)
class ClassifierSpecification(Checked):
    """One classifier of the registry: exactly one of ``train`` and ``adopt``.

    ``architecture``: a name that ``architectures.build`` knows (for a trusted architecture: any
    name, for the report); ``input_size``: (height, width) that the network sees, in pixels, 4 or
    more, or None for the images' own; ``mean`` and ``std``: per channel, of pixels in [0, 1];
    ``std`` above 0; ``description``: a sentence or two for the report.
    """

    architecture: Text
    train: TrainSpecification | None = None
    adopt: AdoptSpecification | None = None
    input_size: tuple[Side, Side] | None = None
    mean: tuple[Share, Share, Share] = (0.5, 0.5, 0.5)
    std: tuple[PositiveShare, PositiveShare, PositiveShare] = (0.25, 0.25, 0.25)
    description: str = ""

    def __post_init__(self) -> None:
        """Check the values, and that it is trained or adopted; raises ParameterError."""
        super().__post_init__()
        if (self.train is None) == (self.adopt is None):
            given = "neither" if self.train is None else "both"
            raise ParameterError(f"it has {given} of train and adopt: give exactly one of them")


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
