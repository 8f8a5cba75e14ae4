"""``saliency-audit``: the table of commands, each found by its name and loaded when asked for.

Listing them loads none: the line that says what one does is read from its source.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from flows.cli.paths import CALLED_FROM
from flows.ground.environment import prepare
from saliency_audit import __version__
from tasks import places

#: The commands in the order in which they are listed, and the module that has each as ``command``.
COMMANDS = {
    name: f"flows.cli.{name}"
    for name in (
        *("run", "check", "docs", "prune", "serve", "alert", "worker", "retrained", "reference"),
        *("backfill", "status", "reproduce", "clean", "trace", "accept"),
    )
}
#: What a person is told who types no command where nothing was audited yet.
FIRST_STEPS = """\
Nothing was audited here yet. To begin:
  saliency-audit run --dry-run   what would run, and why
  saliency-audit run             audit generated images (params.yaml), and say where the report is
  saliency-audit check FOLDER    what would be wrong with images of your own
docs/tutorial.md walks through it.
"""


def summary(name: str) -> str:
    """Give the line that says what a command does: the first of its function's docstring."""
    spec = find_spec(COMMANDS[name])
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    (found,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "command")
    return (ast.get_docstring(found) or "").split("\n\n", 1)[0]


def load(name: str) -> Any:
    """Import a command's module; gives the command."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    alone.command(name)(importlib.import_module(COMMANDS[name]).command)
    return typer.main.get_command(alone)


class Commands(TyperGroup):
    """The table as a group: lists without loading, and loads the one that is run."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # Of a name that is none, Typer looks here for the nearest.
        self.commands = {name: TyperCommand(name) for name in COMMANDS}

    def list_commands(self, ctx: Any) -> list[str]:
        """Give the names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Give what is listed of a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=summary(cmd_name))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Give the command that arguments name, loaded, and the arguments that are left."""
        name, command, rest = super().resolve_command(ctx, args)
        return (name, load(name), rest) if name in COMMANDS else (name, command, rest)


def _say_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"saliency-audit {__version__}\n")
        raise typer.Exit


app = typer.Typer(
    name="saliency-audit",
    help="Audits the explanations of medical-image classifiers.",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback(invoke_without_command=True)
def _commands(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Audits the explanations of medical-image classifiers."""
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")
        if not (Path.cwd() / places.REPORTS / "index.html").is_file():
            sys.stdout.write(FIRST_STEPS)
        raise typer.Exit(2)


def main() -> None:
    """Run the command line."""
    prepare(Path.cwd())
    app(prog_name="saliency-audit", obj=os.environ.pop(CALLED_FROM, None))
