"""``saliency-audit``: the commands of a person. Each parses, calls and prints; no logic here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.ground.environment import prepare

app = typer.Typer(
    name="saliency-audit",
    help="Audits the explanations of medical-image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Audits the explanations of medical-image classifiers."""


@app.command()
def run(
    jobs: Annotated[
        int | None,
        typer.Option(help="Stages side by side; default: processor cores ÷ compute.threads."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and why, and run nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for another run in this checkout to end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what ran, and why, as JSON on standard output.")
    ] = False,
) -> None:
    """Bring every audit of params.yaml up to date, and print where the report is.

    Runs the stages of dvc.yaml that are not up to date, through a Prefect flow; the result is
    that of `dvc repro`. Exit codes: 0 done or up to date, 2 bad parameter, 3 a stage failed,
    4 a quality gate stopped it, 6 another run is in progress, 130 interrupted.
    """
    from flows.cli.run import run_audit

    sys.exit(run_audit(Path.cwd(), jobs, dry_run, wait, as_json))


@app.command()
def check(
    path: Annotated[
        Path | None,
        typer.Argument(exists=True, help="Parquet file, folder of them, or folder of raw images."),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="Which table the file is of; default: by place and columns.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Read raw images as folder, ham10000 or chestxdet; default: as the dataset of "
            "params.yaml whose source this is, else as folder."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all of it as one line of JSON.")
    ] = False,
) -> None:
    """Check params.yaml, or name all that is wrong with tables or raw images, before any training.

    Without PATH: every key, range and reference of params.yaml. With it: each problem once, with
    its count, the first 20 places and what to do; `stop` would end an audit, `warn` may mislead
    it, `note` is worth knowing. Exit codes: 0 nothing stops, 2 bad parameter or usage, 4 something
    would stop.

    Example: saliency-audit check ../knees
    """
    from flows.cli.check import Subject, say_check

    sys.exit(say_check(Path.cwd(), Subject(path, table, kind), as_json))


@app.command()
def docs() -> None:
    """Write what the quality gates found as Great Expectations' own pages, and say where.

    reports/data_docs/index.html is made anew from what the gates left; it needs no network. Exit
    codes: 0 written, 3 no gate has run, or what it left is not here.
    """
    from flows.cli.docs import write_docs

    sys.exit(write_docs(Path.cwd()))


@app.command()
def prune(
    keep: Annotated[float, typer.Option(min=0, help="GiB of maps to keep, the last used first.")],
) -> None:
    """Drop finished maps that were not used for longest, and say what is kept.

    `explain` keeps each map it has computed in .saliency/maps.sqlite, so that none is computed
    twice. It holds at most 8 GiB, or what SALIENCY_MAP_STORE_GIB says.
    """
    from flows.cli.prune import prune_maps

    prune_maps(keep)


@app.command()
def serve(
    config: Annotated[
        Path | None, typer.Option(help="What to serve, and when; default: deploy/serve.yaml.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is heard on this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Prefect server.")] = 4200,
) -> None:
    """Audit on a schedule, when a classifier is retrained, and when data changes.

    Starts a Prefect server (or uses PREFECT_API_URL) and audits the revision that deploy/serve.yaml
    names: each audit in a git worktree of its own, committed on a branch audit/<date>-<digest>.
    This checkout stays as it is, and must hold nothing that is not committed. Ctrl-C ends it.
    """
    from flows.cli.serve import serve_audits

    sys.exit(serve_audits(Path.cwd(), config, host, port))


@app.command()
def alert() -> None:
    """Send a message by every way under alerts in deploy/serve.yaml, and say which arrive.

    `serve` must be running. Exit codes: 0 all were sent, 2 there is no way to tell anybody,
    3 one was not sent, or no server runs.
    """
    from flows.serving.automations import try_alerts

    sys.exit(try_alerts(Path.cwd()))


@app.command()
def worker(
    pool: Annotated[str, typer.Option(help="Work pool to take stages from.")],
    name: Annotated[
        str | None, typer.Option(help="Name of this worker; default: the machine's.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Stages side by side; default: as in `run`.")
    ] = None,
) -> None:
    """Run stages that a run on another machine sends, in this clone, until interrupted.

    A run sends the stages whose meta in dvc.yaml says `pool`. Set PREFECT_API_URL (and
    PREFECT_API_AUTH_STRING) to the server of both, and give both clones the same DVC remote.
    """
    from flows.cli.worker import work_for

    sys.exit(work_for(Path.cwd(), pool, name, slots))


@app.command()
def retrained(
    classifier: Annotated[str, typer.Argument(help="Folder of classifiers/.")],
    weights: Annotated[str, typer.Argument(help="File or address of the new weights.")],
    digest: Annotated[
        str | None, typer.Option(help="sha256:… of the weights; default: of the file.")
    ] = None,
    update: Annotated[
        bool, typer.Option(help="Put the weights into classifiers/<name>/ of this checkout, too.")
    ] = True,
    event: Annotated[
        bool, typer.Option(help="Send classifier.retrained to the server that audits.")
    ] = True,
) -> None:
    """Tell that a classifier was retrained: for a training pipeline or CI.

    Checks that the weights come from a source that deploy/serve.yaml names, puts them into the
    registry here (commit that when you like), and sends the event that starts an audit. The event
    holds the reference and the digest. Exit codes: 0 done, 2 wrong name, reference or digest,
    3 the weights are others than the digest says, or no server took the event.
    """
    from flows.cli.retrained import announce_retrained

    sys.exit(announce_retrained(Path.cwd(), classifier, weights, digest, update, event))


@app.command()
def backfill(
    models: Annotated[
        list[str] | None,
        typer.Option(help="Revision or digest of classifiers; may be given several times."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Revision or digest of data; may be given several times."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print pairs and metrics as JSON on standard output.")
    ] = False,
) -> None:
    """Audit former models and data: every pair of --models and --data, compared in one table.

    A revision of models is its folder classifiers/; one of data is the datasets of its params.yaml
    and what DVC tracks of them. Code and all other parameters are those of HEAD. What a pair shares
    with another audit is not computed again. Left out, each is HEAD. Exit codes: 0 done, 2 no such
    revision, 3 an audit failed; the others are kept.

    Example: saliency-audit backfill --models v1 --models v2 --data main
    """
    from flows.cli import backfill as backfilling

    sys.exit(backfilling.backfill(Path.cwd(), models or ["HEAD"], data or ["HEAD"], as_json))


@app.command()
def status(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON on standard output.")
    ] = False,
) -> None:
    """Say how this checkout stands: schedule, last audits, what is stale and why, workers, disk."""
    from flows.cli.status import say_status

    sys.exit(say_status(Path.cwd(), as_json))


@app.command()
def reproduce(
    revision: Annotated[
        str, typer.Argument(help="Revision whose dvc.lock and reports are recorded results.")
    ] = "HEAD",
    into: Annotated[
        Path | None,
        typer.Option(help="New folder to work in, and keep; default: .saliency/reproductions/…"),
    ] = None,
    stagewise: Annotated[
        bool,
        typer.Option(
            "--stagewise",
            help="Rerun each stage on the recorded inputs, and judge training by its metrics, as "
            "on another processor.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Rerun this stage, or kind of stage, alone, on the recorded inputs."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Share by which two numbers may differ.")
    ] = 1e-5,
    band: Annotated[
        float,
        typer.Option(min=0, help="By how much accuracy, AUROC or Dice may differ."),
    ] = 0.05,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the folder, also where all is identical.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON on standard output.")
    ] = False,
) -> None:
    """Rerun a revision from its raw data in a clean clone, and compare with what it recorded.

    The clone has no map store, run-cache or DVC cache of its own: everything is computed. Each
    artifact and metric is identical, the same within the tolerance, or different, and it is said
    where first: stage, row and column. Where that differs, or the processor is another, each stage
    is rerun on the recorded inputs, too. Raw data that changed are named, and nothing runs.

    Exit codes: 0 the same, 2 no such revision or stage, 3 it could not be run, 5 it differs,
    6 the same reproduction is in progress, 130 interrupted.

    Example: saliency-audit reproduce audit/20260101-0123456789ab --only explain
    """
    from flows.cli import reproduce as reproduction
    from flows.reproduction.training_band import Band
    from flows.reproduction.values import Tolerance

    request = reproduction.Request(
        revision,
        into,
        stagewise,
        only or (),
        keep,
        Tolerance(relative=tolerance),
        Band(quality=band),
    )
    sys.exit(reproduction.reproduce(Path.cwd(), request, as_json))


@app.command()
def clean(
    keep: Annotated[int, typer.Option(min=0, help="How many audits to keep, the newest.")],
    maps: Annotated[
        float, typer.Option(min=0, help="GiB of finished maps to keep, the last used first.")
    ] = 2.0,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; else it is only said.")] = False,
) -> None:
    """Remove what former audits left: worktrees, branches, logs, Prefect's runs, maps, DVC's cache.

    Says what it would remove, and removes it with --yes. What this checkout, a branch or a tag
    refers to stays in DVC's cache. Exit code 6 where a run is in progress.
    """
    from flows.cli.clean import clean as remove

    sys.exit(remove(Path.cwd(), keep, maps, yes))


@app.command()
def trace(
    key: Annotated[
        str | None,
        typer.Argument(help="A metric, as `dvc metrics show` names it; the file may be left out."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Trace a row instead: an image of --audit.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="One label of it; default: all.")] = None,
    method: Annotated[str | None, typer.Option(help="One method; default: all.")] = None,
    audit: Annotated[str | None, typer.Option(help="The audit that the row is of.")] = None,
    rev: Annotated[
        str | None, typer.Option(help="A git revision; default: what lies here.")
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="List each row that enters.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON on standard output.")
    ] = False,
) -> None:
    """Follow a number of the report back: rows, maps, method, weights, training data, source file.

    Names each stage behind it with its files, whether these still have the digest that DVC
    recorded, its parameters, its code and the commit, and checks that maps, model and method
    belong together. Exit codes: 0 all agrees, 2 no such metric, image or revision, 3 a file cannot
    be read, 5 something was changed or does not belong together.

    Example: saliency-audit trace phantom_skin-cnn.certainty.rise.c_iou_auroc --rows
    """
    from flows.cli.trace import Question, say_trace

    question = Question(key, image, audit, label, method)
    sys.exit(say_trace(Path.cwd(), question, rev, rows, as_json))


@app.command()
def accept(
    dataset: Annotated[str, typer.Argument(help="Dataset of params.yaml.")],
    why: Annotated[str, typer.Option(help="Why its results are as they should be.")],
    who: Annotated[str | None, typer.Option(help="Who says so; default: git's user.name.")] = None,
) -> None:
    """Accept a dataset's results as they are: from now on, drift is counted from them.

    Writes the profile of reports/<dataset>/drift.json, HEAD's revision, who and why into
    references/<dataset>/profile.json and commits that file alone. The results must be up to date
    and committed. Then only the comparison runs anew. Exit codes: 0 accepted, or it was already,
    2 nothing that could be accepted, 3 git refused, 6 a run is in progress.

    Example: saliency-audit accept phantom_skin --why "first audit, report read"
    """
    from flows.cli import accept as accepting

    sys.exit(accepting.accept(Path.cwd(), dataset, why, who))


def main() -> None:
    """Run the command line."""
    prepare(Path.cwd())
    app(prog_name="saliency-audit")
