"""Stage ``code``: what the code of each stage does, as a file that the stage depends on.

A stage's code is one of its inputs. The files hold a digest for each module
that the stage imports from this repository, without comments and docstrings:
so a comment changes none, and a change to one method reruns that method. What
third parties add is there by the digest that ``tasks.pins`` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from saliency_audit.attribution.registry import METHODS
from saliency_audit.datasets.registry import SOURCES
from tasks import places
from tasks.artifacts import partial
from tasks.code_digest import Code
from tasks.pins import Pin, read_pins
from tasks.stage import Context, Stage

#: Each stage whose code is one, with packages of which it takes modules by name.
STAGES: Mapping[str, tuple[str, ...]] = {
    "split": (),
    "check_inputs": (),
    "train_segmenter": (),
    "predict": (),
    "check_models": (),
    "cohort": (),
    "check_maps": (),
    "apply_segx": (),
    "score_segu": (),
    "aggregate_agreement": (),
    "check_results": (),
    "summarise": (),
    "check_drift": (),
    "report": (),
    "index": (),
}
#: Stages that take modules by a name of params.yaml: a file for each key of a section.
CHOOSING: Mapping[str, str] = {
    "ingest": "datasets",
    "train_classifier": "audits",
    "explain": "methods",
}
#: Folders of files, no modules, that a stage reads.
FILES: Mapping[str, Path] = {
    "report": Path("tasks/report/templates"),
    "check_drift": Path("tasks/report/templates"),
    "index": Path("tasks/report/templates"),
}


def run(context: Context) -> None:
    """Write the digests of every stage's code."""
    tree = {section: context.params.value(section) for section in CHOOSING.values()}
    texts = code_texts(Path.cwd(), tree)
    for path in places.CODE.rglob("*.txt"):
        if path not in texts:
            path.unlink()
    for path, text in texts.items():
        with partial(path) as beside:
            beside.write_text(text, encoding="utf-8")


def code_texts(root: Path, tree: Mapping[str, Any]) -> dict[Path, str]:
    """Give what each file of this stage is to hold, by its path.

    ``tree``: the sections of params.yaml that ``CHOOSING`` names.
    """
    code = Code(root)
    texts = {}
    for stage, packages in STAGES.items():
        modules = [*_modules(stage, root), *(m for p in packages for m in code.within(p))]
        folder = FILES.get(stage)
        files = [p.relative_to(root) for p in (root / folder).iterdir()] if folder else []
        texts[places.code(stage)] = _joined(code.lines(modules, files))
    pins = read_pins(root)
    for stage, section in CHOOSING.items():
        for subject in tree[section]:
            pin = pins.get(stage, {}).get(subject)
            chosen = _of_plugin(code, pin) if pin else _chosen(code, stage, subject, tree)
            lines = code.lines([*_modules(stage, root), *chosen])
            texts[places.code(stage, subject)] = _joined([*lines, *([pin.line] if pin else [])])
    return texts


def _modules(stage: str, root: Path) -> list[str]:
    package = (root / "tasks" / stage).is_dir()
    return [f"tasks.{stage}", f"tasks.{stage}.__main__"] if package else [f"tasks.{stage}"]


def _chosen(code: Code, stage: str, subject: str, tree: Mapping[str, Any]) -> list[str]:
    """Give the modules that a stage takes by name; where the name is none of ours, all it may."""
    if stage == "train_classifier":
        return []
    kind: object = subject
    table, package = METHODS, "saliency_audit.attribution"
    if stage == "ingest":
        kind = (tree["datasets"][subject] or {}).get("kind")
        table, package = SOURCES, "saliency_audit.datasets"
    known = isinstance(kind, str) and kind in table
    return [table[str(kind)].partition(":")[0]] if known else code.within(package)


def _of_plugin(code: Code, pin: Pin) -> list[str]:
    """Give the modules of this repository that a plugin imports."""
    return [name for name in pin.imports if name in code.modules]


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


STAGE = Stage("code", (), tuple(CHOOSING.values()), run)

if __name__ == "__main__":
    STAGE.main()
