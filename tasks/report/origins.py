"""Which rows of which tables each number of ``metrics.json`` is made of: stated here, once.

No stage imports this module, so that a word here makes none stale. What the numbers are is
computed in ``tasks.summarise`` and named in ``tasks.report.metrics``; the filters of rows are
theirs. A test computes metrics anew from the rows that are named here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from saliency_audit.measures.controls import Saliency
from saliency_audit.measures.explained import Reading
from saliency_audit.measures.localisation_figures import COMPARED
from tasks import places
from tasks.report import declared_metrics
from tasks.summarise.localisation import WITHOUT_TRUTH
from tasks.summarise.rows import TEST, attach
from tasks.summary.document import Outline, Parameters
from tasks.tables.agreement import AGREEMENT
from tasks.tables.certainty import CERTAINTY
from tasks.tables.cohort import COHORT
from tasks.tables.images import IMAGES
from tasks.tables.localisation import LOCALISATION
from tasks.tables.predictions import PREDICTIONS
from tasks.tables.split import SPLIT
from tasks.tables.table import Table

#: Reads whole columns of a table that lies at a path of ``tasks.places``.
Read = Callable[[Path, Table, list[str]], pa.Table]
Key = tuple[str, ...]

#: What the tables' rows must be in the cohort to enter a number.
COUNTED: Mapping[str, Any] = {"split": TEST, "counts": True}


@dataclass(frozen=True)
class Selection:
    """Some rows of a table.

    ``where``: the value that each of the table's own columns must hold; ``cohort``: that which the
    row of the same image and label must hold in ``cohort_table``; ``least``: the lowest value of a
    column; ``with_truth``: only images and labels whose map met a mask M; ``values``: the columns
    that the number is computed from; rows where the last of them is null are left out.
    """

    path: Path
    table: Table
    where: Mapping[str, Any]
    values: tuple[str, ...] = ()
    cohort: Mapping[str, Any] = field(default_factory=dict)
    cohort_table: Path | None = None
    least: Mapping[str, int] = field(default_factory=dict)
    with_truth: bool = False

    @property
    def present(self) -> str | None:
        """The column that must hold a value; None where none of them may be null."""
        nullable = {column.name for column in self.table.columns if column.null}
        return next((name for name in self.values[-1:] if name in nullable), None)

    def words(self) -> str:
        """Say which rows these are.

        >>> Selection(Path("a.parquet"), SPLIT, {"split": "test"}).words()
        'split = test'
        """
        said = [f"{name} = {_word(value)}" for name, value in self.where.items()]
        said += [f"{name} ≥ {value}" for name, value in self.least.items()]
        if self.with_truth:
            said.append("with a mask M")
        if self.cohort:
            own = ", ".join(f"{name} = {_word(value)}" for name, value in self.cohort.items())
            said.append(f"in the cohort: {own}")
        if self.present:
            said.append(f"{self.present} not null")
        return "; ".join(said) or "all"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Origin:
    """What a number is made of.

    ``statistic``: how, in words; ``maps``: the tables of maps that its rows were computed from;
    ``paired``: only images and labels that are in every selection; ``made_by``: the file that a
    stage keeps the number in, where it is no statistic of a table.
    """

    statistic: str
    selections: tuple[Selection, ...]
    maps: tuple[Path, ...] = ()
    paired: bool = False
    made_by: Path | None = None


def leaves(tree: Mapping[str, Any], key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Give the numbers of a metrics.json, each with the keys that lead to it.

    A status is none, and neither is what has no value.

    >>> list(leaves({"a": {"b": 1, "status": "not_applicable", "n": None}, "c": 2}))
    [(('a', 'b'), 1), (('c',), 2)]
    """
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*key, name))
        elif isinstance(value, int | float):
            yield (*key, name), value


def origin_of(key: Key, dataset: str, summary: Outline | None) -> Origin:
    """Say what a number of a dataset's metrics.json is made of; raises KeyError for another key.

    ``summary``: what the audit's summary says of itself; None for a number of no audit.
    """
    if summary is None:
        return _of_dataset(key, dataset)
    audit, section, *rest = key
    if section == "adopted_without_proof":
        what = "whether no reference proves an adopted classifier, kept in its model.json"
        return Origin(what, (), made_by=places.train_classifier(audit) / "model.json")
    if section == "coarse_map":
        return Origin(
            "1 where the method's maps of these rows are coarse by its own ceiling or their ties, "
            "judged once by the cohort and kept in its table of methods",
            (Selection(places.cohort(audit), COHORT, COUNTED),),
            (places.explain(audit) / f"{rest[0]}.parquet",),
            made_by=places.cohort_methods(audit),
        )
    if section == "classification":
        return _classification(audit, rest)
    if section == "agreement":
        return _agreement(audit, rest[0], rest[1], summary.parameters)
    return _of_method(audit, section, rest[0], rest[1], summary.headline_masks)


def _of_dataset(key: Key, dataset: str) -> Origin:
    ingested = places.ingest(dataset)
    if key[0] == "dataset":
        what = {"images": "rows", "groups": "distinct group_id"}[key[1]]
        chosen = Selection(ingested / "images.parquet", IMAGES, {}, ("group_id",))
        return Origin(f"count of {what}", (chosen,))
    if key[0] != "segmenter":
        raise KeyError(key)
    chosen = Selection(places.split(dataset) / "split.parquet", SPLIT, {"split": TEST})
    what = (
        f"mean {key[2]} of the segmenter's mask {key[1]} over images that have one, computed once "
        "by the training and kept in its model.json"
    )
    return Origin(what, (chosen,), made_by=places.train_segmenter(dataset) / "model.json")


def _classification(audit: str, rest: Sequence[str]) -> Origin:
    metric = {metric.key: metric for metric in declared_metrics.CLASSIFICATION}[rest[0]]
    own = {"split": TEST, **({"label": rest[1]} if len(rest) > 1 else {})}
    path = places.predict(audit) / "predictions.parquet"
    return Origin(metric.statistic, (Selection(path, PREDICTIONS, own, metric.columns),))


def _agreement(audit: str, name: str, what: str, parameters: Parameters) -> Origin:
    metric = {metric.key: metric for metric in declared_metrics.AGREEMENT}[what]
    chosen = Selection(
        places.aggregate_agreement(audit) / "agreement.parquet",
        AGREEMENT,
        {"methods": name},
        metric.columns,
        COUNTED,
        places.cohort(audit),
        metric.least,
    )
    methods = parameters.agreement_methods if name == "paper" else parameters.methods
    return Origin(metric.statistic, (chosen,), tuple(_maps(audit, method) for method in methods))


def _maps(audit: str, method: str) -> Path:
    return places.explain(audit) / f"{method}.parquet"


def _of_method(audit: str, section: str, method: str, what: str, masks: str) -> Origin:
    make = {"localisation": _localisation, "certainty": _certainty}[section]
    origin = make(audit, {"method": method, "masks": masks, "saliency": str(Saliency.MAP)}, what)
    return replace(origin, maps=(_maps(audit, method),))


def _localisation(audit: str, own: Mapping[str, str], what: str) -> Origin:
    base = Selection(
        places.apply_segx(audit),
        LOCALISATION,
        {**own, "reading": str(Reading.ORIGINAL)},
        cohort=COUNTED,
        cohort_table=places.cohort(audit),
        with_truth=True,
    )
    if what == "n":
        return Origin("count of rows", (base,))
    # The longest first: one may begin as another does.
    measure = next(name for name in sorted(COMPARED, key=len)[::-1] if what.startswith(f"{name}_"))
    rest = what.removeprefix(f"{measure}_")
    if not rest.startswith("gain_over_"):
        where = {**base.where, "reading": str(Reading(rest))}
        return Origin(f"mean of {measure}", (replace(base, where=where, values=(measure,)),))
    control = rest.removeprefix("gain_over_")
    first, second = (
        replace(
            base,
            where={**base.where, "reading": str(Reading.SEGX), "saliency": saliency},
            values=(measure,),
        )
        for saliency in (str(Saliency.MAP), str(Saliency(control)))
    )
    statistic = f"mean of {measure} of the map less that of its {control} control"
    return Origin(statistic, (first, second), paired=True)


def _certainty(audit: str, own: Mapping[str, str], what: str) -> Origin:
    base = Selection(
        places.score_segu(audit),
        CERTAINTY,
        own,
        ("correct",),
        COUNTED,
        places.cohort(audit),
    )
    score, _, end = what.rpartition("_")
    sides = {"correct": True, "incorrect": False}
    if what in sides:
        side = {**COUNTED, "correct": sides[what]}
        return Origin("count of rows", (replace(base, cohort=side),))
    if end == "auroc":
        statistic = f"AUROC of {score}, right against wrong predictions"
        return Origin(statistic, (replace(base, values=("correct", score)),))
    side = {**COUNTED, "correct": sides[end]}
    return Origin(f"mean of {score}", (replace(base, cohort=side, values=("correct", score)),))


def rows_of(origin: Origin, read: Read) -> list[pa.Table]:
    """Give the rows of each selection: the columns of the table's key, and the values."""
    found = [_select(selection, read) for selection in origin.selections]
    if origin.paired:
        common = set.intersection(*({*_pairs(table)} for table in found))
        found = [t.filter(pa.array([pair in common for pair in _pairs(t)])) for t in found]
    return found


def _pairs(table: pa.Table) -> list[tuple[str, str]]:
    columns = (table.column(name).to_pylist() for name in ("image_id", "label"))
    return list(zip(*columns, strict=True))


def _select(chosen: Selection, read: Read) -> pa.Table:
    declared = {column.name for column in chosen.table.columns}
    own = [name for name in chosen.values if name in declared]
    extra = ["status", "saliency", "reading"] if chosen.with_truth else []
    names = [*chosen.table.key, *chosen.where, *chosen.least, *own, *extra]
    table = read(chosen.path, chosen.table, list(dict.fromkeys(names)))
    if chosen.with_truth:
        table = _with_truth(table, chosen)
    for name, value in chosen.where.items():
        table = table.filter(pc.equal(table.column(name), value))
    for name, value in chosen.least.items():
        table = table.filter(pc.greater_equal(table.column(name), value))
    if chosen.cohort_table is not None:
        table = _of_cohort(table, chosen, read)
    if chosen.present:
        table = table.filter(pc.is_valid(table.column(chosen.present)))
    return table.select(list(dict.fromkeys([*chosen.table.key, *chosen.values])))


def _with_truth(table: pa.Table, chosen: Selection) -> pa.Table:
    """Keep images and labels whose own map met a mask M: Table 3 has the same ones everywhere."""
    whole = table
    judged = {
        **{name: chosen.where[name] for name in ("method", "masks")},
        "saliency": str(Saliency.MAP),
        "reading": str(Reading.ORIGINAL),
    }
    for name, value in judged.items():
        whole = whole.filter(pc.equal(whole.column(name), value))
    without = pa.array([str(status) for status in WITHOUT_TRUTH])
    kept = whole.filter(pc.invert(pc.is_in(whole.column("status"), value_set=without)))
    pairs = set(_pairs(kept))
    return table.filter(pa.array([pair in pairs for pair in _pairs(table)], pa.bool_()))


def _of_cohort(table: pa.Table, chosen: Selection, read: Read) -> pa.Table:
    assert chosen.cohort_table is not None
    declared = {column.name for column in COHORT.columns} - {"image_id", "label"}
    wanted = [n for n in dict.fromkeys([*chosen.cohort, *chosen.values]) if n in declared]
    cohort = read(chosen.cohort_table, COHORT, ["image_id", "label", *wanted])
    table = attach(table, cohort, wanted)
    for name, value in chosen.cohort.items():
        table = table.filter(pc.equal(table.column(name), value))
    return table
