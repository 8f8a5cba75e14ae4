"""The code that each stage depends on, written into dvc.yaml: ``python -m flows.code_inputs``.

A stage's code is one of its inputs. dvc.yaml lists it in words, so that
DVC alone knows when a stage is stale; here the list is computed from the
imports, and ``tests/pipeline/test_graph.py`` holds dvc.yaml to it.
"""

from __future__ import annotations

import re
from pathlib import Path

from tasks.code_digest import import_closure, source_file

#: What a stage takes by name, which no look at the imports can see: whole folders.
BY_NAME = {
    "ingest": ("saliency_audit/datasets",),
    "explain": ("saliency_audit/attribution",),
    "report": ("tasks/report/templates",),
    "index": ("tasks/report/templates",),
}
#: Where the code lies that a stage may depend on.
CODE = ("saliency_audit/", "tasks/")


def code_inputs(stage: str, root: Path) -> list[str]:
    """Give the files and folders of code that a stage depends on, sorted."""
    folders = BY_NAME.get(stage, ())
    starts = [f"tasks.{stage}"]
    if (root / "tasks" / stage).is_dir():
        starts.append(f"tasks.{stage}.__main__")
    for folder in folders:
        starts += [
            ".".join(path.relative_to(root).with_suffix("").parts)
            for path in sorted((root / folder).glob("*.py"))
            if path.stem != "__init__"
        ]
    files = {
        source_file(module, root).relative_to(root).as_posix()
        for start in starts
        for module in import_closure(start)
    }
    outside = {f for f in files if not f.startswith(tuple(f"{folder}/" for folder in folders))}
    return sorted({*outside, *folders})


def rewrite(text: str, root: Path) -> str:
    """Give dvc.yaml with the code of every stage as its imports say."""
    lines: list[str] = []
    stage, skipping = "", False
    for line in text.splitlines():
        top = re.match(r"  (\w+):$", line)
        if top:
            stage = top[1]
        stripped = line.strip()
        if stripped == "deps:":
            skipping = True
            lines.append(line)
            indent = " " * (len(line) - len(line.lstrip()) + 2)
            pending = [f"{indent}- {path}" for path in code_inputs(stage, root)]
            continue
        if skipping:
            if stripped.startswith("- "):
                if not stripped[2:].startswith(CODE):
                    lines.append(line)
                continue
            lines += pending
            skipping = False
        lines.append(line)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the code inputs into dvc.yaml."""
    path = Path("dvc.yaml")
    path.write_text(rewrite(path.read_text("utf-8"), Path.cwd()), encoding="utf-8")


if __name__ == "__main__":
    main()
