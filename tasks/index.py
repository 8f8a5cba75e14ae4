"""Stage ``index``: the page over all datasets."""

from __future__ import annotations

from urllib.parse import quote

from saliency_audit.errors import DataError
from tasks import places
from tasks.artifacts import partial, read_json
from tasks.report.page import render
from tasks.stage import Context, Stage


def run(context: Context) -> None:
    """Write the page that leads to every dataset's report."""
    datasets = list(context.params.value("datasets"))
    missing = [name for name in datasets if not places.report(name).is_file()]
    if missing:
        raise DataError(
            f"{places.DATA / 'report'} lacks the report of {', '.join(missing)}: "
            "run `saliency-audit run`"
        )
    reports = [
        {**read_json(places.report(name)), "link": f"{quote(name, safe='')}/index.html"}
        for name in datasets
    ]
    with partial(places.REPORTS / "index.html") as beside:
        beside.write_text(render("index.html.j2", reports=reports), encoding="utf-8")


STAGE = Stage("index", (), ("datasets",), run, files=("tasks/report/templates",))

if __name__ == "__main__":
    STAGE.main()
