"""A project of invented tables: valid by their schemas, measured by the real stages."""

from __future__ import annotations

import contextlib
import importlib
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from saliency_audit.attribution.grid import Grid
from saliency_audit.datasets.encoding import encode_image, encode_mask, pixel_sha256
from saliency_audit.datasets.splitting import SplitParameters, split_groups
from saliency_audit.labelling import EVERY_LABEL
from saliency_audit.measures.status import MethodStatus
from saliency_audit.measures.top_fraction import tie_share
from saliency_audit.progress import silent
from tasks import places
from tasks.artifacts import write_json, write_table
from tasks.pairs import Asked, Outcome, PairStatus, write_outcome
from tasks.params import Parameters
from tasks.stage import Context
from tasks.stages import gates
from tasks.tables.chosen import CHOSEN
from tasks.tables.history import HISTORY
from tasks.tables.images import IMAGES
from tasks.tables.masks import MASKS
from tasks.tables.predictions import PREDICTIONS
from tasks.tables.regions import REGIONS
from tasks.tables.saliency import saliency
from tasks.tables.set_aside import SET_ASIDE
from tasks.tables.split import SPLIT

MEASURING = ("cohort", "apply_segx", "score_segu", "aggregate_agreement")


#: What class activation maps of an invented network are made of.
CELLS = Grid("layer4", (7, 7), (0.0, 0.0), (2.0, 2.0), "field", "geometry")


@dataclass
class Project:
    """An invented dataset with its audits, in a folder of its own.

    ``accuracy``: share of images whose label the classifier gets right; ``masks``: ``single``,
    ``per_label`` or ``none``; ``faults``: status by (method, row number) of maps that failed,
    or what the method says of them;
    ``not_applicable``: why a method cannot explain the networks, by method;
    ``broken``: images that break a rule of a quality gate, which warns.
    """

    folder: Path
    name: str = "lesions"
    labels: tuple[str, ...] = ("alpha", "beta", "gamma")
    labelling: str = "multiclass"
    masks: str = "single"
    images: int = 60
    size: tuple[int, int] = (24, 30)
    methods: tuple[str, ...] = ("gradcam", "shap", "lime", "rise")
    audits: tuple[str, ...] = ("lesions-cnn",)
    accuracy: float = 0.7
    gallery: int = 2
    split_by: str = "group"
    preset: str = "default"
    set_aside: int = 3
    empty_masks: bool = True
    segmenter_sees: bool = True
    test_chosen: bool = True
    seed: int = 0
    broken: int = 1
    faults: dict[tuple[str, int], str] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)

    def params(self) -> dict[str, object]:
        """Give the whole tree of params.yaml."""
        return {
            "preset": self.preset,
            "datasets": {self.name: {}},
            "audits": {
                audit: {"dataset": self.name, "classifier": audit.removeprefix(f"{self.name}-")}
                for audit in self.audits
            },
            "methods": list(self.methods),
            "method": {method: {} for method in self.methods},
            "measures": {"kept_fraction": 0.05, "control_seed": 0},
            "agreement": {"preset": "xaimed"},
            "report": {"gallery": self.gallery, "seed": 0, "replicates": 100},
            "quality": {name: {} for name in ("inputs", "models", "maps", "results", "drift")},
            "split": {
                "by": self.split_by,
                "train": 50,
                "validation": 20,
                "test": 30,
                "seed": 0,
            },
        }

    def run(self, stage: str, *arguments: str) -> None:
        """Run a stage's own function on the tables that are there."""
        module = importlib.import_module(f"tasks.{stage}")
        if not hasattr(module, "STAGE"):
            module = importlib.import_module(f"tasks.{stage}.__main__")
        declared = module.STAGE.declared(arguments)
        with contextlib.chdir(self.folder):
            module.STAGE.run(Context(Parameters(self.params(), declared), silent), *arguments)

    def build(self) -> Project:
        """Invent the tables up to the maps, and measure them."""
        with contextlib.chdir(self.folder):
            self._invent()
        for audit in self.audits:
            for stage in MEASURING:
                self.run(stage, audit)
        return self

    def summarise(self) -> Project:
        """Run ``summarise`` on every audit."""
        for audit in self.audits:
            self.run("summarise", audit)
        return self

    def report(self) -> Project:
        """Run ``summarise`` and ``report``; the gates passed, and warned of one row."""
        self.summarise()
        with contextlib.chdir(self.folder):
            self._gates()
        self.run("report", self.name)
        return self

    def _gates(self) -> None:
        for gate, _ in gates():
            for audit in self.audits if "audit" in gate.arguments else (None,):
                found = self._gate(gate.name, audit)
                write_json(places.quality(self.name, gate.name, audit), found)

    def _gate(self, name: str, audit: str | None) -> dict[str, object]:
        broken = self.broken if name == "check_inputs" else 0
        return {
            "gate": name,
            "dataset": self.name,
            "audit": audit,
            "status": "warned" if broken else "passed",
            "rules": [
                {
                    "rule": "mask_full",
                    "meaning": "A mask does not mark the whole image.",
                    "severity": "warn",
                    "status": "broken" if broken else "met",
                    "rows": self.images,
                    "broken": broken,
                    "bound": 0.005,
                    "offenders": [{"image_id": f"image{n:04d}"} for n in range(broken)],
                }
            ],
        }

    def _invent(self) -> None:
        rng = np.random.default_rng([self.seed, self.images])
        drawn = [self._image(rng) for _ in range(self.images)]
        ids = [f"image{number:04d}" for number in range(self.images)]
        # Every third image shows the lesion of the one before it.
        groups = [f"group{number - (number % 3 == 2):04d}" for number in range(self.images)]
        owned = [self._targets(number, rng) for number in range(self.images)]
        for number in range(2, self.images, 3):
            owned[number] = owned[number - 1]
        self._ingest(ids, groups, owned, drawn)
        split = split_groups(
            ids,
            groups,
            owned,
            self.labels,
            SplitParameters(**self.params()["split"]),
        )
        folder = places.split(self.name)
        with write_table(SPLIT, folder / "split.parquet") as table:
            table.write_all(
                {"image_id": i, "group_id": g, "split": s}
                for i, g, s in zip(ids, groups, split.splits, strict=True)
            )
        write_json(folder / "split.json", split.to_json())
        self._segmenter()
        for number, audit in enumerate(self.audits):
            generator = np.random.default_rng([self.seed, 7, number])
            self._audit(audit, ids, groups, owned, drawn, split.splits, generator)

    def _targets(self, number: int, rng: np.random.Generator) -> tuple[str, ...]:
        if self.labelling == "multilabel":
            return tuple(label for label in self.labels if rng.random() < 0.4)
        return (self.labels[number // 2 % len(self.labels)],)

    def _image(self, rng: np.random.Generator):
        """Draw a skin with a dark blob; gives pixels, the blob and a neighbour's guess at it."""
        height, width = self.size
        rows, columns = np.mgrid[:height, :width]
        centre = rng.uniform(0.3, 0.7, 2) * [height, width]
        radius = rng.uniform(0.12, 0.3) * min(height, width)
        distance = np.hypot(rows - centre[0], columns - centre[1])
        noise = rng.normal(0, 6, (height, width, 1))
        skin = np.array([214, 168, 140]) + noise
        pixels = np.where(distance[..., None] < radius, skin * [0.5, 0.4, 0.35], skin)
        moved = np.hypot(rows - centre[0] - 1, columns - centre[1] + 1)
        return pixels.clip(0, 255).astype(np.uint8), distance < radius, moved < radius * 1.1

    def _ingest(self, ids, groups, owned, drawn) -> None:
        folder = places.ingest(self.name)
        notes = [["mask_rescaled"] if n % 10 == 0 else [] for n in range(len(ids))]
        with write_table(IMAGES, folder / "images.parquet") as table:
            for number, image_id in enumerate(ids):
                table.write(
                    {
                        "image_id": image_id,
                        "group_id": groups[number],
                        "labels": list(owned[number]),
                        "instances": [1 + number % 2 for _ in owned[number]],
                        "width": 2 * self.size[1],
                        "height": 2 * self.size[0],
                        "pixel_sha256": pixel_sha256(drawn[number][0]),
                        "pixels": encode_image(drawn[number][0]),
                        "strata": [("sex", ["female", "male", None][number % 3])],
                        "source_file": None,
                        "notes": notes[number],
                    }
                )
        with write_table(MASKS, folder / "masks.parquet") as table:
            for number, image_id in enumerate(ids):
                for label, mask in self._truth(owned[number], drawn[number][1]):
                    table.write(
                        {
                            "image_id": image_id,
                            "label": label,
                            "area": int(mask.sum()),
                            "mask": encode_mask(mask),
                        }
                    )
        with write_table(SET_ASIDE, folder / "set_aside.parquet") as table:
            table.write_all(
                {
                    "number": number,
                    "image_id": f"lost{number}",
                    "source_file": None,
                    "row": number,
                    "reason": "image_missing",
                    "detail": "no such file",
                }
                for number in range(self.set_aside)
            )
        described = {
            "labels": list(self.labels),
            "labelling": self.labelling,
            "mask_kind": self.masks,
            "size": list(self.size),
            "images": len(ids),
            "notes": dict(Counter(note for own in notes for note in own)),
            "set_aside": {"image_missing": self.set_aside} if self.set_aside else {},
        }
        write_json(folder / "description.json", described)

    def _truth(self, owned, blob):
        if self.masks == "single":
            yield EVERY_LABEL, blob
        if self.masks == "per_label":
            for label in sorted(owned):
                yield label, np.roll(blob, 2 * self.labels.index(label), axis=1)

    def _segmenter(self) -> None:
        folder = places.train_segmenter(self.name)
        channels = {"single": ["*"], "per_label": list(self.labels), "none": []}[self.masks]
        with write_table(HISTORY, folder / "history.parquet") as table:
            table.write_all(self._epochs() if channels else [])
        from saliency_audit.models.segmenter import SegmenterParameters

        quality = {
            channel: {
                "images": 18,
                "dice": 0.8,
                "iou": 0.7,
                "pixel_dice": 0.82,
                "pixel_iou": 0.71,
                "empty_drawn": 2,
            }
            for channel in channels
        }
        card = {
            "status": "trained",
            "channels": channels,
            "quality": {"test": quality},
            "parameters": asdict(SegmenterParameters()),
        }
        none = {"status": "no_masks", "channels": []}
        write_json(folder / "model.json", card if channels else none)

    def _epochs(self):
        for epoch in range(1, 5):
            yield {
                "epoch": epoch,
                "train_loss": 1 / epoch,
                "tune_loss": 0.3 + 1 / epoch,
                "best": epoch == 3,
            }

    def _audit(self, audit, ids, groups, owned, drawn, splits, rng) -> None:
        from saliency_audit.models.specification import TrainSpecification

        folder = places.train_classifier(audit)
        with write_table(HISTORY, folder / "history.parquet") as table:
            table.write_all(self._epochs())
        card = {
            "architecture": "cnn",
            "origin": "trained",
            "digest": "d1",
            "parameters": 1234,
            "trained_with": asdict(TrainSpecification()),
        }
        write_json(folder / "model.json", card)
        rows = list(self._predictions(ids, groups, owned, splits, rng))
        folder = places.predict(audit)
        with write_table(PREDICTIONS, folder / "predictions.parquet") as table:
            table.write_all(sorted(rows, key=lambda r: (r["image_id"], r["label"])))
        explained = [r for r in rows if r["explained"]]
        explained.sort(key=lambda r: (r["image_id"], r["label"]))
        shown = sorted({r["image_id"] for r in rows if r["chosen"]})
        of_id = dict(zip(ids, drawn, strict=True))
        with write_table(CHOSEN, folder / "chosen.parquet") as table:
            for image_id in shown:
                table.write(
                    {
                        "image_id": image_id,
                        "pixel_sha256": pixel_sha256(of_id[image_id][0]),
                        "pixels": encode_image(of_id[image_id][0]),
                        "explain": [r["label"] for r in explained if r["image_id"] == image_id],
                    }
                )
        self._regions(folder, shown, dict(zip(ids, owned, strict=True)), of_id)
        write_json(
            folder / "audit.json",
            {
                "dataset": self.name,
                "classifier": audit.removeprefix(f"{self.name}-"),
                "labels": list(self.labels),
                "labelling": self.labelling,
                "mask_kind": self.masks,
                "size": list(self.size),
                "calibration": {"status": ["ok"]},
                "counts": {"held_out": 30, "chosen": 30, "explained": 30, "nothing_predicted": 0},
                "thresholds": {
                    label: {"value": 0.4, "status": ("ok", "threshold_fallback")[number % 2]}
                    for number, label in enumerate(self.labels)
                }
                if self.labelling == "multilabel"
                else None,
                "model_digest": "d1",
            },
        )
        for method in self.methods:
            reason = self.not_applicable.get(method, "")
            status = PairStatus.NOT_APPLICABLE if reason else PairStatus.EXPLAINED
            self._maps(audit, method, [] if reason else explained, of_id)
            write_json(places.scope_of_method(audit, method), asdict(Asked(True)))
            grid = CELLS if method.startswith("gradcam") and not reason else None
            write_outcome(audit, method, Outcome(status, reason, grid))

    def _predictions(self, ids, groups, owned, splits, rng):
        for number, image_id in enumerate(ids):
            if splits[number] == "train":
                continue
            scores = rng.normal(0, 1, len(self.labels))
            for label in owned[number]:
                scores[self.labels.index(label)] += 6 * (rng.random() < self.accuracy) - 2
            if self.labelling == "multilabel":
                probability = 1 / (1 + np.exp(-scores))
                predicted = probability > 0.4
            else:
                probability = np.exp(scores) / np.exp(scores).sum()
                predicted = np.arange(len(scores)) == scores.argmax()
            chosen = self.test_chosen or splits[number] != "test"
            for index, label in enumerate(self.labels):
                p = float(probability[index])
                yield {
                    "image_id": image_id,
                    "label": label,
                    "group_id": groups[number],
                    "split": splits[number],
                    "label_index": index,
                    "score": float(scores[index]),
                    "probability": p,
                    "calibrated": 0.8 * p + 0.1,
                    "threshold": 0.4 if self.labelling == "multilabel" else None,
                    "predicted": bool(predicted[index]),
                    "target": label in owned[number],
                    "chosen": chosen,
                    "explained": bool(chosen and predicted[index]),
                }

    def _regions(self, folder, shown, owned, drawn) -> None:
        with write_table(REGIONS, folder / "regions.parquet") as table:
            for number, image_id in enumerate(shown):
                _, blob, guess = drawn[image_id]
                if (self.empty_masks and number % 9 == 4) or not self.segmenter_sees:
                    guess = np.zeros_like(guess)
                found = [
                    (label, "truth", mask) for label, mask in self._truth(owned[image_id], blob)
                ]
                if self.masks == "single":
                    found.append((EVERY_LABEL, "predicted", guess))
                if self.masks == "per_label":
                    found += [
                        (label, "predicted", np.roll(guess, 2 * index, axis=1))
                        for index, label in enumerate(self.labels)
                    ]
                for label, origin, mask in sorted(found, key=lambda item: item[:2]):
                    known = origin == "predicted" and mask.any()
                    table.write(
                        {
                            "image_id": image_id,
                            "label": label,
                            "origin": origin,
                            "area": int(mask.sum()),
                            "mean_probability": 0.6 + 0.4 * float(mask.mean()) if known else None,
                            "mask": encode_mask(mask),
                        }
                    )

    def _maps(self, audit, method, explained, drawn) -> None:
        rng = np.random.default_rng([self.seed, 3, self.methods.index(method)])
        height, width = self.size
        with write_table(
            saliency(height, width), places.explain(audit) / f"{method}.parquet"
        ) as table:
            for number, row in enumerate(explained):
                fault = self.faults.get((method, number), "ok")
                status = "ok" if fault in set(MethodStatus) else fault
                signal = drawn[row["image_id"]][1] * rng.uniform(0, 1.5)
                values = np.cumsum(rng.normal(0, 0.1, self.size), axis=0) + signal
                values = (values - values.min()) / np.ptp(values)
                if status in ("nan_map", "zero_map", "constant_map"):
                    values = np.zeros(self.size)
                stored = values.astype(np.float16) + np.float16(0)
                table.write(
                    {
                        "image_id": row["image_id"],
                        "label": row["label"],
                        "method": method,
                        "map": stored,
                        "offset": 0.0,
                        "scale": 1.0,
                        "status": status,
                        "method_status": fault if fault in set(MethodStatus) else "ok",
                        "tie_share": tie_share(stored, 0.05) if status == "ok" else None,
                        "completeness": 0.01 * number if method == "shap" else None,
                        "pixel_sha256": pixel_sha256(drawn[row["image_id"]][0]),
                        "model_digest": "d1",
                        "method_digest": f"m-{method}",
                    }
                )
