"""Stage ``train_classifier``: the classifier under audit is trained, or adopted as given."""

from __future__ import annotations

import logging
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from saliency_audit.compute import Compute
from saliency_audit.errors import ModelError
from saliency_audit.models.adoption import adopted_classifier, fresh_classifier
from saliency_audit.models.card import classifier_card
from saliency_audit.models.classifier import Classifier
from saliency_audit.models.fitting import History
from saliency_audit.models.proof import Proof, prove
from saliency_audit.models.reference import read_reference
from saliency_audit.models.specification import ClassifierSpecification, read_specification
from saliency_audit.models.training import as_pixels, train
from saliency_audit.models.weights import check_finite, save_weights
from saliency_audit.progress import Progress
from tasks import places
from tasks.artifacts import partial, write_json, write_table
from tasks.checkpoints import checkpoint
from tasks.dataset import Data, Facts, open_data, read_facts
from tasks.models import network_plugin, registry_files
from tasks.pins import Pin, check_pin
from tasks.stage import Context, Stage
from tasks.tables.history import HISTORY, rows

logger = logging.getLogger(__name__)

#: What model.json says the quality of: the split that stopped training, and the one kept aside.
JUDGED = ("tune", "test")
SPLITS = ("train", "tune", "calibrate", "test")


@dataclass(frozen=True)
class Subject:
    """The classifier under audit: its entry in the registry, its dataset, how it is computed.

    ``pin``: of the third party's code that builds its network, None where it is ours.
    """

    audit: str
    folder: Path
    specification: ClassifierSpecification
    facts: Facts
    compute: Compute
    pin: Pin | None = None


def run(context: Context, audit: str) -> None:
    """Write the classifier of an audit: weights, model.json, how training went."""
    facts = read_facts(context.params.value(f"audits.{audit}.dataset"))
    folder = places.CLASSIFIERS / context.params.value(f"audits.{audit}.classifier")
    compute = context.params.read("compute", Compute)
    compute.start()
    specification = read_specification(folder / "model.yaml")
    pin = check_pin("train_classifier", audit, network_plugin(specification))
    subject = Subject(audit, folder, specification, facts, compute, pin)
    if subject.specification.adopt is not None:
        classifier = _adopt(subject)
        proof = _prove(subject, classifier)
        with open_data(facts, classifier.labels) as data:
            _write(subject, classifier, data, None, proof)
        return
    classifier = fresh_classifier(subject.specification, facts.labels, facts.labelling, facts.size)
    with open_data(facts) as data:
        history = _train(subject, classifier, data, context.progress)
        _write(subject, classifier, data, history)


def _adopt(subject: Subject) -> Classifier:
    facts = subject.facts
    classifier = adopted_classifier(
        subject.specification, subject.folder, facts.labels, facts.labelling, facts.size
    )
    if classifier.labelling is not facts.labelling:
        raise ModelError(
            f"{subject.folder / 'model.yaml'}: the classifier is {classifier.labelling.value} and "
            f"the dataset {facts.name} is {facts.labelling.value}: audit it on a dataset of its "
            "kind"
        )
    return classifier


def _prove(subject: Subject, classifier: Classifier) -> Proof | None:
    """Compare an adopted classifier with its owner's outputs, where there are any."""
    adopt = subject.specification.adopt
    assert adopt is not None
    if adopt.reference is None:
        logger.warning(
            "%s is adopted without proof: nothing says that it is its owner's; "
            "`saliency-audit reference` tells how he can say it",
            subject.folder,
        )
        return None
    path = subject.folder / adopt.reference
    try:
        return prove(
            classifier,
            read_reference(path),
            subject.facts.size,
            stated=_stated(subject.specification),
            tolerance=adopt.tolerance,
        )
    except ModelError as error:
        raise ModelError(f"{subject.folder / 'model.yaml'}: {error}") from error


def _stated(specification: ClassifierSpecification) -> bool:
    """Whether a person says that an adopted classifier's outputs are scores."""
    return specification.adopt is not None and specification.adopt.gives == "scores"


def _train(subject: Subject, classifier: Classifier, data: Data, progress: Progress) -> History:
    assert subject.specification.train is not None
    dataset = subject.facts.name
    state = checkpoint(
        "train_classifier",
        subject.audit,
        [
            places.ingest(dataset) / "images.parquet",
            places.split(dataset) / "split.parquet",
            subject.folder / "model.yaml",
        ],
        asdict(subject.compute),
        places.code("train_classifier", subject.audit),
    )
    return train(
        classifier,
        data,
        subject.specification.train,
        subject.compute,
        checkpoint=state,
        progress=progress,
    )


def _write(
    subject: Subject,
    classifier: Classifier,
    data: Data,
    history: History | None,
    proof: Proof | None = None,
) -> None:
    folder = places.train_classifier(subject.audit)
    state = classifier.network.state_dict()
    check_finite(state, f"the classifier of {subject.audit}")
    splits = {split: subject.facts.of_split(split) for split in SPLITS}
    subject.compute.prepare(classifier).eval()
    card = classifier_card(
        classifier,
        subject.specification.architecture,
        subject.facts.size,
        "trained" if history is not None else "adopted",
        targets={split: data.targets[indices] for split, indices in splits.items()},
        probabilities={
            split: _probabilities(classifier, data, splits[split], subject.compute)
            for split in JUDGED
        },
        history=history,
        proof=proof,
        stated=_stated(subject.specification),
        description=subject.specification.description,
    )
    if subject.specification.train is not None:
        card["trained_with"] = asdict(subject.specification.train)
    with partial(folder / "weights.safetensors") as beside:
        save_weights(beside, state)
    for file in registry_files(subject.specification):
        with partial(folder / file) as beside:
            shutil.copyfile(subject.folder / file, beside)
    _write_pin(folder / "plugin.json", subject.pin)
    with write_table(HISTORY, folder / "history.parquet") as table:
        table.write_all(rows(history))
    write_json(folder / "model.json", card)


def _write_pin(path: Path, pin: Pin | None) -> None:
    """Leave word of a plugin, so that whatever builds its network reruns when that changes."""
    if pin is None:
        path.unlink(missing_ok=True)
    else:
        write_json(path, asdict(pin))


def _probabilities(
    classifier: Classifier, data: Data, indices: list[int], compute: Compute
) -> NDArray[np.float64]:
    """Raw probabilities (images, labels) of images by index, one batch in memory at a time."""
    rows = [np.empty((0, len(classifier.labels)))]
    with torch.no_grad():
        for start in range(0, len(indices), compute.batch):
            images = as_pixels(data.images(indices[start : start + compute.batch]))
            scores = compute.call(classifier, images).double()
            rows.append(classifier.probabilities(scores).cpu().numpy())
    return np.concatenate(rows)


STAGE = Stage(
    "train_classifier",
    ("audit",),
    ("audits.{audit}.dataset", "audits.{audit}.classifier", "compute"),
    run,
    chooses="audits",
    tables={"data/train_classifier/<audit>/history.parquet": "tasks.tables.history:HISTORY"},
)

if __name__ == "__main__":
    STAGE.main()
