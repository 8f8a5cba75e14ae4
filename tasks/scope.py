"""Stage ``scope``: what each audit asks for, in files that reach no stage but those that they ask.

DVC cannot watch a parameter that may be left out, and watching an audit as a
whole would predict again where a method is taken from its list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from saliency_audit.attribution.registry import takes_block
from tasks import places
from tasks.artifacts import write_json
from tasks.audits import Audit
from tasks.pairs import Asked
from tasks.params import build
from tasks.stage import Context, Stage


def run(context: Context) -> None:
    """Write how many images each audit explains, and what it asks of each method."""
    found = files({section: context.params.value(section) for section in STAGE.params})
    for path, content in found.items():
        write_json(path, content)


def files(tree: Mapping[str, Any]) -> dict[Path, dict[str, Any]]:
    """Give what each file of this stage is to hold, by its path; ``tree``: of params.yaml."""
    found: dict[Path, dict[str, Any]] = {}
    for audit, raw in tree["audits"].items():
        own = build(Audit, raw, f"audits.{audit}")
        found[places.scope(audit) / "images.json"] = {"images": own.images}
        for method in tree["methods"]:
            asked = own.methods is None or method in own.methods
            named = asked and own.block and takes_block(method, tree["method"][method])
            what = Asked(asked, own.block if named else None)
            found[places.scope_of_method(audit, method)] = asdict(what)
    return found


STAGE = Stage(
    "scope",
    (),
    ("audits", "methods", "preset", "method"),
    run,
    takes=("saliency_audit.attribution",),
)

if __name__ == "__main__":
    STAGE.main()
