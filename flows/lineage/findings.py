"""What the files of a stage say of a number or row that is traced, and whether they agree.

One function per kind of stage, by its name in dvc.yaml; a stage without one says nothing more
than its digests.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.ground.git import entries
from flows.records.artifacts import MISSING, VERIFIED, Artifacts
from flows.records.stages import RecordedStage
from saliency_audit.errors import AuditError, ParameterError
from saliency_audit.measures.certainty_figures import COMPARED as SCORED
from saliency_audit.measures.localisation_figures import COMPARED as LOCATED
from saliency_audit.naming import hint
from tasks import places
from tasks.artifacts import file_sha256, read_columns
from tasks.presets import applied
from tasks.report.origins import Origin, Selection, rows_of
from tasks.tables.certainty import CERTAINTY
from tasks.tables.chosen import CHOSEN
from tasks.tables.cohort import COHORT
from tasks.tables.images import IMAGES
from tasks.tables.localisation import LOCALISATION
from tasks.tables.predictions import PREDICTIONS
from tasks.tables.saliency import saliency
from tasks.tables.set_aside import SET_ASIDE
from tasks.tables.split import SPLIT
from tasks.tables.table import Table


@dataclass(frozen=True)
class Finding:
    """One thing that a stage's files say: ``name`` for a program, ``words`` for a person.

    ``value``: the same as plain values; ``agrees``: of a check, whether it held; else None.
    """

    name: str
    words: str
    value: Any
    agrees: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        return {
            "name": self.name,
            "words": self.words,
            "value": self.value,
            "agrees": self.agrees,
        }


class NotHereError(Exception):
    """A file's recorded bytes are neither in the checkout nor in DVC's cache."""


@dataclass(frozen=True)
class Traced:
    """What is traced: a number with its ``origin``, or an ``image`` with its labels and methods.

    ``audit``: None for a number of the dataset alone; ``list_rows``: whether to list the rows.
    """

    dataset: str
    audit: str | None
    origin: Origin
    image: str | None = None
    label: str | None = None
    method: str | None = None
    list_rows: bool = False

    def refuse_unknown(self, files: Artifacts) -> None:
        """Raise ParameterError where the image or label is not there, naming the nearest."""
        try:
            known = _table(files, places.ingest(self.dataset) / "images.parquet", IMAGES, [])
        except NotHereError as lack:
            raise ParameterError(f"--image {self.image}: {lack}") from None
        images = known.column("image_id").to_pylist()
        if self.image not in images:
            raise ParameterError(
                f"--image {self.image}: {self.dataset} has no such image: "
                f"{hint(str(self.image), images)}"
            )
        if self.label is None or self.audit is None:
            return
        text = _json(files, places.predict(self.audit) / "audit.json")
        if self.label not in text["labels"]:
            raise ParameterError(
                f"--label {self.label}: no such label: {hint(self.label, text['labels'])}"
            )


def findings_of(
    kind: str, record: RecordedStage, files: Artifacts, subject: Traced
) -> Iterator[Finding]:
    """Say what the files of a stage tell; where they are not here, say that."""
    try:
        yield from _selected(record, files, subject)
        if kind in _KINDS:
            yield from _KINDS[kind](record, files, subject)
    except NotHereError as lack:
        yield Finding("not here", str(lack), None)
    except (AuditError, ValueError, KeyError) as error:
        words = f"its files cannot be read: {error}"
        yield Finding("unreadable", words, None, False)


def _selected(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    """Tell the rows that enter the number, of those that this stage wrote."""
    origin = subject.origin
    own = [c for c in origin.selections if _within(c.path, record)]
    if not own:
        return
    selected = rows_of(origin, lambda path, table, names: _columns(files, path, table, names))
    for chosen, rows in zip(origin.selections, selected, strict=True):
        if chosen not in own:
            continue
        total = _columns(files, chosen.path, chosen.table, ["image_id"]).num_rows
        value: dict[str, Any] = {
            "table": str(chosen.path),
            "md5": files.md5(str(chosen.path)),
            "rows": rows.num_rows,
            "of": total,
            "images": len(set(rows.column("image_id").to_pylist())),
            "where": _filter(chosen),
            "values": list(chosen.values),
        }
        if subject.list_rows:
            value["listed"] = rows.to_pylist()
        words = f"{rows.num_rows} of {total} rows of {chosen.path} enter: {chosen.words()}"
        yield Finding("rows", words, value)


def _filter(chosen: Selection) -> dict[str, Any]:
    return {
        "table": dict(chosen.where),
        "at_least": dict(chosen.least),
        "cohort": dict(chosen.cohort),
        "with_truth": chosen.with_truth,
        "not_null": chosen.present,
    }


def _within(path: Path, record: RecordedStage) -> bool:
    return any(path.is_relative_to(out) for out in record.writes)


def _maps(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    """Tell which maps enter, and check which model and method made them."""
    assert subject.audit is not None
    path = Path(next(iter(record.writes)))
    card = _card(files, subject.audit)
    table = saliency(*card["image_size"])
    names = ["image_id", "label", "status", "model_digest", "method_digest"]
    maps = _columns(files, path, table, names).to_pylist()
    own = _entering(maps, files, subject)
    enter = "enter" if subject.image is None else "are of it"
    yield Finding(
        "maps",
        f"{len(own)} of {len(maps)} maps of {path} {enter}: {_tally(own, 'status')}",
        {"maps": len(own), "of": len(maps), "statuses": dict(_count(own, "status"))},
    )
    models = sorted({row["model_digest"] for row in maps})
    yield _agreement(
        "model_digest", models, card["digest"], "of the maps' model", "that of model.json"
    )
    from saliency_audit.attribution.registry import method_digest, with_block

    method, given = path.stem, record.parameters
    tree = {"preset": given.get("preset"), "method": {method: given.get(f"method.{method}") or {}}}
    asked = _json(files, places.scope_of_method(subject.audit, method))
    digest = method_digest(
        method, with_block(method, applied(tree)["method"][method], asked["block"])
    )
    methods = sorted({row["method_digest"] for row in maps})
    words = f"that of {path.stem} with the parameters that were recorded"
    yield _agreement("method_digest", methods, digest, "of the maps' method", words)


def _entering(
    maps: list[dict[str, Any]], files: Artifacts, subject: Traced
) -> list[dict[str, Any]]:
    if subject.image is not None:
        return [r for r in maps if r["image_id"] == subject.image and _labelled(r, subject)]
    pairs: set[tuple[str, str]] = set()
    for rows in rows_of(subject.origin, lambda p, t, n: _columns(files, p, t, n)):
        listed = rows.select(["image_id", "label"]).to_pylist()
        pairs |= {(row["image_id"], row["label"]) for row in listed}
    return [row for row in maps if (row["image_id"], row["label"]) in pairs]


def _agreement(name: str, found: list[str], wanted: str, what: str, like: str) -> Finding:
    if found == [wanted]:
        return Finding(name, f"{name} {wanted[:16]}… {what} is {like}", wanted, True)
    others = ", ".join(f"{digest[:16]}…" for digest in found) or "none"
    words = f"{name} {what} is {others}, and {like} is {wanted[:16]}…: they do NOT belong together"
    return Finding(name, words, {"found": found, "expected": wanted}, False)


def _classifier(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    """Tell how the classifier came to be, and check model.json against the weights."""
    assert subject.audit is not None
    folder = places.train_classifier(subject.audit)
    card = _card(files, subject.audit)
    origin, images = card["origin"], card["images"]
    yield Finding(
        "model",
        f"{card['architecture']}, {origin}; images: {_listed(images)}",
        {"architecture": card["architecture"], "origin": origin, "images": images},
    )
    for path in record.reads:
        if path.startswith(f"{places.CLASSIFIERS}/"):
            names = _registered(files, path)
            yield Finding("registry", f"{path} holds {', '.join(names) or 'no file here'}", names)
    weights = _file(files, folder / "weights.safetensors")
    sha256 = file_sha256(weights)
    words = f"{folder / 'weights.safetensors'}: sha256 {sha256}"
    yield Finding("weights", words, {"path": str(folder / "weights.safetensors"), "sha256": sha256})
    with _together(files, folder) as place:
        digest = _digest_of(place, card)
    yield _agreement(
        "model_digest", [card["digest"]], digest, "of model.json", "that of the weights"
    )


def _registered(files: Artifacts, folder: str) -> list[str]:
    """Name the files of a classifier's folder, here or in the revision."""
    if files.commit is not None:
        listed = entries(files.root, files.commit, [f"{folder}/"])
        return [path.removeprefix(f"{folder}/") for path in listed]
    place = files.root / folder
    return sorted(str(f.relative_to(place)) for f in place.rglob("*") if f.is_file())


def _digest_of(folder: Path, card: Mapping[str, Any]) -> str:
    """Compute the digest of a classifier from its files."""
    from saliency_audit.labelling import Labelling
    from saliency_audit.models.adoption import with_weights
    from saliency_audit.models.card import classifier_digest
    from saliency_audit.models.specification import read_specification
    from saliency_audit.models.weights import load_weights

    classifier = with_weights(
        read_specification(folder / "model.yaml"),
        folder,
        load_weights(folder / "weights.safetensors"),
        labels=tuple(card["labels"]),
        labelling=Labelling(card["labelling"]),
        image_size=(card["image_size"][0], card["image_size"][1]),
    )
    return classifier_digest(classifier, card["architecture"])


def _segmenter(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    """Tell what the segmenter learnt from."""
    card = _json(files, places.train_segmenter(subject.dataset) / "model.json")
    images = card.get("images", {})
    quality = card.get("quality", {}).get("test", {})
    yield Finding(
        "segmenter",
        f"{card['status']}, digest {str(card.get('digest'))[:16]}…; images: {_listed(images)}",
        {"digest": card.get("digest"), "images": images, "quality": quality},
    )


def _predictions(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    """Check which models predicted; of one image, tell what."""
    assert subject.audit is not None
    folder = places.predict(subject.audit)
    said, card = _json(files, folder / "audit.json"), _card(files, subject.audit)
    segmenter = _json(files, places.train_segmenter(subject.dataset) / "model.json")
    yield _agreement(
        "model_digest",
        [said["model_digest"]],
        card["digest"],
        "of the predictions' model",
        "that of model.json",
    )
    if segmenter.get("digest"):
        yield _agreement(
            "segmenter_digest",
            [str(said["segmenter"]["digest"])],
            segmenter["digest"],
            "of the masks' segmenter",
            "that of its model.json",
        )
    if subject.image is not None:
        yield from _chosen(files, folder / "chosen.parquet", subject)
    columns = ["probability", "calibrated", "predicted", "target", "explained"]
    yield from _rows(files, folder / "predictions.parquet", PREDICTIONS, columns, subject)


def _chosen(files: Artifacts, path: Path, subject: Traced) -> Iterator[Finding]:
    """Tell whether an image was explained, and check that its pixels were the dataset's."""
    names = ["image_id", "pixel_sha256"]
    chosen = {
        row["image_id"]: row["pixel_sha256"]
        for row in _columns(files, path, CHOSEN, names).to_pylist()
    }
    if subject.image not in chosen:
        words = f"{subject.image} is none of the {len(chosen)} images that were explained: no map"
        yield Finding("explained", words, False)
        return
    images = places.ingest(subject.dataset) / "images.parquet"
    rows = _columns(files, images, IMAGES, names).to_pylist()
    wanted = next(row["pixel_sha256"] for row in rows if row["image_id"] == subject.image)
    found = chosen[subject.image]
    yield _agreement(
        "pixel_sha256", [found], wanted, "of what was explained", "that of the images table"
    )


def _cohort(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    """Tell how many rows count; of one image, whether it does."""
    path = Path(next(iter(record.writes)))
    if subject.image is not None:
        columns = ["split", "correct", "counts", "reason"]
        yield from _rows(files, path, COHORT, columns, subject)
        return
    rows = _columns(files, path, COHORT, ["split", "counts", "reason"]).to_pylist()
    test = [row for row in rows if row["split"] == "test"]
    counted = sum(row["counts"] for row in test)
    yield Finding(
        "cohort",
        f"{counted} of {len(test)} test rows count, judged by the maps of all methods: "
        f"{_tally(test, 'reason')}",
        {"test": len(test), "count": counted, "reasons": dict(_count(test, "reason"))},
    )


def _located(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    path = Path(next(iter(record.writes)))
    columns = ["method", "masks", "saliency", "reading", *LOCATED, "status"]
    yield from _rows(files, path, LOCALISATION, columns, subject)


def _scored(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    path = Path(next(iter(record.writes)))
    columns = ["method", "masks", "saliency", *SCORED, "status"]
    yield from _rows(files, path, CERTAINTY, columns, subject)


def _rows(
    files: Artifacts, path: Path, table: Table, columns: list[str], subject: Traced
) -> Iterator[Finding]:
    """Tell the rows of one image: of maps themselves, not of their controls."""
    if subject.image is None:
        return
    rows = _columns(files, path, table, ["image_id", "label", *columns]).to_pylist()
    for row in rows:
        known = row["image_id"] == subject.image and _labelled(row, subject)
        method = subject.method in (None, row.get("method", subject.method))
        if known and method and row.get("saliency", "map") == "map":
            own = {name: row[name] for name in ("label", *columns) if name != "saliency"}
            words = ", ".join(f"{name} {_short(value)}" for name, value in own.items())
            yield Finding("row", words, {"table": str(path), **own})


def _labelled(row: Mapping[str, Any], subject: Traced) -> bool:
    return subject.label in (None, row["label"])


def _split(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    """Tell how many images each part has; of one image, its part."""
    path = places.split(subject.dataset) / "split.parquet"
    rows = _columns(files, path, SPLIT, ["image_id", "group_id", "split"]).to_pylist()
    if subject.image is not None:
        row = next(row for row in rows if row["image_id"] == subject.image)
        yield Finding("row", f"group {row['group_id']}, split {row['split']}", row)
        return
    counts = dict(_count(rows, "split"))
    groups = {s: len({r["group_id"] for r in rows if r["split"] == s}) for s in counts}
    said = ", ".join(f"{name} {n} ({groups[name]} groups)" for name, n in counts.items())
    yield Finding("split", f"images: {said}", {"images": counts, "groups": groups})


def _images(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    """Tell how many images there are; of one, its file, and check its pixels against that."""
    folder = places.ingest(subject.dataset)
    if subject.image is not None:
        yield from _image(record, files, subject)
        return
    count = _columns(files, folder / "images.parquet", IMAGES, ["image_id"]).num_rows
    aside = _columns(files, folder / "set_aside.parquet", SET_ASIDE, ["reason"]).num_rows
    md5 = files.md5(str(folder / "images.parquet"))
    yield Finding(
        "images",
        f"{count} images in {folder / 'images.parquet'} (md5 {str(md5)[:12]}), {aside} set aside",
        {"images": count, "set_aside": aside, "md5": md5},
    )


def _image(record: RecordedStage, files: Artifacts, subject: Traced) -> Iterator[Finding]:
    path = places.ingest(subject.dataset) / "images.parquet"
    names = ["image_id", "group_id", "labels", "pixel_sha256", "source_file", "notes"]
    rows = _columns(files, path, IMAGES, names).to_pylist()
    row = next(row for row in rows if row["image_id"] == subject.image)
    parameters = record.parameters[f"datasets.{subject.dataset}"]
    source = str(parameters["source"])
    file = f"{source}/{row['source_file']}" if row["source_file"] else None
    words = f"labels {', '.join(row['labels']) or 'none'}; " + (
        f"file {file}" if file else f"drawn by {source}"
    )
    yield Finding("image", words, {**row, "file": file})
    wanted = row["pixel_sha256"]
    if files.look(source).state == MISSING or (file and not (files.root / file).is_file()):
        words = f"pixel_sha256 {wanted}; the raw source is not here to compare it with"
        yield Finding("pixel_sha256", words, wanted)
        return
    if files.look(source).state != VERIFIED and files.commit is not None:
        words = f"pixel_sha256 {wanted}; the raw source here is that of another revision"
        yield Finding("pixel_sha256", words, wanted)
        return
    found = _pixels(files.root, subject.dataset, parameters, row)
    yield _agreement(
        "pixel_sha256", [wanted], found, "of the images table", "that of the raw source now"
    )


def _pixels(root: Path, dataset: str, parameters: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Read or draw an image anew from its raw source; gives the digest of its pixels."""
    from saliency_audit.datasets.encoding import pixel_sha256
    from saliency_audit.datasets.image_files import UnusableFile, read_picture
    from tasks.params import build_source

    source = build_source(dataset, parameters)
    if row["source_file"]:
        try:
            place = root / parameters["source"] / row["source_file"]
            return pixel_sha256(read_picture(place, tuple(source.size)).pixels)
        except UnusableFile as fault:
            return f"{fault.reason}"
    drawn = (item for item in source.samples() if item.image_id == row["image_id"])
    return pixel_sha256(next(drawn).pixels)


Teller = Callable[[RecordedStage, Artifacts, Traced], Iterator[Finding]]

_KINDS: Mapping[str, Teller] = {
    "explain": _maps,
    "train_classifier": _classifier,
    "train_segmenter": _segmenter,
    "predict": _predictions,
    "cohort": _cohort,
    "apply_segx": _located,
    "score_segu": _scored,
    "split": _split,
    "ingest": _images,
}


def _card(files: Artifacts, audit: str) -> dict[str, Any]:
    return _json(files, places.train_classifier(audit) / "model.json")


def _file(files: Artifacts, path: Path) -> Path:
    """Give a file with the recorded bytes, or, where it was changed, the one that is there."""
    place = files.file(str(path))
    if place is not None:
        return place
    if files.commit is None and (files.root / path).is_file():
        return files.root / path
    raise NotHereError(
        f"{path} is neither in the checkout nor in DVC's cache: `dvc pull` brings it, where there "
        "is a remote"
    )


def _json(files: Artifacts, path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_file(files, path).read_text("utf-8"))
    return found


def _table(files: Artifacts, path: Path, table: Table, names: list[str]) -> Any:
    return _columns(files, path, table, ["image_id", *names])


def _columns(files: Artifacts, path: Path, table: Table, names: list[str]) -> Any:
    return read_columns(_file(files, path), table, names)


@contextmanager
def _together(files: Artifacts, folder: Path) -> Iterator[Path]:
    """Give a folder with the recorded files of one under their own names."""
    md5 = files.recorded.get(str(folder))
    within = files.within(md5) if md5 else {}
    with TemporaryDirectory(prefix="saliency-audit-") as name:
        for file in within:
            place = Path(name) / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(_file(files, folder / file).resolve())
        yield Path(name) if within else files.root / folder


def _count(rows: list[dict[str, Any]], column: str) -> list[tuple[str, int]]:
    return sorted(Counter(str(row[column]) for row in rows).items())


def _tally(rows: list[dict[str, Any]], column: str) -> str:
    return ", ".join(f"{n} {value}" for value, n in _count(rows, column)) or "none"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
