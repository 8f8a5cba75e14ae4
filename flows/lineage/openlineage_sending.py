"""Taking events to a lineage back end, beside the run: a file, or what OpenLineage is set up for.

A back end that does not answer costs a run one warning and a few seconds at its end; what it did
not take is kept in a file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event as Flag
from threading import Lock, Thread
from typing import Any

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde
from openlineage.client.transport.file import FileConfig, FileTransport

from tasks import places

FOLDER = places.LOCAL / "lineage"
#: Seconds that the end of a run waits for events that are not sent yet.
PATIENCE = 3.0
#: What the client and the library beneath it log of each attempt: a run says one warning.
LOGGERS = ("openlineage", "urllib3.connectionpool")

Make = Callable[[], RunEvent]


def events_file(root: Path, run: str) -> Path:
    """Where the events of a run lie, if no back end is set up."""
    return root / FOLDER / f"{run}.jsonl"


def kept_file(root: Path, run: str) -> Path:
    """Where the events lie that a back end did not take."""
    return root / FOLDER / f"{run}.unsent.jsonl"


@dataclass
class Sender:
    """Makes and sends events in a thread of its own, in their order.

    ``warn``: hears one warning, if any. After the first event that was not taken no other is
    tried: all are kept.
    """

    root: Path
    warn: Callable[[str], None]
    patience: float = PATIENCE
    _queue: SimpleQueue[Make | None] = field(default_factory=SimpleQueue)
    _lock: Any = field(default_factory=Lock)
    _done: Flag = field(default_factory=Flag)
    _current: RunEvent | None = None
    _client: OpenLineageClient | None = None
    _thread: Thread | None = None
    _run: str = ""
    _refused: bool = False
    _abandoned: bool = False

    def open(self, run: str) -> None:
        """Start; ``run`` names the files of events."""
        self._run = run
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._client = self._connect()
        if self._client.transport.kind == "noop":
            self._client = None
            return
        # A daemon: what waits for an answer does not keep the program from ending.
        self._thread = Thread(target=self._work, name="lineage", daemon=True)
        self._thread.start()

    def put(self, make: Make) -> None:
        """Have an event made and sent, when its turn comes."""
        if self._client is not None:
            self._queue.put(make)

    def close(self) -> None:
        """Wait a little for what is not sent; keep the rest."""
        if self._thread is None:
            return
        self._queue.put(None)
        if self._done.wait(self.patience):
            return
        with self._lock:
            self._abandoned = True
            self._refuse("does not answer")
            if self._current is not None:
                self._keep(self._current)
            while True:
                try:
                    make = self._queue.get_nowait()
                except Empty:
                    return
                if make is not None:
                    self._keep(make())

    def _connect(self) -> OpenLineageClient:
        """Take the back end that OpenLineage's own configuration names; without one, a file."""
        place = events_file(self.root, self._run)
        place.parent.mkdir(parents=True, exist_ok=True)
        file = FileTransport(FileConfig(log_file_path=str(place), append=True))
        # The client would take the repository's address from git, with what is in it.
        config = {"facets": {"source_code_location": {"disabled": True}}}
        client = OpenLineageClient(transport=file, config=config)
        try:
            transport = client.config.transport or {}
            if transport.get("type") or transport.get("transports"):
                return OpenLineageClient(config=config)
        except Exception as error:
            # Whatever is wrong with it: an audit does not depend on it.
            self._warn(
                f"OpenLineage's configuration cannot be used ({type(error).__name__}): events go "
                f"to {place}"
            )
            return OpenLineageClient(transport=file)
        return client

    def _work(self) -> None:
        while (make := self._queue.get()) is not None:
            try:
                event = make()
            except Exception as error:
                self._warn(f"an event of lineage could not be made ({error!r}): it is left out")
                continue
            with self._lock:
                if self._abandoned:
                    self._keep(event)
                    return
                self._current = event
            self._send(event)
            if self._given_up():
                return
        if not self._refused and self._client is not None:
            self._client.close(self.patience)
        self._done.set()

    def _given_up(self) -> bool:
        """Say whether nobody waits any more; else the event is done with."""
        with self._lock:
            if not self._abandoned:
                self._current = None
            return self._abandoned

    def _send(self, event: RunEvent) -> None:
        assert self._client is not None
        try:
            if not self._refused:
                self._client.emit(event)
                return
        except Exception as error:
            # Its text may hold an address with a password: the kind of error is enough.
            with self._lock:
                if self._abandoned:
                    return
                self._refuse(f"did not take an event ({type(error).__name__})")
        with self._lock:
            if not self._abandoned:
                self._keep(event)

    def _refuse(self, what: str) -> None:
        if not self._refused:
            self._refused = True
            kind = self._client.transport.kind if self._client else ""
            self._warn(
                f"the lineage back end ({kind}) {what}: events of this run that it did not take "
                f"are kept in {kept_file(self.root, self._run)}"
            )

    def _warn(self, text: str) -> None:
        self.warn(text)

    def _keep(self, event: RunEvent) -> None:
        try:
            with kept_file(self.root, self._run).open("a", encoding="utf-8") as file:
                file.write(Serde.to_json(event) + "\n")
        except OSError:
            # A full disk has been said where it matters.
            return
