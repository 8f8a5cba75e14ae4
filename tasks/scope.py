"""Stage ``scope``: what each audit asks for, in files that reach no stage but those that they ask.

DVC cannot watch a parameter that may be left out, and watching an audit as a
whole would predict again where a method is taken from its list.
"""

from __future__ import annotations

from saliency_audit.attribution.registry import takes_block
from tasks import places
from tasks.artifacts import write_json
from tasks.audits import Audit
from tasks.pairs import Asked, write_asked
from tasks.stage import Context, Stage


def run(context: Context) -> None:
    """Write how many images each audit explains, and what it asks of each method."""
    methods = context.params.value("methods")
    for audit in context.params.value("audits"):
        own = context.params.read(f"audits.{audit}", Audit)
        write_json(places.scope(audit) / "images.json", {"images": own.images})
        for method in methods:
            parameters = context.params.value(f"method.{method}")
            block = own.block if own.block and takes_block(method, parameters) else None
            asked = own.methods is None or method in own.methods
            write_asked(audit, method, Asked(asked, block if asked else None))


STAGE = Stage(
    "scope",
    (),
    ("audits", "methods", "method"),
    run,
    takes=("saliency_audit.attribution",),
)

if __name__ == "__main__":
    STAGE.main()
