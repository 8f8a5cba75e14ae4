"""Being told: of what, by which way, and in which words.

A file in git says which ways there are; the addresses and passwords that they need come from
environment variables or from blocks of the Prefect server, never from a file.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saliency_audit.errors import ParameterError
from saliency_audit.naming import refuse_unknown

#: What one may be told of, and the title of such a message.
TITLES = {
    "failed": "an audit failed",
    "stopped": "a quality gate stopped an audit",
    "changed": "an audit found other numbers",
    "same": "an audit found the same numbers",
    "missed": "an audit was not made at its time",
    "silent": "{who} gives no sign of life",
    "tried": "a message to see whether one arrives",
}
#: What is told unless a person says otherwise.
TOLD = ("failed", "stopped", "changed", "missed", "silent")
#: What a person may ask for.
KINDS = (*TOLD, "same")
#: Where an address comes from: an environment variable, or a block of the Prefect server.
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
BLOCK = re.compile(r"block/([a-z0-9][a-z0-9-]*)")
#: An e-mail address, as far as a slip of the hand is seen.
MAIL = re.compile(r"[^@\s,?&]+@[^@\s,?&]+")
#: A name or password within an address, and a query after it: neither is anybody's business.
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
QUERY = re.compile(r"(?<=\S)\?[^\s'\"]*=[^\s'\"]*")
#: Changed metrics that a message lists.
LISTED = 10


@dataclass(frozen=True)
class Email:
    """Messages by e-mail.

    ``to``: who gets them; ``sender``: whom they are from; ``server``: an environment variable with
    the mail server, ``smtps://user:password@host:465`` (or ``smtp://`` with STARTTLS).
    """

    to: tuple[str, ...]
    sender: str
    server: str

    def __post_init__(self) -> None:
        """Check the values; raises ParameterError."""
        if not VARIABLE.fullmatch(self.server):
            raise ParameterError(
                "email.server: give the NAME of an environment variable that holds the mail "
                "server, its user and its password; these stay out of files"
            )
        if not self.to:
            raise ParameterError("email.to is empty: name who gets the messages")
        for address in (*self.to, self.sender):
            if not MAIL.fullmatch(address):
                raise ParameterError(f"email: {address!r} is no e-mail address")


@dataclass(frozen=True)
class Alerts:
    """Of what one is told, and how.

    ``about``: of what; ``webhook``, ``slack``: an environment variable with the address, or
    ``block/<name>`` of the Prefect server; ``email``: by e-mail; ``late_minutes``: after its time
    an audit that has not begun counts as missed; ``silent_minutes``: without a sign of life a
    worker counts as silent. None: not this way.
    """

    about: tuple[str, ...] = TOLD
    webhook: str | None = None
    slack: str | None = None
    email: Email | None = None
    late_minutes: float = 15.0
    silent_minutes: float = 5.0

    def __post_init__(self) -> None:
        """Check the values; raises ParameterError."""
        refuse_unknown(self.about, KINDS, "about: ")
        for way in ("webhook", "slack"):
            source = getattr(self, way)
            if source is not None:
                _check_source(way, source)
        for key in ("late_minutes", "silent_minutes"):
            if not getattr(self, key) > 0:
                raise ParameterError(f"{key} is {getattr(self, key)}: give a number above 0")

    @property
    def ways(self) -> dict[str, str]:
        """Give each way that is asked for, and where its address comes from.

        >>> Alerts(slack="SALIENCY_SLACK").ways
        {'slack': 'SALIENCY_SLACK'}
        """
        named = {"webhook": self.webhook, "slack": self.slack}
        named["email"] = self.email.server if self.email else None
        return {way: source for way, source in named.items() if source is not None}


def _check_source(key: str, source: str) -> None:
    """Raise ParameterError for what is no name; what it says may be a secret and is not shown."""
    if not VARIABLE.fullmatch(source) and not BLOCK.fullmatch(source):
        raise ParameterError(
            f"{key}: give the NAME of an environment variable that holds the address, or "
            "block/<name> of the Prefect server; the address is a secret and stays out of files"
        )


def letter(kind: str, root: Path, facts: Mapping[str, Any]) -> dict[str, str]:
    """Give title and text of a message, without any name or password of an address.

    ``kind``: one of TITLES; ``facts``: what is known, as in an event's payload.

    >>> letter("silent", Path("/srv/audit"), {"who": "worker w1 of gpu"})["title"]
    'worker w1 of gpu gives no sign of life'
    """
    title = TITLES[kind].format_map({"who": facts.get("who", "something")})
    lines = [title]
    for key, name in NAMES.items():
        value = facts.get(key)
        if value not in (None, "", ()):
            lines.append(f"{name}: {value}")
    if facts.get("changed"):
        changes = list(facts.get("changes", ()))
        lines.append(f"metrics that differ: {facts['changed']}")
        lines += [f"  {change}" for change in changes[:LISTED]]
        if int(facts["changed"]) > LISTED:
            lines.append(f"  and {int(facts['changed']) - LISTED} more")
    lines.append(f"on: {socket.gethostname()}:{root}")
    return {"title": plain(title), "text": plain("\n".join(lines))}


#: Facts that a message names, and how.
NAMES = {
    "reason": "started by",
    "state": "result",
    "subject": "subject",
    "branch": "branch",
    "report": "report",
    "due": "due",
    "last_sign": "last sign",
    "error": "error",
}


def plain(text: str) -> str:
    """Give a text without names, passwords and queries in its addresses.

    >>> plain("https://user:word@host/path?token=1 is not there")
    'https://…@host/path?… is not there'
    """
    return QUERY.sub("?…", CREDENTIALS.sub("…@", text))


def said(alerts: Alerts) -> str:
    """Say in one line of what one is told, and how.

    >>> said(Alerts()), said(Alerts(about=("failed",), slack="S"))
    ('nobody', 'by slack, of failed')
    """
    ways = ", ".join(alerts.ways)
    return f"by {ways}, of {', '.join(alerts.about)}" if ways and alerts.about else "nobody"
