"""What a person is told of the store of finished maps, and drops from it."""

from __future__ import annotations

from rich.console import Console

from tasks.map_store import contents, prune


def prune_maps(keep: float) -> None:
    """Drop maps until ``keep`` GiB are left, those not used for longest first; say what is left."""
    console = Console(stderr=True)
    dropped = prune(keep)
    for kept in contents():
        console.print(
            f"{kept.name}: {kept.maps} maps, {kept.size / 2**20:.1f} MiB",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"{dropped} maps dropped", highlight=False)
