"""Which stages there are, and what each declares: read from their source, without running it.

Several stages import torch, and the stages of another checkout cannot be
imported at all. A stage that imports this module depends, as ``tasks.code``
sees to it, on what every stage declares.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, cast

from saliency_audit.errors import DataError
from tasks import places
from tasks.stage import STEPS, Checks, Declaration

#: The checkout that this module is of.
HERE = Path(__file__).resolve().parent.parent
#: What a stage's module says first of its declaration.
BEGIN = "\nSTAGE = Stage("
#: The fields that are given by their place; after them comes the work itself.
BY_PLACE = ("name", "arguments", "params")
OFFENDERS = "tasks.tables.offenders:OFFENDERS"


def read_stages(root: Path = HERE) -> dict[str, Declaration]:
    """Read what every stage of a checkout declares, by its name.

    Raises DataError where a declaration is not written as literals, naming the file and line.
    """
    found = {stage.name: stage for stage in map(_declaration, _modules(root))}
    return dict(sorted(found.items()))


def in_order(root: Path = HERE) -> list[Declaration]:
    """Give the stages in the order of dvc.yaml; those that it lacks come last, by name."""
    known = list(read_graph(root))
    stages = read_stages(root)
    order = [*(name for name in known if name in stages), *stages]
    return [stages[name] for name in dict.fromkeys(order)]


def read_graph(root: Path = HERE) -> dict[str, Any]:
    """Read the stages of dvc.yaml as they stand there."""
    import yaml

    tree = yaml.safe_load((root / "dvc.yaml").read_text("utf-8"))
    stages: dict[str, Any] = tree["stages"]
    return stages


def gates(root: Path = HERE) -> list[tuple[Declaration, Checks]]:
    """Give the quality gates and what they check, in the order in which an audit comes to them."""
    found = [(stage, stage.checks) for stage in read_stages(root).values() if stage.checks]
    return sorted(found, key=lambda gate: STEPS.index(gate[1].before))


def tables_of(stage: Declaration) -> dict[str, str]:
    """Give the Parquet files that a stage writes, each with its declaration as ``module:name``.

    >>> checks = Checks("maps", "measured", "tasks.check_maps.rules:rules")
    >>> tables_of(Declaration("check_maps", ("audit",), (), checks=checks))
    {'reports/<dataset>/quality/<audit>/check_maps.parquet': 'tasks.tables.offenders:OFFENDERS'}
    """
    if stage.checks is None:
        return dict(stage.tables)
    audit = "<audit>" if "audit" in stage.arguments else None
    result = places.quality("<dataset>", stage.name, audit)
    return {**stage.tables, result.with_suffix(".parquet").as_posix(): OFFENDERS}


def declared_text(root: Path = HERE) -> dict[str, str]:
    """Give the source of each stage's declaration, by its module's name."""
    found = {}
    for path in _modules(root):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts)] = ast.unparse(_call(path))
    return found


def _modules(root: Path) -> list[Path]:
    """Give the modules that declare a stage."""
    folder = root / "tasks"
    known = (*folder.glob("*.py"), *folder.glob("*/__main__.py"))
    return sorted(path for path in known if BEGIN in path.read_text("utf-8"))


def _call(path: Path) -> ast.Call:
    """Give the call that declares a module's stage, at its line."""
    before, begin, after = path.read_text("utf-8").partition(BEGIN)
    # Statements before it are not parsed: there are many, and it stands last.
    tree = ast.parse("\n" * before.count("\n") + begin + after, str(path))
    return cast("ast.Call", cast("ast.Assign", tree.body[0]).value)


def _declaration(path: Path) -> Declaration:
    call = _call(path)
    given = dict(zip(BY_PLACE, call.args, strict=False))
    given |= {word.arg: word.value for word in call.keywords if word.arg and word.arg != "run"}
    try:
        fields: dict[str, Any] = {name: _value(node) for name, node in given.items()}
        return Declaration(**fields)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}, line {call.lineno}: what STAGE declares is read without running it, and "
            f"cannot be: {error}; write names, texts and tuples out as literals"
        ) from None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == Checks.__name__:
        return Checks(**{str(word.arg): ast.literal_eval(word.value) for word in node.keywords})
    return ast.literal_eval(node)
