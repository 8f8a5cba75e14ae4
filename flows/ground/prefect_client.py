"""Questions to Prefect's server that its client has no call for, or answers otherwise.

The one module that reaches beneath Prefect's public client: to its HTTP client, which knows the
server's address and password. Where the public client has the call, that is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def ask(client: SyncPrefectClient, path: str, what: Any) -> Any:
    """Give the server's answer to a question in JSON; raises httpx.HTTPError where it refuses.

    Of workers, flow runs and flows the plain answer is used, as a page of the server has it; events
    can be searched in no other way; the client's own search of artifacts is refused.
    """
    answer = client._client.post(path, json=what)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def forget_worker(client: SyncPrefectClient, pool: str, name: str) -> None:
    """Have the server forget a worker; raises httpx.HTTPError where it does not answer."""
    client._client.delete(f"/work_pools/{quote(pool)}/workers/{quote(name)}")
