"""Where the artifacts of each stage lie, relative to the root of the repository.

Names are ``data/<stage>/<dataset or audit>``, so that a person can guess them.
"""

from __future__ import annotations

from pathlib import Path

DATA = Path("data")
REPORTS = Path("reports")
CLASSIFIERS = Path("classifiers")
PARAMS = Path("params.yaml")
CODE = DATA / "code"
#: Logs, checkpoints, scratch and rejected tables of one machine; in neither git nor DVC.
LOCAL = Path(".saliency")


def code(stage: str, subject: str | None = None) -> Path:
    """Digests of the modules behind a stage, or behind it for one dataset, audit or method."""
    return CODE / f"{stage}.txt" if subject is None else CODE / stage / f"{subject}.txt"


def ingest(dataset: str) -> Path:
    """Folder of images, masks, set_aside and description.json."""
    return DATA / "ingest" / dataset


def split(dataset: str) -> Path:
    """Folder of split.parquet and split.json."""
    return DATA / "split" / dataset


def train_classifier(audit: str) -> Path:
    """Folder of weights.safetensors, model.json and history.parquet."""
    return DATA / "train_classifier" / audit


def train_segmenter(dataset: str) -> Path:
    """Folder of weights.safetensors, model.json and history.parquet."""
    return DATA / "train_segmenter" / dataset


def predict(audit: str) -> Path:
    """Folder of predictions, chosen, regions, background and audit.json."""
    return DATA / "predict" / audit


def scope(audit: str) -> Path:
    """Folder of what an audit asks for: images.json, and a file for each method."""
    return DATA / "scope" / audit


def scope_of_method(audit: str, method: str) -> Path:
    """File of what an audit asks of a method."""
    return scope(audit) / "methods" / f"{method}.json"


def explain(audit: str) -> Path:
    """Folder of one table of maps per method, each beside what came of it."""
    return DATA / "explain" / audit


def cohort(audit: str) -> Path:
    """Table of the rows that count."""
    return DATA / "cohort" / f"{audit}.parquet"


def cohort_methods(audit: str) -> Path:
    """Table of the methods that explain an audit."""
    return DATA / "cohort" / "methods" / f"{audit}.parquet"


def apply_segx(audit: str) -> Path:
    """Table of localisation."""
    return DATA / "apply_segx" / f"{audit}.parquet"


def score_segu(audit: str) -> Path:
    """Table of certainty."""
    return DATA / "score_segu" / f"{audit}.parquet"


def aggregate_agreement(audit: str) -> Path:
    """Folder of cells and agreement."""
    return DATA / "aggregate_agreement" / audit


def summarise(dataset: str, audit: str) -> Path:
    """Folder of an audit's numbers and gallery, within the dataset's folder of audits."""
    return DATA / "summarise" / dataset / audit


def report(dataset: str) -> Path:
    """File of what the index needs of a dataset's report."""
    return DATA / "report" / f"{dataset}.json"


def gate(name: str, subject: str) -> Path:
    """Folder of passed.json, on which what follows a gate depends, and validation.json."""
    return DATA / name / subject


def quality(dataset: str, name: str, audit: str | None = None) -> Path:
    """File of a gate's result, beside its offenders; of an audit in a folder of its own."""
    folder = REPORTS / dataset / "quality"
    return (folder if audit is None else folder / audit) / f"{name}.json"
