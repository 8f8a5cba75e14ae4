"""Paths that a person types: from the folder where they stand, wherever the checkout lies."""

from __future__ import annotations

from pathlib import Path

import typer

#: The folder that `saliency-audit` was called in: it runs in that of the checkout that holds it.
CALLED_FROM = "SALIENCY_CALLED_FROM"


def from_there(context: typer.Context, path: Path | None) -> Path | None:
    """Give a path as it is reached from the checkout; one that is absolute stays.

    For ``callback`` of a Typer parameter.
    """
    there = context.find_root().obj
    if path is None or there is None or Path(there).samefile(Path.cwd()):
        return path
    return Path(there) / path


def file_or_address(context: typer.Context, reference: str) -> str:
    """Give a file as it is reached from the checkout, an address as it is."""
    return reference if "://" in reference else str(from_there(context, Path(reference)))


def existing(context: typer.Context, path: Path | None) -> Path | None:
    """As ``from_there``, of a path that must exist; raises BadParameter where it does not."""
    found = from_there(context, path)
    if found is not None and not found.exists():
        raise typer.BadParameter(f"Path '{path}' does not exist.")
    return found
