"""Stage ``code``: what the code of each stage does, as a file that the stage depends on.

A stage's code is one of its inputs. The files hold a digest for each module
that the stage imports from this repository, without comments and docstrings:
so a comment changes none, and a change to one method reruns that method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from saliency_audit.attribution.registry import METHODS
from tasks import places
from tasks.artifacts import partial
from tasks.code_digest import Code, meaning, short_digest
from tasks.stage import Context, Declaration, Stage
from tasks.stages import declared_text, read_stages

#: A stage that imports it takes what all stages declare.
DECLARATIONS = "tasks.stages"


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
    for name, stage in read_stages(root).items():
        if name == STAGE.name:
            continue
        for method in methods if "method" in stage.arguments else (None,):
            texts[places.code(name, method)] = _joined(_lines(code, root, stage, method))
    return texts


def _lines(code: Code, root: Path, stage: Declaration, method: str | None) -> Iterator[str]:
    """Give what the code behind a stage does, or behind one method of it."""
    modules = [*_modules(stage.name, root), *(m for p in stage.takes for m in code.within(p))]
    if method is not None:
        modules += _modules_of_method(code, method)
    files = [path.relative_to(root) for folder in stage.files for path in (root / folder).iterdir()]
    yield from code.lines(modules, files)
    if DECLARATIONS in code.closure(modules):
        for module, text in declared_text(root).items():
            yield f"{short_digest(meaning(text).encode())} {module}:STAGE"


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
