"""Stage ``code``: what the code of each stage does, as a file that the stage depends on.

A stage's code is one of its inputs. The files hold a digest for each module
that the stage imports from this repository, without comments and docstrings:
so a comment changes none, and a change to one method reruns that method. What
third parties add is there by the digest that ``tasks.pins`` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from saliency_audit.attribution.registry import METHODS
from saliency_audit.datasets.registry import SOURCES
from tasks import places
from tasks.artifacts import partial
from tasks.code_digest import Code, meaning, short_digest
from tasks.pins import Pin, read_pins
from tasks.stage import Context, Declaration, Stage
from tasks.stages import HERE, declared_text, read_stages

#: A stage that imports it takes what all stages declare.
DECLARATIONS = "tasks.stages"


def run(context: Context) -> None:
    """Write the digests of every stage's code."""
    tree = {section: context.params.value(section) for section in STAGE.params}
    texts = code_texts(Path.cwd(), tree)
    for path in places.CODE.rglob("*.txt"):
        if path not in texts:
            path.unlink()
    for path, text in texts.items():
        with partial(path) as beside:
            beside.write_text(text, encoding="utf-8")


def choosing(root: Path = HERE) -> dict[str, str]:
    """Give the stages that take modules by a name, each with its section of params.yaml."""
    return {name: stage.chooses for name, stage in read_stages(root).items() if stage.chooses}


def code_texts(root: Path, tree: Mapping[str, Any]) -> dict[Path, str]:
    """Give what each file of this stage is to hold, by its path.

    ``tree``: the sections of params.yaml that stages choose from.
    """
    code, pins = Code(root), read_pins(root)
    texts = {}
    for name, stage in read_stages(root).items():
        if name == STAGE.name:
            continue
        own = [*_modules(name, root), *(m for p in stage.takes for m in code.within(p))]
        if not stage.chooses:
            texts[places.code(name)] = _joined(_lines(code, root, stage, own))
            continue
        for subject in tree[stage.chooses]:
            pin = pins.get(name, {}).get(subject)
            chosen = _of_plugin(code, pin) if pin else _chosen(code, stage, subject, tree)
            lines = _lines(code, root, stage, [*own, *chosen])
            texts[places.code(name, subject)] = _joined([*lines, *([pin.line] if pin else [])])
    return texts


def _lines(code: Code, root: Path, stage: Declaration, modules: Sequence[str]) -> Iterator[str]:
    """Give what the code behind a stage does: its modules, files and declarations that it reads."""
    files = [path.relative_to(root) for folder in stage.files for path in (root / folder).iterdir()]
    yield from code.lines(modules, files)
    if DECLARATIONS in code.closure(modules):
        for module, text in declared_text(root).items():
            yield f"{short_digest(meaning(text).encode())} {module}:STAGE"


def _modules(stage: str, root: Path) -> list[str]:
    package = (root / "tasks" / stage).is_dir()
    return [f"tasks.{stage}", f"tasks.{stage}.__main__"] if package else [f"tasks.{stage}"]


def _chosen(code: Code, stage: Declaration, subject: str, tree: Mapping[str, Any]) -> list[str]:
    """Give the modules that a stage takes by name; where the name is none of ours, all it may."""
    if stage.chooses == "methods":
        return _named(code, METHODS, subject, "saliency_audit.attribution")
    if stage.chooses == "datasets":
        kind = (tree["datasets"][subject] or {}).get("kind")
        return _named(code, SOURCES, kind, "saliency_audit.datasets")
    return []  # architectures of ours are in a module that the stage imports


def _named(code: Code, table: Mapping[str, str], name: object, package: str) -> list[str]:
    known = isinstance(name, str) and name in table
    return [table[str(name)].partition(":")[0]] if known else code.within(package)


def _of_plugin(code: Code, pin: Pin) -> list[str]:
    """Give the modules of this repository that a plugin imports."""
    return [name for name in pin.imports if name in code.modules]


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


STAGE = Stage("code", (), ("datasets", "audits", "methods"), run)

if __name__ == "__main__":
    STAGE.main()
