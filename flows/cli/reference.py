"""`saliency-audit reference`: the owner's own outputs, that prove an adopted classifier his."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flows.ground.console import DONE, Voice
from saliency_audit.errors import AuditError, DataError, ParameterError
from tasks import places

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXPLAINED = """\
A classifier that was trained elsewhere is adopted with its weights, and may still be another model
than its owner's: with another normalisation, its labels in another order, a softmax taken twice. A
reference proves that it is not: a few images, and what the owner's own program gives for them.

Where the program is Python, these lines write it:

{snippet}
Where its outputs are a table, `saliency-audit reference NAME --images FOLDER --outputs TABLE` does.
Put the file beside model.yaml, and write there, under adopt:
  reference: reference.safetensors
"""


def command(
    classifier: Annotated[str | None, typer.Argument(help="Folder of classifiers/.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of image files, all of the audit's size.")
    ] = None,
    outputs: Annotated[
        Path | None,
        typer.Option(help="CSV file: a column image, and one for each output, named by its label."),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option(help="The table holds probabilities, after softmax or sigmoid.")
    ] = False,
) -> None:
    """Say how a classifier's owner proves that what is audited is his, or write or try the proof.

    Without CLASSIFIER: what a reference is, and the lines that write one. With it: compare the
    classifier with its reference, and name the cause where they differ. With --images and
    --outputs: write classifiers/CLASSIFIER/reference.safetensors from a table of outputs. Exit
    codes: 0 done, 2 wrong name or table, 3 the classifier is not its owner's.
    """
    sys.exit(say_reference(Path.cwd(), classifier, images, outputs, probabilities))


def say_reference(
    root: Path,
    classifier: str | None,
    images: Path | None,
    outputs: Path | None,
    probabilities: bool,
) -> int:
    """Explain, write or try a reference; gives the exit code."""
    console = Voice()
    try:
        if classifier is None:
            from saliency_audit.models.reference import SNIPPET

            indented = "".join(f"  {line}\n" for line in SNIPPET.splitlines())
            sys.stdout.write(EXPLAINED.format(snippet=indented))
        elif images is None and outputs is None:
            console.say(_tried(root / places.CLASSIFIERS / classifier))
        elif images is None or outputs is None:
            raise ParameterError("--images and --outputs go together: give both")
        else:
            folder = root / places.CLASSIFIERS / classifier
            console.say(_written(folder, images, outputs, probabilities))
    except AuditError as error:
        return console.complain(error)
    return DONE


def _tried(folder: Path) -> str:
    """Compare a classifier with its reference."""
    from saliency_audit.labelling import Labelling
    from saliency_audit.models.adoption import adopted_classifier
    from saliency_audit.models.proof import prove
    from saliency_audit.models.reference import read_reference
    from saliency_audit.models.specification import read_specification

    specification = read_specification(folder / "model.yaml")
    adopt = specification.adopt
    if adopt is None or adopt.reference is None:
        raise ParameterError(
            f"{folder / 'model.yaml'} names no reference under adopt: `saliency-audit reference` "
            "says what it is"
        )
    reference = read_reference(folder / adopt.reference)
    single = reference.outputs.shape[1] == 1
    guessed = Labelling.BINARY if single else Labelling.MULTICLASS
    classifier = adopted_classifier(
        specification, folder, adopt.labels, adopt.labelling or guessed, reference.size
    )
    stated = adopt.gives == "scores"
    found = prove(classifier, reference, reference.size, stated=stated, tolerance=adopt.tolerance)
    return (
        f"{folder} is its owner's: its {found.compared} for {found.images} images are within "
        f"{found.difference:.2g} of their range"
    )


def _written(folder: Path, images: Path, outputs: Path, probabilities: bool) -> str:
    """Write a reference from image files and a table of outputs."""
    import numpy as np
    import torch

    from saliency_audit.models.reference import write_reference
    from saliency_audit.models.training import as_pixels

    rows, labels = _table(outputs)
    pixels = [_pixels(images, name) for name, _ in rows]
    if len({image.shape for image in pixels}) != 1:
        raise DataError(f"the images of {outputs} are of several sizes: give them in the audit's")
    path = folder / "reference.safetensors"
    kind: Literal["scores", "probabilities"] = "probabilities" if probabilities else "scores"
    numbers = torch.tensor([values for _, values in rows], dtype=torch.float32)
    write_reference(path, as_pixels(np.stack(pixels)), numbers, labels, kind)
    return (
        f"{path} holds {len(rows)} images: write reference: {path.name} under adopt in model.yaml"
    )


def _table(path: Path) -> tuple[list[tuple[str, list[float]]], list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            labels = [name for name in reader.fieldnames or [] if name != "image"]
            rows = [(row["image"], [float(row[label]) for label in labels]) for row in reader]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ParameterError(
            f"{path} is no table of outputs ({error}): give a column image, and a number for each "
            "output"
        ) from None
    if not rows or not labels:
        raise ParameterError(f"{path} holds no rows, or no outputs: give one for each image")
    return rows, labels


def _pixels(folder: Path, name: str) -> NDArray[np.uint8]:
    """Read an image file at its own size, (H, W, 3); raises DataError naming it."""
    import numpy as np
    from PIL import Image

    from saliency_audit.datasets.folder import contained
    from saliency_audit.datasets.image_files import FORMATS

    path = contained(folder, name)
    try:
        with Image.open(path, formats=FORMATS) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read ({error}): give what the table names") from None
