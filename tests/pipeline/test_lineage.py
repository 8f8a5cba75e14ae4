"""A number of the report is followed back to its source file, and events say what stages did.

What the rows named by a trace give is computed anew here, in float64, from those rows alone.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections import defaultdict
from math import comb
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import jsonschema
import networkx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from flows.lineage.provenance import trace_metric
from saliency_audit.datasets.phantom_skin import PhantomSkin
from tasks import places
from tasks.artifacts import read_columns
from tasks.report.origins import leaves, origin_of, rows_of
from tasks.summary.document import read_outline

AUDIT, DATASET = "mine-tiny", "mine"
METRICS = f"reports/{DATASET}/metrics.json"
PASSWORD = "open-sesame-4711"


def draw_images(folder):
    """A person's own folder of images, with a mask each."""
    folder.mkdir()
    with (folder / "images.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "label", "group", "mask"])
        for sample in PhantomSkin(images=120, size=(32, 32), seed=1).samples():
            name = f"{sample.image_id}.png"
            Image.fromarray(sample.pixels).save(folder / name)
            (mask,) = sample.masks.values()
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"mask_{name}")
            label = "network" if sample.labels == ("network",) else "other"
            table.writerow([name, label, sample.group_id, f"mask_{name}"])


@pytest.fixture(scope="module")
def audited(checkout):
    """A miniature audit of a folder of images, run and committed."""
    draw_images(checkout.path / "images")
    tree = checkout.params()
    source = {"kind": "folder", "source": "images", "size": [32, 32], "unlisted": "ignore"}
    tree["datasets"] = {DATASET: source}
    tree["audits"] = {AUDIT: {"dataset": DATASET, "classifier": "tiny", "images": 30}}
    tree["split"] = {**tree["split"], "test": 30}
    tree["methods"] = ["gradcam", "gradcam_plus_plus", "rise"]
    tree["method"] = {**tree["method"], "gradcam_plus_plus": {}}
    tree["agreement"] = {**tree["agreement"], "methods": tree["methods"]}
    tree["split"]["train"] = 60
    checkout.write_params(tree)
    checkout.call("git", "remote", "add", "origin", f"https://me:{PASSWORD}@example.org/a.git")
    commit(checkout, "code")
    checkout.audit("run")
    commit(checkout, "audited")
    return checkout


def commit(checkout, message):
    checkout.call("git", "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    checkout.call("git", *identity, "commit", "-q", "-m", message)


def metrics(checkout):
    return json.loads((checkout.path / METRICS).read_text())


def read_there(checkout):
    return lambda path, table, names: read_columns(checkout.path / path, table, names)


# What the numbers are, in plain numpy.


def column(rows, name):
    return np.array([row[name] for row in rows], dtype=np.float64)


def area_under_roc(scores, positive):
    """Share of pairs in which the positive has the higher score; ties count a half."""
    above = scores[positive][:, None] - scores[~positive][None, :]
    return float(np.mean((above > 0) + 0.5 * (above == 0))) if above.size else None


def auroc(rows, score, truth):
    return area_under_roc(column(rows, score), column(rows, truth) > 0)


def f1(rows):
    predicted, target = column(rows, "predicted") > 0, column(rows, "target") > 0
    whole = predicted.sum() + target.sum()
    return 2 * (predicted & target).sum() / whole if whole else None


def by(rows, *names):
    found = defaultdict(list)
    for row in rows:
        found[tuple(row[name] for name in names)].append(row)
    return list(found.values())


def mean(values):
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None


def calibration_error(rows, score):
    """Guo et al. 2017, Eq 3: ten bins (low, high] of the highest probability of each image."""
    top = [max(own, key=lambda row: row[score]) for own in by(rows, "image_id")]
    stated, right = column(top, score), column(top, "target")
    bins = np.clip(np.ceil(stated * 10) - 1, 0, 9)
    return sum(abs(stated[bins == b].sum() - right[bins == b].sum()) / len(top) for b in set(bins))


def highest(own):
    return max(row["count"] for row in own)


def near_unanimous(own):
    return highest(own) >= own[0]["valid_methods"] - 1


def computed(key, tables):
    """Compute a metric from the rows that are said to give it."""
    rows, name = tables[0], key[-1]
    section = key[1] if len(key) > 2 else key[0]
    if key[:1] == ("dataset",):
        return len(rows) if name == "images" else len({row["group_id"] for row in rows})
    if section == "classification":
        labels = by(rows, "label")
        return {
            "images": lambda: len(by(rows, "image_id")),
            "exact_match": lambda: mean(
                all(row["predicted"] == row["target"] for row in own)
                for own in by(rows, "image_id")
            ),
            "macro_auroc": lambda: mean(auroc(own, "probability", "target") for own in labels),
            "macro_f1": lambda: mean(f1(own) for own in labels),
            "ece_raw": lambda: calibration_error(rows, "probability"),
            "ece_calibrated": lambda: calibration_error(rows, "calibrated"),
            "nothing_predicted": lambda: sum(
                not any(row["predicted"] for row in own) for own in by(rows, "image_id")
            ),
            "auroc": lambda: auroc(rows, "probability", "target"),
            "f1": lambda: f1(rows),
        }[key[2]]()
    if section == "agreement":
        cells = by(rows, "image_id", "label")
        # Three maps of three cells of nine: the second is disjoint in C(6, 3) of C(9, 3) cases, and
        # the third then in one.
        return {
            "methods": lambda: max(own[0]["valid_methods"] for own in cells),
            "n": lambda: len(cells),
            "highest_mean": lambda: mean(highest(own) for own in cells),
            "near_unanimous": lambda: mean(near_unanimous(own) for own in cells),
            "chance": lambda: 1 - comb(6, 3) / comb(9, 3) ** 2,
        }[name]()
    if name in ("n", "correct", "incorrect"):
        return len(rows)
    if name.endswith("_auroc"):
        return auroc(rows, name.removesuffix("_auroc"), "correct")
    values = [set(row) - {"image_id", "label", "method", "masks", "saliency", "reading", "correct"}
              for row in rows]  # fmt: skip
    (value,) = set.union(*values)
    if len(tables) == 1:
        return mean(row[value] for row in rows)
    other = {(row["image_id"], row["label"]): row[value] for row in tables[1]}
    return mean(row[value] - other[row["image_id"], row["label"]] for row in rows)


def agrees(key, printed, tables):
    found = computed(key, tables)
    return found is not None and abs(found - printed) <= 0.5e-6 + 1e-12


def test_the_rows_that_are_named_give_every_number(audited):
    """All but the segmenter's own quality, which its training measures with its weights."""
    summary = read_outline(audited.path / "data/summarise" / DATASET / AUDIT / "summary.json")
    wrong, seen = [], set()
    for key, printed in leaves(metrics(audited)):
        origin = origin_of(key, DATASET, summary if key[0] == AUDIT else None)
        tables = [table.to_pylist() for table in rows_of(origin, read_there(audited))]
        if key[0] == "segmenter":
            assert len(tables[0]) == metrics(audited)[AUDIT]["classification"]["images"]
            continue
        if key[1:2] == ("coarse_map",):
            own = pq.read_table(audited.path / places.cohort_methods(AUDIT)).to_pylist()
            (row,) = (row for row in own if row["method"] == key[2])
            assert printed == (row["resolution"] == "coarse_map")
            means = pq.read_table(audited.path / places.explain(AUDIT) / f"{key[2]}.parquet")
            rows = {(row["image_id"], row["label"]) for row in tables[0]}
            ties = [
                row["tie_share"]
                for row in means.select(["image_id", "label", "tie_share"]).to_pylist()
                if (row["image_id"], row["label"]) in rows
            ]
            assert row["tie_share"] == pytest.approx(mean(ties), nan_ok=True)
            continue
        seen.add(key[-1])
        if not agrees(key, printed, tables):
            wrong.append((key, printed, computed(key, tables)))
    assert not wrong
    assert {"c_iou_auroc", "iou_gain_over_centred", "macro_auroc", "near_unanimous"} <= seen


KEYS = (
    f"{AUDIT}.certainty.rise.c_iou_auroc",
    f"{AUDIT}.certainty.rise.c_auitc_correct",
    f"{AUDIT}.localisation.gradcam.auitc_segx",
    f"{AUDIT}.localisation.rise.iou_gain_over_shuffled",
    f"{AUDIT}.agreement.paper.highest_mean",
    f"{AUDIT}.classification.auroc.network",
    "dataset.groups",
)


@pytest.mark.parametrize("key", KEYS)
def test_a_trace_lists_those_rows_and_their_digest(audited, key):
    trace = trace_metric(audited.path, f"{METRICS}:{key}", None, rows=True)
    found = [f.value for step in trace.steps for f in step.findings if f.name == "rows"]
    tables = [own["listed"] for own in found]
    assert agrees(tuple(key.split(".")), trace.what["value"], tables)
    for own in found:
        data = (audited.path / own["table"]).read_bytes()
        assert own["md5"] == hashlib.md5(data).hexdigest()
    assert trace.faults() == []


def test_a_trace_follows_the_graph_of_dvc_to_the_source(audited):
    from dvc.repo import Repo

    told = json.loads(audited.audit("trace", KEYS[0], "--json").stdout)
    assert told["value"] == metrics(audited)[AUDIT]["certainty"]["rise"]["c_iou_auroc"]
    names = [step["stage"] for step in told["steps"]]
    with Repo(str(audited.path)) as repo:
        graph = networkx.DiGraph((a.name, b.name) for a, b in repo.index.graph.edges)
    behind = networkx.descendants(graph, f"score_segu@{AUDIT}") - {"code"}
    others = {f"explain@{AUDIT}-gradcam", f"explain@{AUDIT}-gradcam_plus_plus"}
    assert set(names) == behind - others | {f"report@{DATASET}", f"summarise@{AUDIT}"} | {
        f"score_segu@{AUDIT}"
    }
    for step in told["steps"]:
        assert set(step["reads"]) == set(graph.successors(step["stage"])) & set(names)
        entry = audited.lock()[step["stage"]]
        assert step["parameters"] == entry["params"]["params.yaml"]
        recorded = {out["path"]: out["md5"] for out in entry["outs"]}
        for out in step["outputs"]:
            assert out["md5"] == recorded[out["path"]]
            assert out["state"] == "verified"
        assert step["commit"] == audited.call("git", "rev-parse", "HEAD").stdout.strip()
    sources = {s["path"]: s["state"] for step in told["steps"] for s in step["sources"]}
    assert sources == {"images": "verified", "classifiers/tiny": "verified"}
    weights = audited.path / "data/train_classifier" / AUDIT / "weights.safetensors"
    said = {f["name"]: f["value"] for step in told["steps"] for f in step["findings"]}
    assert said["weights"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert told["faults"] == []


def test_a_person_reads_a_tree(audited):
    said = audited.audit("trace", KEYS[0]).stdout
    value = metrics(audited)[AUDIT]["certainty"]["rise"]["c_iou_auroc"]
    assert said.startswith(f"{METRICS}:{KEYS[0]} = {value}\n")
    order = ["report@", "summarise@", "score_segu@", "explain@", "train_classifier@", "images md5"]
    places = [said.index(word) for word in order]
    assert places == sorted(places)
    assert "agrees: model_digest" in said
    assert "DIFFERS" not in said
    assert len(said.splitlines()) < 90


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([f"{AUDIT}.certainty.rise.c_iou_auroq"], f"did you mean {KEYS[0]}"),
        ([f"reports/mein/metrics.json:{KEYS[0]}"], f"did you mean {METRICS}"),
        (["--image", "skin-000001.pmg", "--audit", AUDIT], "did you mean skin-000001.png"),
        (["--image", "skin-000001.png", "--audit", "mine-tinny"], f"did you mean {AUDIT}"),
        (["--image", "skin-000001.png"], "--image and --audit"),
        ([KEYS[0], "--method", "rise"], "--method is of a row"),
        ([KEYS[0], "--rev", "nowhere"], "no such revision"),
    ],
)
def test_what_is_not_there_is_named_with_the_nearest(audited, arguments, named):
    found = audited.audit("trace", *arguments, check=False)
    assert found.returncode == 2
    assert named in found.stderr
    assert "Traceback" not in found.stderr


def explained(checkout):
    path = checkout.path / "data/predict" / AUDIT / "chosen.parquet"
    return pq.read_table(path, columns=["image_id"]).column("image_id").to_pylist()


def test_a_row_leads_to_its_file_and_a_changed_file_is_said(audited):
    image = explained(audited)[0]
    question = ("trace", "--image", image, "--audit", AUDIT, "--method", "rise")
    told = json.loads(audited.audit(*question, "--json").stdout)
    said = [(f["name"], f["value"], f["agrees"]) for s in told["steps"] for f in s["findings"]]
    file = audited.path / "images" / image
    pixels = np.asarray(Image.open(file))
    (row,) = [value for name, value, _ in said if name == "image"]
    assert row["file"] == f"images/{image}"
    assert sum(name == "pixel_sha256" and held for name, _, held in said) == 2
    methods = {v["method"] for name, v, _ in said if name == "row" and "method" in v}
    assert methods == {"rise"}
    kept = file.read_bytes()
    Image.fromarray(255 - pixels).save(file)
    found = audited.audit(*question, check=False)
    file.write_bytes(kept)
    assert found.returncode == 5
    assert "pixel_sha256 of the images table" in found.stderr
    assert "images is not what ingest@mine ran with" in found.stderr


def test_a_file_that_is_only_in_the_cache_is_read_there(audited):
    folder = audited.path / "data" / "score_segu"
    table = folder / f"{AUDIT}.parquet"
    table.unlink()
    trace = trace_metric(audited.path, KEYS[0], None, rows=True)
    states = {o.path: o.state for step in trace.steps for o in step.outputs}
    assert states[f"data/score_segu/{AUDIT}.parquet"] == "only in cache"
    (rows,) = [f.value["listed"] for s in trace.steps for f in s.findings if f.name == "rows"]
    assert agrees(tuple(KEYS[0].split(".")), trace.what["value"], [rows])
    md5 = audited.outputs()[f"data/score_segu/{AUDIT}.parquet"]
    cached = audited.path / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    hidden = cached.with_name("hidden")
    cached.rename(hidden)
    found = audited.audit("trace", KEYS[0], check=False)
    hidden.rename(cached)
    assert "missing" in found.stdout
    assert "dvc pull" in found.stdout
    assert found.returncode == 0, "what is not here is no sign that it was changed"
    audited.call("dvc", "checkout", str(table))


def test_maps_of_another_model_are_said_loudly(audited):
    """A table of maps is put in place of the recorded one, and recorded, as by a wrong merge."""
    path = audited.path / "data/explain" / AUDIT / "rise.parquet"
    kept, lock = path.read_bytes(), (audited.path / "dvc.lock").read_text()
    table = pq.read_table(path)
    where = table.schema.get_field_index("model_digest")
    other = pa.array(["0" * 64] * len(table))
    path.unlink()
    pq.write_table(table.set_column(where, table.schema.field(where), other), path)
    changed = audited.audit("trace", KEYS[0], check=False)
    audited.call("dvc", "commit", "-f", f"explain@{AUDIT}-rise")
    found = audited.audit("trace", KEYS[0], check=False)
    path.unlink()
    path.write_bytes(kept)
    (audited.path / "dvc.lock").write_text(lock)
    assert changed.returncode == 5
    assert "rise.parquet is not what" in changed.stderr
    assert found.returncode == 5
    assert "model_digest of the maps' model is 0000000000000000…" in found.stderr
    assert "NOT belong together" in found.stderr
    assert "it read another" in found.stderr, "what follows was computed from other maps"
    assert "not committed" in found.stdout
    assert audited.audit("trace", KEYS[0]).returncode == 0


def test_a_revision_is_traced_from_git_and_the_cache(audited):
    """What lies in the checkout has changed since, and the maps are no longer there."""
    told = metrics(audited)
    path = audited.path / METRICS
    kept = path.read_text()
    path.write_text(kept.replace("c_iou_auroc", "c_iou_other"))
    maps = audited.path / "data/explain" / AUDIT
    away = audited.path.parent / "away"
    shutil.move(maps, away)
    found = audited.audit("trace", KEYS[0], "--rev", "HEAD", "--json", check=False)
    shutil.move(away, maps)
    path.write_text(kept)
    assert found.returncode == 0, found.stderr
    trace = json.loads(found.stdout)
    assert trace["value"] == told[AUDIT]["certainty"]["rise"]["c_iou_auroc"]
    states = {o["path"]: o["state"] for step in trace["steps"] for o in step["outputs"]}
    assert states[f"data/explain/{AUDIT}/rise.parquet"] == "only in cache"
    assert states[METRICS] in ("only in cache", "only in git")


# OpenLineage's RunEvent, as its specification words it: written here anew, and stricter.

FACET = {
    "type": "object",
    "required": ["_producer", "_schemaURL"],
    "properties": {"_producer": {"const": None}, "_schemaURL": {"type": "string"}},
}


def facets_of(kind):
    return {"type": "object", "additionalProperties": FACET, "propertyNames": {"enum": kind}}


DATASET_FACETS = ["version", "schema", "datasetType"]


def dataset_schema(**more):
    return {
        "type": "object",
        "required": ["namespace", "name"],
        "additionalProperties": False,
        "properties": {
            "namespace": {"const": "saliency-audit"},
            "name": {"type": "string", "minLength": 1},
            "facets": facets_of(DATASET_FACETS),
            **more,
        },
    }


RUN_FACETS = ["parent", "processing_engine", "saliencyAudit_stage", "errorMessage", "tags",
              "executionParameters"]  # fmt: skip
JOB_FACETS = ["jobType", "documentation", "sourceCodeLocation"]
RUN_EVENT = {
    "type": "object",
    "required": ["run", "job", "eventTime", "eventType", "producer", "schemaURL"],
    "additionalProperties": False,
    "properties": {
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "eventTime": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$"},
        "producer": {"type": "string"},
        "schemaURL": {
            "const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        },
        "run": {
            "type": "object",
            "required": ["runId"],
            "additionalProperties": False,
            "properties": {"runId": {"type": "string"}, "facets": facets_of(RUN_FACETS)},
        },
        "job": {
            "type": "object",
            "required": ["namespace", "name"],
            "additionalProperties": False,
            "properties": {
                "namespace": {"const": "saliency-audit"},
                "name": {"type": "string", "minLength": 1},
                "facets": facets_of(JOB_FACETS),
            },
        },
        "inputs": {"type": "array", "items": dataset_schema(inputFacets={"const": {}})},
        "outputs": {
            "type": "array",
            "items": dataset_schema(outputFacets=facets_of(["outputStatistics"])),
        },
    },
}


def facets_in(event):
    yield from event["run"]["facets"].items()
    yield from event["job"]["facets"].items()
    for data in (*event["inputs"], *event["outputs"]):
        yield from data["facets"].items()
        yield from data.get("outputFacets", {}).items()


def generated_classes():
    """The classes that OpenLineage generates from its specification, by their schema's address."""
    from openlineage.client import facet_v2
    from openlineage.client.generated.base import BaseFacet

    found = {}
    for module in vars(facet_v2).values():
        for value in vars(module).values() if hasattr(module, "__file__") else ():
            if isinstance(value, type) and issubclass(value, BaseFacet):
                found[value._get_schema()] = value
    return found


def check_events(events, root):
    """Hold events to the schema, and each facet to the class of its schema, or to our own."""
    import attr

    own = json.loads((root / "docs/schemas/stage-run-facet.json").read_text())
    classes = generated_classes()
    for event in events:
        producer = event["producer"]
        assert urlsplit(producer).scheme == "urn"
        FACET["properties"]["_producer"]["const"] = producer
        jsonschema.Draft202012Validator(RUN_EVENT).validate(event)
        UUID(event["run"]["runId"])
        for name, facet in facets_in(event):
            assert urlsplit(facet["_schemaURL"]).scheme in ("https", "urn")
            if name == "saliencyAudit_stage":
                jsonschema.Draft202012Validator(own).validate(facet)
                assert facet["_schemaURL"] == own["$id"]
                continue
            fields = attr.fields(classes[facet["_schemaURL"]])
            assert set(facet) <= {field.name for field in fields}
            needed = {field.name for field in fields if field.default is attr.NOTHING}
            assert needed <= set(facet)


def events_of(folder):
    return [
        json.loads(line)
        for path in sorted(Path(folder).glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


@pytest.fixture(scope="module")
def events(audited):
    """The events of the first run."""
    return events_of(audited.path / ".saliency" / "lineage")


def test_every_stage_starts_and_ends_once_within_the_run(audited, events, root):
    check_events(events, root)
    runs = defaultdict(list)
    for event in events:
        runs[event["run"]["runId"]].append(event)
    flow = [own for own in runs.values() if own[0]["job"]["name"] == "audit"]
    assert [[e["eventType"] for e in own] for own in flow] == [["START", "COMPLETE"]]
    stages = [own for own in runs.values() if own not in flow]
    assert sorted(own[0]["job"]["name"] for own in stages) == sorted(audited.lock())
    before = audited.call("git", "rev-parse", "HEAD~1").stdout.strip()
    for own in stages:
        assert [event["eventType"] for event in own] == ["START", "COMPLETE"]
        for event in own:
            facets = event["run"]["facets"]
            assert facets["parent"]["run"]["runId"] == flow[0][0]["run"]["runId"]
            assert facets["saliencyAudit_stage"]["commit"] == before
            place = event["job"]["facets"]["sourceCodeLocation"]
            assert place["url"] == "https://example.org/a.git"
    assert PASSWORD not in json.dumps(events)


def test_events_have_the_digests_and_columns_of_the_files(audited, events):
    ends = [e for e in events if e["eventType"] == "COMPLETE" and e["job"]["name"] != "audit"]
    written = {}
    for event in ends:
        entry = audited.lock()[event["job"]["name"]]
        versions = {d["name"]: d["facets"]["version"]["datasetVersion"] for d in event["outputs"]}
        for out in entry["outs"]:
            assert versions[out["path"]] == out["md5"]
        written |= versions
    tables = 0
    for event in ends:
        for data in event["inputs"]:
            name, facets = data["name"], data["facets"]
            if name in written:
                assert facets["version"]["datasetVersion"] == written[name]
            else:
                outside = ("classifiers/", "images", "references", "saliency_audit", "tasks")
                assert name.startswith(outside)
        for data in (*event["inputs"], *event["outputs"]):
            path = audited.path / data["name"]
            if path.suffix != ".parquet":
                continue
            tables += 1
            assert data["facets"]["version"]["datasetVersion"] == (
                hashlib.md5(path.read_bytes()).hexdigest()
            )
            columns = [(c["name"], c["type"]) for c in data["facets"]["schema"]["fields"]]
            assert columns == [(f.name, str(f.type)) for f in pq.read_schema(path)]
            assert all(c["description"] for c in data["facets"]["schema"]["fields"])
    assert tables > 20


def test_the_lineage_of_events_leads_from_the_source_to_the_report(events):
    graph = networkx.DiGraph()
    for event in events:
        job = ("job", event["job"]["name"])
        graph.add_edges_from((data["name"], job) for data in event["inputs"])
        graph.add_edges_from((job, data["name"]) for data in event["outputs"])
    assert networkx.has_path(graph, "images", METRICS)
    assert networkx.has_path(graph, "classifiers/tiny", METRICS)
    assert networkx.has_path(
        graph, f"data/explain/{AUDIT}/rise.parquet", f"data/score_segu/{AUDIT}.parquet"
    )


def test_a_failed_stage_says_so(audited, root):
    """A raw image is spoiled for a run. (The last test: ingest's output is gone after it.)"""
    folder = audited.path / ".saliency" / "lineage"
    former = set(folder.iterdir())
    tree = audited.params()
    tree["datasets"][DATASET]["max_set_aside"] = 0.0
    kept = (audited.path / "params.yaml").read_text()
    audited.write_params(tree)
    file = audited.path / "images" / explained(audited)[0]
    content = file.read_bytes()
    file.write_bytes(b"no image")
    found = audited.audit("run", check=False)
    file.write_bytes(content)
    (audited.path / "params.yaml").write_text(kept)
    assert found.returncode == 3
    told = set(folder.iterdir()) - former
    events = [json.loads(line) for path in told for line in path.read_text().splitlines()]
    check_events(events, root)
    ended = [(e["job"]["name"], e["eventType"]) for e in events if e["eventType"] != "START"]
    failing = (f"ingest@{DATASET}", "FAIL")
    # What the datasets are decides which code their ingest runs.
    assert ended == [("code", "COMPLETE"), failing, ("audit", "FAIL")]
    (failed,) = [e for e in events if failing == (e["job"]["name"], e["eventType"])]
    assert file.name in failed["run"]["facets"]["errorMessage"]["message"]
    assert failed["outputs"] == []
