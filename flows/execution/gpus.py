"""GPUs shared out: no two stages of a clone get the same one, whichever process started them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from flows.ground.hold import HeldError, hold
from saliency_audit.errors import ParameterError
from tasks import places

#: Seconds between two looks whether GPUs are free.
LOOK = 1.0


@dataclass(frozen=True)
class Taken:
    """GPUs that a stage has, and what gives them back."""

    names: tuple[str, ...]
    give_back: Callable[[], None]


class Gpus:
    """The GPUs that stages of a clone may use, by the names that CUDA_VISIBLE_DEVICES takes.

    Each is a file of the clone that whoever has the GPU holds: what ends a process frees its GPUs.
    """

    def __init__(self, clone: Path, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._folder = clone / places.LOCAL / "gpus"

    def take(self, number: int) -> Taken | None:
        """Take as many as are asked for; None, and nothing is taken, where fewer are free."""
        with ExitStack() as held:
            mine: list[str] = []
            for name in self.names:
                if len(mine) == number:
                    break
                with suppress(HeldError):
                    # The name of a part of a GPU (MIG) may hold a slash.
                    held.enter_context(hold(self._folder / quote(name, safe=""), wait=False))
                    mine.append(name)
            return Taken(tuple(mine), held.pop_all().close) if len(mine) == number else None

    @contextmanager
    def await_free(self, number: int) -> Iterator[tuple[str, ...]]:
        """Have as many as are asked for, waiting until they are free; gives their names.

        Raises ParameterError where there are too few.
        """
        if number > len(self.names):
            raise ParameterError(f"{number} GPUs are needed, and this worker has {len(self.names)}")
        while (taken := self.take(number)) is None:
            time.sleep(LOOK)
        try:
            yield taken.names
        finally:
            taken.give_back()


def gpus_here(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Give the names of this machine's GPUs that stages may use.

    Those that SALIENCY_GPUS lists, else CUDA_VISIBLE_DEVICES, else all that the NVIDIA driver has.

    >>> gpus_here({"SALIENCY_GPUS": "0, 2"})
    ('0', '2')
    """
    environment = os.environ if environment is None else environment
    for variable in ("SALIENCY_GPUS", "CUDA_VISIBLE_DEVICES"):
        if variable in environment:
            names = (name.strip() for name in environment[variable].split(","))
            return tuple(name for name in names if name)
    found = Path("/proc/driver/nvidia/gpus")
    return tuple(str(n) for n in range(len(list(found.iterdir())))) if found.is_dir() else ()
