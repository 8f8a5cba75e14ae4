"""Stage ``code``: what the code of each stage does, as a file that the stage depends on.

A stage's code is one of its inputs. The files hold a digest for each module
that the stage imports from this repository, without comments and docstrings:
so a comment changes none, and a change to one method reruns that method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from saliency_audit.attribution.registry import METHODS
from tasks import places
from tasks.artifacts import partial
from tasks.code_digest import Code
from tasks.stage import Context, Stage

#: Each stage, with the packages of which it takes modules by name: no look at imports sees that.
STAGES: Mapping[str, tuple[str, ...]] = {
    "ingest": ("saliency_audit.datasets",),
    "split": (),
    "check_inputs": (),
    "train_classifier": (),
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
    "report": ("saliency_audit.attribution",),
    "index": (),
}
#: Folders of files, no modules, that a stage reads.
FILES: Mapping[str, Path] = {
    "report": Path("tasks/report/templates"),
    "check_drift": Path("tasks/report/templates"),
    "index": Path("tasks/report/templates"),
}


def run(context: Context) -> None:
    """Write the digests of every stage's code."""
    texts = code_texts(Path.cwd(), context.params.value("methods"))
    for path in places.CODE.rglob("*.txt"):
        if path not in texts:
            path.unlink()
    for path, text in texts.items():
        with partial(path) as beside:
            beside.write_text(text, encoding="utf-8")


def code_texts(root: Path, methods: Sequence[str]) -> dict[Path, str]:
    """Give what each file of this stage is to hold, by its path."""
    code = Code(root)
    texts = {}
    for stage, packages in STAGES.items():
        modules = [*_modules(stage, root), *(m for p in packages for m in code.within(p))]
        folder = FILES.get(stage)
        files = [p.relative_to(root) for p in (root / folder).iterdir()] if folder else []
        texts[places.code(stage)] = _joined(code.lines(modules, files))
    for method in methods:
        modules = [*_modules("explain", root), *_modules_of_method(code, method)]
        texts[places.code("explain", method)] = _joined(code.lines(modules))
    return texts


def _modules(stage: str, root: Path) -> list[str]:
    package = (root / "tasks" / stage).is_dir()
    return [f"tasks.{stage}", f"tasks.{stage}.__main__"] if package else [f"tasks.{stage}"]


def _modules_of_method(code: Code, method: str) -> list[str]:
    """Give the module of a method of ours; of another, all that may implement it."""
    if method in METHODS:
        return [METHODS[method].partition(":")[0]]
    return code.within("saliency_audit.attribution")


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


STAGE = Stage("code", (), ("methods",), run)

if __name__ == "__main__":
    STAGE.main()
