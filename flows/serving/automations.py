"""What the Prefect server is asked to do with events: an automation for each way of being told.

The automations are the templates of deploy/alerts/, with the address in a block of the server,
which keeps it encrypted, and with the kinds of events that a person asked for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from flows.ground.prefect_client import ask
from flows.serving.alerts import BLOCK, Alerts, Email, plain
from flows.serving.events import KIND, SERVING
from saliency_audit.errors import ParameterError

if TYPE_CHECKING:
    from prefect.blocks.core import Block
    from prefect.events import AutomationCore

TEMPLATES = Path("deploy/alerts")
#: Seconds that a message may take on its way to whoever is told.
PATIENCE = 30.0
#: How the automations and blocks that are ours are known.
PREFIX = "saliency-audit: told by "
WAYS = ("webhook", "slack", "email")
#: What an automation's name ends with that tells when nobody serves.
APART = ", when nobody serves"
#: Ways to reach a mail server: scheme, then Apprise's scheme and mode.
MAIL = {
    "smtps": ("mailtos", "ssl"),
    "smtp": ("mailtos", "starttls"),
    "smtp+plain": ("mailto", "insecure"),
}


@dataclass(frozen=True)
class Way:
    """A way of being told: its address is a secret, or the name of a block that holds it."""

    name: str
    address: str | None
    block: str | None

    def __repr__(self) -> str:
        """Show no address."""
        return f"Way({self.name!r})"


def take_addresses(alerts: Alerts) -> list[Way]:
    """Read the addresses from the environment, and take them out of it: no audit needs them.

    Raises ParameterError naming the key and the variable, never what it holds.
    """
    ways = []
    for name, source in alerts.ways.items():
        found = BLOCK.fullmatch(source)
        if found:
            ways.append(Way(name, None, found[1]))
            continue
        address = os.environ.pop(source, "").strip()
        if not address:
            raise ParameterError(f"alerts.{name}: the environment variable {source} is not set")
        if name == "email":
            assert alerts.email is not None
            address = mail_address(address, alerts.email, source)
        else:
            _check_web(address, f"alerts.{name}: {source}")
        ways.append(Way(name, address, None))
    return ways


def _check_web(address: str, said: str) -> None:
    try:
        url = urlsplit(address)
        good = url.scheme in ("http", "https") and url.hostname is not None
    except ValueError:
        good = False
    if not good:
        raise ParameterError(f"{said} holds no address: give one that begins with https://")


def mail_address(server: str, email: Email, variable: str) -> str:
    """Give what Apprise sends e-mail by; raises ParameterError that does not show the address."""
    try:
        url = urlsplit(server)
        host, port = url.hostname, url.port
    except ValueError:
        host, port, url = None, None, urlsplit("")
    if url.scheme not in MAIL or not host:
        raise ParameterError(
            f"alerts.email: {variable} holds no mail server: give smtps://user:password@host:465, "
            "smtp://… for STARTTLS, or smtp+plain://host:25 for one without encryption"
        )
    if url.scheme == "smtp+plain" and url.password and host not in ("127.0.0.1", "localhost"):
        raise ParameterError(
            f"alerts.email: {variable} would send a password without encryption: say smtp:// or "
            "smtps://"
        )
    scheme, mode = MAIL[url.scheme]
    login = f"{url.username or ''}:{url.password or ''}@" if url.username else ""
    place = f"[{host}]" if ":" in host else host
    query = urlencode(
        {
            "smtp": host,
            "from": email.sender,
            "to": ",".join(email.to),
            "mode": mode,
            "format": "text",
        },
        quote_via=quote,
    )
    return f"{scheme}://{login}{place}{f':{port}' if port else ''}/?{query}"


async def register(root: Path, alerts: Alerts, ways: list[Way], apart: bool) -> None:
    """Have the server tell by these ways, and by no others that were asked for before.

    ``apart``: the server goes on when serving ends, and can tell of that, too. Raises
    ParameterError for a block or a template that does not fit.
    """
    from prefect.client.orchestration import get_client

    wanted: dict[str, Any] = {}
    for way in ways:
        block = await _block(way)
        wanted |= _automations(root, alerts, way, block, apart)
    async with get_client() as client:
        for automation in await client.read_automations(**_ours()):
            new = wanted.pop(automation.name, None)
            if new is None:
                await client.delete_automation(automation.id)
            else:
                await client.update_automation(automation.id, new)
        for new in wanted.values():
            await client.create_automation(new)
        for name in WAYS:
            if name not in {way.name for way in ways if way.block is None}:
                await _forget(client, name)


def _ours() -> dict[str, Any]:
    """Give what selects our automations, of all that a server may have."""
    from prefect.client.schemas.sorting import AutomationSort
    from prefect.events.filters import AutomationFilter, AutomationFilterName

    names = [f"{PREFIX}{way}{end}" for way in WAYS for end in ("", APART)]
    chosen = AutomationFilter(name=AutomationFilterName(any_=names))
    return {"automations": chosen, "sort": AutomationSort.NAME_ASC, "limit": 200}


async def _block(way: Way) -> str:
    """Keep a way's address in a block of the server, or find a person's; gives the block's id."""
    from prefect.blocks.webhook import Webhook
    from pydantic import SecretStr

    kind: Any = _kind(way.name)
    if way.block is not None:
        try:
            found = await kind.aload(way.block)
        except ValueError:
            raise ParameterError(
                f"alerts.{way.name}: the Prefect server has no block "
                f"{kind.get_block_type_slug()}/{way.block}: make it on the page Blocks"
            ) from None
        return str(found._block_document_id)
    assert way.address is not None
    headers = {"headers": {"Content-Type": "application/json"}} if kind is Webhook else {}
    block = kind(url=SecretStr(way.address), **headers)
    return str(await block.save(_slug(way.name), overwrite=True))


def _kind(name: str) -> type[Block]:
    """Give the kind of block that keeps the address of a way.

    Prefect has e-mail by Sendgrid alone, and a kind of our own would have to be installed in every
    server. Its block for Slack hands any other address on to Apprise, which sends e-mail.
    """
    from prefect.blocks.notifications import SlackWebhook
    from prefect.blocks.webhook import Webhook

    return SlackWebhook if name == "email" else Webhook


async def _forget(client: Any, name: str) -> None:
    """Remove an address that was kept for a way that nobody asks for any more."""
    from prefect.exceptions import ObjectNotFound

    kind = _kind(name).get_block_type_slug()
    try:
        found = await client.read_block_document_by_name(_slug(name), kind)
        await client.delete_block_document(found.id)
    except ObjectNotFound:
        return


def _slug(name: str) -> str:
    return f"saliency-audit-{name}"


def _automations(
    root: Path, alerts: Alerts, way: Way, block: str, apart: bool
) -> dict[str, AutomationCore]:
    """Give the automations of a way, by name."""
    from prefect.events import AutomationCore

    told = _template(root, way.name)
    trigger = told["trigger"]
    found = {}
    name = f"{PREFIX}{way.name}"
    reactive = {**trigger, "match": {**trigger["match"], KIND: [*alerts.about, "tried"]}}
    actions = [{**action, "block_document_id": block} for action in told["actions"]]
    wanted = {name: reactive}
    if apart and "silent" in alerts.about:
        wanted[f"{name}{APART}"] = {
            "type": "event",
            "posture": "Proactive",
            "after": [SERVING],
            "expect": [SERVING],
            "for_each": ["prefect.resource.id"],
            "threshold": 1,
            "within": max(timedelta(minutes=alerts.silent_minutes).total_seconds(), 10.0),
        }
    for title, when in wanted.items():
        try:
            found[title] = AutomationCore.model_validate(
                {**told, "name": title, "trigger": when, "actions": actions}
            )
        except ValueError as error:
            last = str(error).splitlines()[-2].strip()
            raise ParameterError(f"{TEMPLATES / way.name}.yaml: {last}") from None
    return found


def _template(root: Path, name: str) -> Mapping[str, Any]:
    import yaml

    path = root / TEMPLATES / f"{name}.yaml"
    try:
        told = yaml.safe_load(path.read_text("utf-8"))
        _ = told["trigger"]["match"], told["actions"]
    except FileNotFoundError:
        raise ParameterError(f"{path} is not there: restore it by `git checkout`") from None
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise ParameterError(f"{path} is no automation: {' '.join(str(error).split())}") from None
    if not isinstance(told, Mapping):
        raise ParameterError(f"{path} is no automation")
    return told


def results_of(sent: str) -> dict[str, str | None]:
    """Give what became of a message, by way: None where it was sent, else why not."""
    from prefect.client.orchestration import get_client

    chosen = {
        "event": {
            "name": ["prefect.automation.action.executed", "prefect.automation.action.failed"]
        },
        "related": {"id": [f"prefect.event.{sent}"]},
    }
    with get_client(sync_client=True) as client:
        names = {automation.name for automation in client.read_automations(**_ours())}
        wanted = {name.removeprefix(PREFIX) for name in names if not name.endswith(APART)}
        if not wanted:
            raise ParameterError(
                "nobody is told: say how under alerts in deploy/serve.yaml, and start `serve` again"
            )
        results: dict[str, str | None] = {}
        until = time.monotonic() + PATIENCE
        while set(results) != wanted and time.monotonic() < until:
            time.sleep(0.5)
            found = ask(client, "/events/filter", {"filter": chosen, "limit": 50})
            for event in found["events"]:
                name = event["resource"]["prefect.resource.name"].removeprefix(PREFIX)
                results[name] = _why(event)
    silent = f"the server did not say within {PATIENCE:.0f} s what became of it"
    return {name: results.get(name, silent) for name in sorted(wanted)}


def _why(event: Mapping[str, Any]) -> str | None:
    """Give why the server could not send a message; None where it could."""
    if not event["event"].endswith("failed"):
        return None
    payload = event["payload"]
    why = f"{payload.get('reason', 'failed')} {payload.get('notification_log', '')}"
    return plain(" ".join(why.split()))
