"""What a stage needs of the machine that it runs on, and what it holds of it while it runs.

A stage of ``dvc.yaml`` says so under ``meta``: ``gpu``, how many; ``memory_gib``, at its peak;
``mutex``, a name that no two stages hold at a time; ``minutes``, after which it counts as hanging;
``pool``, the Prefect work pool whose workers run it. Every stage that runs here holds a slot.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.execution.gpus import Gpus, Taken
from saliency_audit.compute import Compute
from saliency_audit.errors import ParameterError
from saliency_audit.naming import refuse_unknown
from tasks import places
from tasks.params import load

#: What ``meta`` may say.
NEEDS = ("gpu", "memory_gib", "mutex", "minutes", "pool")


@dataclass(frozen=True)
class Need:
    """What a stage needs besides a slot."""

    gpus: int = 0
    memory_gib: float = 0.0
    mutex: str | None = None
    minutes: float | None = None
    pool: str | None = None

    @classmethod
    def of(cls, name: str, meta: Mapping[str, Any]) -> Need:
        """Read a stage's ``meta``; raises ParameterError naming what is wrong with it.

        >>> Need.of("explain", {"gpu": 1})
        Need(gpus=1, memory_gib=0.0, mutex=None, minutes=None, pool=None)
        """
        refuse_unknown(meta, NEEDS, f"dvc.yaml, stage {name}: unknown key of meta ")
        gpus, memory, mutex = meta.get("gpu", 0), meta.get("memory_gib", 0.0), meta.get("mutex")
        if type(gpus) is not int or gpus < 0:
            raise ParameterError(f"dvc.yaml, stage {name}: meta.gpu is {gpus!r}: give 0 or more")
        if type(memory) not in (int, float) or memory < 0:
            raise ParameterError(
                f"dvc.yaml, stage {name}: meta.memory_gib is {memory!r}: give GiB, 0 or more"
            )
        for key in ("mutex", "pool"):
            text = meta.get(key)
            if text is not None and (not isinstance(text, str) or not text):
                raise ParameterError(f"dvc.yaml, stage {name}: meta.{key} is {text!r}: give a name")
        minutes = meta.get("minutes")
        if minutes is not None and (type(minutes) not in (int, float) or minutes <= 0):
            raise ParameterError(
                f"dvc.yaml, stage {name}: meta.minutes is {minutes!r}: give a number above 0"
            )
        return cls(gpus, float(memory), mutex, minutes, meta.get("pool"))


@dataclass(frozen=True)
class Place:
    """What a running stage holds: a slot, and GPUs by the names that CUDA_VISIBLE_DEVICES takes."""

    slot: int
    gpus: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        """Give the variables that tell the stage; a stage without a GPU sees none.

        >>> Place(0, ("1", "3")).environment()
        {'SALIENCY_SLOT': '0', 'CUDA_VISIBLE_DEVICES': '1,3'}
        """
        return {"SALIENCY_SLOT": str(self.slot), "CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}


class Machine:
    """Hands out slots, GPUs, memory and mutexes of one machine.

    ``slots``: stages side by side; ``gpus``: those that they may use; ``memory_gib``: what stages
    that say how much they need may hold together.

    >>> import tempfile
    >>> machine = Machine(2, Gpus(Path(tempfile.mkdtemp()), ["0"]), 16.0)
    >>> machine.place("a", Need(gpus=1)), machine.place("b", Need(gpus=1)) is None
    (Place(slot=0, gpus=('0',)), True)
    >>> machine.release("a")
    >>> machine.place("b", Need(gpus=1))
    Place(slot=0, gpus=('0',))
    """

    def __init__(self, slots: int, gpus: Gpus, memory_gib: float) -> None:
        self.slots = slots
        self._gpus = gpus
        self._memory = memory_gib
        self._held: dict[str, tuple[int, Taken, Need]] = {}

    def check(self, name: str, need: Need) -> None:
        """Raise ParameterError where the machine could not hold a stage even alone."""
        if need.pool is not None:
            return
        if need.gpus > len(self._gpus.names):
            raise ParameterError(
                f"stage {name} needs {need.gpus} GPU (meta.gpu in dvc.yaml, compute.device cuda), "
                f"and there are {len(self._gpus.names)} here: set compute.device: cpu, name GPUs "
                "in SALIENCY_GPUS, or run where they are"
            )
        if need.memory_gib > self._memory:
            raise ParameterError(
                f"stage {name} needs {need.memory_gib:g} GiB (meta.memory_gib in dvc.yaml), and "
                f"this machine has {self._memory:.1f}: run where there is more"
            )

    def place(self, name: str, need: Need) -> Place | None:
        """Give a stage its place; None as long as what it needs is held by others.

        One that a work pool runs holds nothing here.
        """
        if need.pool is not None:
            return Place(self.slots, ())
        free_slots = sorted(set(range(self.slots)) - {slot for slot, _, _ in self._held.values()})
        memory = sum(held.memory_gib for _, _, held in self._held.values())
        mutexes = {held.mutex for _, _, held in self._held.values()} - {None}
        if not free_slots or memory + need.memory_gib > self._memory or need.mutex in mutexes:
            return None
        taken = self._gpus.take(need.gpus)
        if taken is None:
            return None
        self._held[name] = (free_slots[0], taken, need)
        return Place(free_slots[0], taken.names)

    def release(self, name: str) -> None:
        """Take back what a stage holds."""
        if name in self._held:
            _, taken, _ = self._held.pop(name)
            taken.give_back()


def memory_here() -> float:
    """Give this machine's memory in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def slots_here(root: Path) -> int:
    """Give how many stages run side by side here, by cores and ``compute.threads``."""
    return slots_of(load(["compute"], root / places.PARAMS).read("compute", Compute))


def slots_of(compute: Compute) -> int:
    """Give how many stages of so many threads run side by side on this machine's cores."""
    # macOS does not say which cores a process may use.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // compute.threads)
