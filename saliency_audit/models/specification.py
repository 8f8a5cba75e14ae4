"""What a registry's ``model.yaml`` says of a classifier, read and checked.

Every key is known and every number in its range, or an error names the file,
the key and the nearest right one. Building what it describes belongs to
``adoption`` and ``architectures``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saliency_audit.errors import ModelError, ParameterError
from saliency_audit.labelling import Labelling
from saliency_audit.models.training import TrainingParameters
from saliency_audit.naming import refuse_unknown_fields


@dataclass(frozen=True)
class TrainSpecification(TrainingParameters):
    """A classifier to train here: TrainingParameters, and where its weights start.

    ``pretrained``: from ImageNet weights, downloaded by torchvision or timm, instead of random.
    """

    pretrained: bool = False


@dataclass(frozen=True)
class AdoptSpecification:
    """A classifier that was trained elsewhere.

    ``labels``: in the order of its outputs; ``weights``: file beside model.yaml, ``.safetensors``
    or ``.pt``; ``labelling``: how the labels relate, or None for the dataset's own;
    ``trusted_architecture``: a Python file beside model.yaml that builds the network, as in an
    XAIMed task folder; ``i_trust_this_code``: must be true for that file to be run.
    """

    labels: tuple[str, ...]
    weights: str = "weights.safetensors"
    labelling: Labelling | None = None
    trusted_architecture: str | None = None
    i_trust_this_code: bool = False

    def __post_init__(self) -> None:
        """Check the values; raises ParameterError."""
        if len(self.labels) < 2 and self.labelling is not Labelling.MULTILABEL:
            raise ParameterError(
                f"labels are {list(self.labels)}: give two or more, in the order of the outputs; "
                "a binary classifier has [negative, positive]"
            )
        if len(set(self.labels)) < len(self.labels):
            raise ParameterError(f"labels {list(self.labels)} name one twice: name each once")
        for name in ("weights", "trusted_architecture"):
            file = getattr(self, name)
            if file is not None and (not file or Path(file).name != file):
                raise ParameterError(f"{name} is {file!r}: give a file that lies beside model.yaml")
        if self.trusted_architecture and not self.i_trust_this_code:
            raise ParameterError(
                f"trusted_architecture names {self.trusted_architecture}, which is code and would "
                "run on this machine: read it, and if you trust it add i_trust_this_code: true"
            )


@dataclass(frozen=True)
class ClassifierSpecification:
    """One classifier of the registry: exactly one of ``train`` and ``adopt``.

    ``architecture``: a name that ``architectures.build`` knows (for a trusted architecture: any
    name, for the report); ``input_size``: (height, width) that the network sees, in pixels, 4 or
    more, or None for the images' own; ``mean`` and ``std``: per channel, of pixels in [0, 1];
    ``std`` above 0; ``description``: a sentence or two for the report.
    """

    architecture: str
    train: TrainSpecification | None = None
    adopt: AdoptSpecification | None = None
    input_size: tuple[int, int] | None = None
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.25, 0.25, 0.25)
    description: str = ""

    def __post_init__(self) -> None:
        """Check the values; raises ParameterError."""
        if (self.train is None) == (self.adopt is None):
            given = "neither" if self.train is None else "both"
            raise ParameterError(f"it has {given} of train and adopt: give exactly one of them")
        if not self.architecture:
            raise ParameterError("architecture is empty: give a name, such as cnn or resnet18")
        if self.input_size is not None and min(self.input_size) < 4:
            raise ParameterError(
                f"input_size is {list(self.input_size)}: give [height, width], 4 or more each"
            )
        if not all(0 <= value <= 1 for value in self.mean):
            raise ParameterError(f"mean is {list(self.mean)}: give 0 to 1, of pixels in [0, 1]")
        if not all(0 < value <= 1 for value in self.std):
            raise ParameterError(f"std is {list(self.std)}: give above 0, at most 1")


def read_specification(path: Path) -> ClassifierSpecification:
    """Read a ``model.yaml``.

    Raises ModelError where there is none, ParameterError naming file and key for anything in it
    that is not known, of the wrong type or out of range.
    """
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path} is missing: a classifier is a folder of classifiers/ with a model.yaml"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    return parse_specification(raw, str(path))


def parse_specification(raw: Any, source: str) -> ClassifierSpecification:
    """Check what a ``model.yaml`` holds; ``source`` names it in errors, as above.

    >>> parse_specification({"architecture": "cnn", "train": {"seed": 3}}, "model.yaml").train.seed
    3
    >>> parse_specification({"architecture": "cnn", "train": {"epoch": 3}}, "model.yaml")
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: model.yaml: unknown key train.epoch: did you mean epochs?
    """
    from pydantic import TypeAdapter, ValidationError

    if not isinstance(raw, Mapping):
        raise ParameterError(f"{source} holds no keys: give architecture, and train or adopt")
    # `train:` alone means all of its defaults.
    raw = {key: {} if key == "train" and value is None else value for key, value in raw.items()}
    refuse_unknown_fields(ClassifierSpecification, raw, f"{source}: unknown key ")
    try:
        return TypeAdapter(ClassifierSpecification).validate_python(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if str(part).isidentifier())
        reason = first["msg"].removeprefix("Value error, ")
        where = f"{place}: " if place else ""
        raise ParameterError(f"{source}: {where}{reason}") from None
