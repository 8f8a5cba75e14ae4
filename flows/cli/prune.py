"""`saliency-audit prune`: what is in the store of finished maps, and what is dropped from it."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.ground.console import Voice
from tasks.map_store import contents, prune


def command(
    keep: Annotated[float, typer.Option(min=0, help="GiB of maps to keep, the last used first.")],
) -> None:
    """Drop finished maps that were not used for longest, and say what is kept.

    `explain` keeps each map it has computed in .saliency/maps.sqlite, so that none is computed
    twice. It holds at most 8 GiB, or what SALIENCY_MAP_STORE_GIB says.
    """
    prune_maps(keep)


def prune_maps(keep: float) -> None:
    """Drop maps until ``keep`` GiB are left, those not used for longest first; say what is left."""
    console = Voice()
    dropped = prune(keep)
    for kept in contents():
        console.say(f"{kept.name}: {kept.maps} maps, {kept.size / 2**20:.1f} MiB")
    console.say(f"{dropped} maps dropped")
