"""Being told: messages arrive by e-mail, Slack and webhook, and no secret goes where it must not.

The server, the receivers of HTTP and SMTP, and the workers are real.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
import yaml

SECRET = "T0PSECRET"
PASSWORD = "pa55-of-the-mail"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Received(list):
    """What a receiver got, one entry a message."""

    def wait(self, matches=lambda message: True, seconds=40):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for message in list(self):
                if matches(message):
                    return message
            time.sleep(0.1)
        pytest.fail(f"no such message within {seconds} s; there are {list(self)}")


@pytest.fixture(scope="module")
def web():
    """A receiver of HTTP; gives its port and what it got: path, content type and JSON."""
    got = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield receiver.server_address[1], got
        receiver.shutdown()


@pytest.fixture(scope="module")
def mail():
    """A mail server; gives its port and what it got: login, recipients and message."""
    got = Received()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text):
            self.wfile.write(f"{text}\r\n".encode())

        def handle(self):
            login, recipients = None, []
            self.say("220 here")
            while line := self.rfile.readline():
                verb, _, rest = line.decode().strip().partition(" ")
                if verb.upper() == "EHLO":
                    self.say("250-here")
                    self.say("250 AUTH PLAIN LOGIN")
                elif verb.upper() == "AUTH":
                    kind, _, first = rest.partition(" ")
                    if kind.upper() == "LOGIN":
                        self.say("334 UGFzc3dvcmQ6")
                        second = self.rfile.readline().decode().strip()
                        login = tuple(base64.b64decode(t).decode() for t in (first, second))
                    else:
                        login = tuple(base64.b64decode(first).decode().split("\0")[1:])
                    self.say("235 welcome")
                elif verb.upper() == "RCPT":
                    recipients.append(rest.partition(":")[2].strip("<> "))
                    self.say("250 ok")
                elif verb.upper() == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (text := self.rfile.readline()) != b".\r\n":
                        lines.append(text)
                    message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                    got.append((login, tuple(recipients), message))
                    self.say("250 ok")
                elif verb.upper() == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield receiver.server_address[1], got
        receiver.shutdown()


@pytest.fixture(scope="module")
def clone(root, tmp_path_factory, web, mail):
    """A folder that holds code, templates and a schedule with every way of being told."""
    path = tmp_path_factory.mktemp("clone")
    shutil.copytree(root / "deploy", path / "deploy")
    (path / ".saliency").mkdir()
    for code in ("flows", "tasks", "saliency_audit"):
        (path / code).symlink_to(root / code)
    write(
        path,
        webhook="MY_WEBHOOK",
        slack="MY_SLACK",
        email={
            "to": ["a@example.org", "b@example.org"],
            "sender": "audit@example.org",
            "server": "MY_SMTP",
        },
    )
    return path


def write(path, **alerts):
    tree = {"cron": None, "alerts": alerts}
    (path / "deploy" / "serve.yaml").write_text(yaml.safe_dump(tree))


@pytest.fixture(scope="module")
def server(clone, web, mail, root):
    """A Prefect server with a password; gives the environment that reaches it."""
    home, port = clone / ".saliency" / "prefect", str(free_port())
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_API_AUTH_STRING": "audit:word",
        "PREFECT_API_AUTH_STRING": "audit:word",
        "PREFECT_SERVER_LOGGING_LEVEL": "DEBUG",
    }
    with (clone / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.ground.server", "--host", "127.0.0.1", "--port", port],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}/api"
    from flows.ground.server import answers

    until = time.monotonic() + 120
    while not answers(url):
        assert process.poll() is None, (clone / "server.log").read_text()
        assert time.monotonic() < until
        time.sleep(0.2)
    yield {
        **environment,
        "PREFECT_API_URL": url,
        "MY_WEBHOOK": f"http://127.0.0.1:{web[0]}/hook?token={SECRET}",
        "MY_SLACK": f"http://127.0.0.1:{web[0]}/services/T0/B0/{SECRET}",
        "MY_SMTP": f"smtp+plain://mailer:{PASSWORD}@127.0.0.1:{mail[0]}",
    }
    process.terminate()
    process.wait(30)


#: Runs pieces of code that come as lines of JSON, and says what they print or raise.
LOOP = """
import contextlib, io, json, os, sys, traceback
for line in sys.stdin:
    asked = json.loads(line)
    os.environ.update(asked["environment"])
    sys.argv = ["-c", *asked["arguments"]]
    printed, error = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        try:
            exec(asked["code"], {"__name__": "asked"})
        except Exception:
            error = traceback.format_exc()
    print("SAID " + json.dumps({"printed": printed.getvalue(), "error": error}), flush=True)
"""


@pytest.fixture(scope="module")
def call(clone, server):
    """Run code in the clone, in one process beside this one: it imports Prefect once."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP],
        cwd=clone,
        env={key: value for key, value in server.items() if not key.startswith("MY_")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(code, *arguments, error=None, **changed):
        addresses = {key: value for key, value in server.items() if key.startswith("MY_")}
        asked = {"code": code, "arguments": arguments, "environment": {**addresses, **changed}}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        while not (line := process.stdout.readline()).startswith("SAID "):
            assert line, "the process has ended"
        said = json.loads(line.removeprefix("SAID "))
        if error is None:
            assert said["error"] is None, said["error"]
        else:
            assert error in said["error"]
        return said["printed"]

    yield ask
    process.stdin.close()
    process.wait(30)


#: Registers what deploy/serve.yaml says, twice if told so, and says which automations there are.
REGISTER = """
import asyncio, json, os, sys
from pathlib import Path
from flows.serving.schedule import read_schedule
from flows.serving.automations import PREFIX, register, take_addresses
from prefect.client.orchestration import get_client
root = Path.cwd()
alerts = read_schedule(root).alerts
ways = take_addresses(alerts)
left = [name for name in os.environ if name.startswith("MY_")]
apart = "apart" in sys.argv
async def main():
    for _ in range(2):
        await register(root, alerts, ways, apart)
    async with get_client() as client:
        found = await client.read_automations(sort="NAME_ASC", limit=200)
        blocks = await client.read_block_documents(
            offset=0, limit=200, include_secrets=False
        )
    print(json.dumps({
        "names": sorted(a.name for a in found if a.name.startswith(PREFIX)),
        "blocks": sorted(b.name for b in blocks if b.name.startswith("saliency-audit")),
        "left": left, "shown": repr(ways),
        "all": json.dumps([a.model_dump(mode="json") for a in found]
                          + [b.model_dump(mode="json") for b in blocks]),
    }))
asyncio.run(main())
"""

#: Sends the event of an audit that ended.
ENDED = """
import json, sys
from pathlib import Path
from flows.serving.deployments import _tell
from flows.history.reaudit import Finding
import logging
import flows.serving.deployments as d
d.get_run_logger = lambda: logging.getLogger("audit")
print(_tell(Path.cwd(), Finding(**json.loads(sys.argv[1])), "schedule"))
"""


@pytest.fixture(scope="module")
def registered(clone, call):
    return json.loads(call(REGISTER, "apart"))


def finding(state, **more):
    return json.dumps({"state": state, "subject": "abc123abc123", **more})


def test_it_is_registered_once_however_often(registered):
    ways = ("email", "slack", "webhook")
    names = [f"saliency-audit: told by {way}" for way in ways]
    assert registered["names"] == sorted([*names, *(f"{n}, when nobody serves" for n in names)])
    assert registered["blocks"] == [f"saliency-audit-{way}" for way in ways]


def test_a_changed_audit_is_told_by_every_way(registered, clone, call, web, mail):
    branch = "audit/20260101-abc123abc123"
    changes = [f'reports/x/metrics.json: m{n}: "0.1" → 0.2' for n in range(12)]
    call(ENDED, finding("changed", branch=branch, report="/r.html", changes=changes))
    path, kind, body = web[1].wait(lambda got: got[0].startswith("/services"))
    assert path == f"/services/T0/B0/{SECRET}"
    assert kind == "application/json"
    assert set(body) == {"text"}  # all that Slack asks for
    login, recipients, message = mail[1].wait()
    assert login == ("mailer", PASSWORD)
    assert set(recipients) <= {"a@example.org", "b@example.org"}
    mail[1].wait(lambda got: "b@example.org" in got[1])
    assert "audit@example.org" in message["From"]
    assert message["Subject"] == "saliency-audit: an audit found other numbers"
    text = message.get_body(("plain", "html")).get_content()
    path, kind, hook = web[1].wait(lambda got: got[0].startswith("/hook"))
    assert kind == "application/json"
    assert hook["event"] == "audit.finished"
    assert hook["about"]["changed"] == 12
    assert hook["about"]["changes"] == changes
    for words in (body["text"], text, hook["about"]["text"]):
        for fact in (branch, "/r.html", "metrics that differ: 12", "and 2 more", "schedule"):
            assert fact in words
        assert 'm9: "0.1" → 0.2' in words
        assert "m10" not in words


@pytest.mark.parametrize(
    ("state", "event"), [("failed", "audit.failed"), ("stopped", "audit.failed")]
)
def test_a_failure_and_a_gate_are_told(registered, clone, call, web, state, event):
    error = f"https://me:{SECRET}@store/x?sig={SECRET} is not there: </script>"
    call(ENDED, finding(state, error=error))
    _, _, hook = web[1].wait(lambda got: got[2].get("about", {}).get("state") == state)
    assert hook["event"] == event
    assert hook["about"]["error"] == "https://…@store/x?… is not there: </script>"
    assert SECRET not in json.dumps(hook)


def test_what_was_not_asked_for_is_not_told(registered, clone, call, web):
    call(ENDED, finding("same", branch="b"))
    call(ENDED, finding("failed", error="the one after"))
    web[1].wait(lambda got: got[2].get("about", {}).get("error") == "the one after")
    assert not [got for got in web[1] if got[2].get("about", {}).get("state") == "same"]


def test_a_person_can_try_it(registered, clone, server):
    found = subprocess.run(
        [sys.executable, "-m", "flows", "alert"],
        cwd=clone,
        env=server,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stderr.splitlines() == ["email: sent", "slack: sent", "webhook: sent"]
    assert found.returncode == 0


#: The same, in the process that has imported Prefect.
ALERT = """
import contextlib, io
from pathlib import Path
from flows.cli.alert import try_alerts
said = io.StringIO()
with contextlib.redirect_stderr(said):
    code = try_alerts(Path.cwd())
print(code)
print(said.getvalue())
"""


def alert(call):
    code, *lines = call(ALERT).splitlines()
    return int(code), [line for line in lines if line]


def test_the_addresses_are_shown_and_kept_nowhere_in_plain_text(registered, clone, call):
    assert registered["left"] == [], "audits would inherit the addresses"
    for secret in (SECRET, PASSWORD):
        assert secret not in registered["all"]
        assert secret not in registered["shown"]
        for file in clone.rglob("*"):
            if file.is_file():
                assert secret.encode() not in file.read_bytes(), file


#: Looks at the signs of life, at times that are given.
LOOK = """
import json, sys
from datetime import datetime
from pathlib import Path
from prefect.client.orchestration import get_client
from flows.serving.schedule import read_schedule
from flows.serving.watchdog import Memory, asking, look
root = Path.cwd()
schedule = read_schedule(root)
deployment = sys.argv[1]
for when in map(datetime.fromisoformat, sys.argv[2:]):
    with get_client(sync_client=True) as client:
        look(root, schedule, deployment, asking(client), Memory.read(root, when), when)
"""

#: Makes a deployment, with a run that began at the first time and one that waits at the second.
DEPLOY = """
import sys
from datetime import datetime
from prefect.client.orchestration import get_client
from prefect.states import Completed, Running, Scheduled
began, waits = map(datetime.fromisoformat, sys.argv[1:])
with get_client(sync_client=True) as client:
    flow = client.create_flow_from_name("re-audit")
    deployment = client.create_deployment(flow, name="audits")
    for due, go in ((began, True), (waits, False)):
        run = client.create_flow_run_from_deployment(
            deployment, state=Scheduled(scheduled_time=due)
        )
        if go:
            client.set_flow_run_state(run.id, Running(), force=True)
            client.set_flow_run_state(run.id, Completed(), force=True)
print(deployment)
"""


def test_an_audit_not_made_at_its_time_is_told_once(registered, clone, call, web):
    """Three times pass: one audit began, one waits for ever, and of one there is no trace."""
    tree = yaml.safe_load((clone / "deploy" / "serve.yaml").read_text())
    tree |= {"cron": "0 * * * *", "timezone": "UTC"}
    (clone / "deploy" / "serve.yaml").write_text(yaml.safe_dump(tree))
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    one, two, three = (hour + timedelta(hours=n) for n in (1, 2, 3))
    began = call(DEPLOY, one.isoformat(), two.isoformat()).strip()
    minute = timedelta(minutes=1)
    call(LOOK, began, str(hour + minute), str(one + 20 * minute))
    assert not [got for got in web[1] if got[2].get("event") == "schedule.missed"]
    # Within late_minutes of its time nothing is missed, and after it once.
    later = [two + 14 * minute, two + 16 * minute, two + 17 * minute]
    call(LOOK, began, *map(str, later))
    _, _, hook = web[1].wait(lambda got: got[2].get("event") == "schedule.missed")
    assert hook["about"]["due"] == two.isoformat()
    # Nobody served for two hours: one message for both.
    call(LOOK, began, str(three + 80 * minute))
    _, _, hook = web[1].wait(lambda got: "1 before it" in got[2].get("about", {}).get("due", ""))
    assert hook["about"]["due"].startswith((three + timedelta(hours=1)).isoformat())
    missed = [got for got in web[1] if got[2].get("event") == "schedule.missed"]
    assert len(missed) == 2


def test_a_worker_that_dies_is_told_once_and_one_that_is_ended_is_not(
    registered, clone, server, call, web
):
    processes = {}
    for name in ("killed", "ended"):
        with (clone.parent / f"{name}.log").open("wb") as log:
            processes[name] = subprocess.Popen(
                [sys.executable, "-c", WORK, name], cwd=clone, env=server, stderr=log
            )
    until = time.monotonic() + 90
    while set(call(WORKERS).split()) < set(processes) and time.monotonic() < until:
        time.sleep(0.5)
    if any(process.poll() is not None for process in processes.values()):
        pytest.fail("".join((clone.parent / f"{name}.log").read_text() for name in processes))
    processes["ended"].terminate()
    processes["ended"].wait(60)
    family = psutil.Process(processes["killed"].pid).children(recursive=True)
    for member in [*family, processes["killed"]]:
        member.kill()
    processes["killed"].wait(60)
    # The pool forgets who said goodbye.
    now = datetime.now(UTC)
    none = "00000000-0000-0000-0000-000000000000"
    minutes = [now + timedelta(minutes=n) for n in (4, 7, 8)]
    call(LOOK, none, *map(str, minutes))
    _, _, hook = web[1].wait(lambda got: got[2].get("event") == "worker.silent")
    assert "killed" in hook["about"]["title"]
    call(ENDED, finding("failed", error="after the worker"))
    web[1].wait(lambda got: got[2].get("about", {}).get("error") == "after the worker")
    assert len([got for got in web[1] if got[2].get("event") == "worker.silent"]) == 1


WORKERS = """
from prefect.client.orchestration import get_client
from flows.serving.watchdog import asking, workers
with get_client(sync_client=True) as client:
    print(*[worker["name"] for worker in workers(asking(client))])
"""

WORK = """
import sys
from pathlib import Path
from flows.ground.console import interruptible
from flows.workers.worker import serve_stages
name = sys.argv[1]
interruptible()
try:
    sys.exit(serve_stages(Path.cwd(), f"pool-{name}", name, 1, 0, 1.0))
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_it_is_told_when_nobody_serves_any_more(clone, call, web):
    """The server runs elsewhere and goes on; what served died."""
    tree = yaml.safe_load((clone / "deploy" / "serve.yaml").read_text())
    tree["alerts"]["silent_minutes"] = 0.1
    (clone / "deploy" / "serve.yaml").write_text(yaml.safe_dump(tree))
    call(REGISTER, "apart")
    call(
        "from pathlib import Path; from flows.serving.alerts import letter;"
        "from flows.serving.events import *;"
        "facts = {'who': 'what serves the audits'};"
        "emit(SERVING, 'clone', letter('silent', Path.cwd(), facts), 'serving')",
    )
    web[1].wait(lambda got: got[2].get("event") == "audits.served", seconds=60)


def test_a_receiver_that_is_away_is_named_and_fails_nothing(registered, clone, call):
    away = {
        "MY_SLACK": f"http://127.0.0.1:{free_port()}/services/{SECRET}",
        "MY_SMTP": f"smtp+plain://127.0.0.1:{free_port()}",
    }
    call(REGISTER, **away)
    code, lines = alert(call)
    assert code == 3
    email_line, slack, hook = lines
    assert hook == "webhook: sent"
    assert "email: Notification failed" in email_line
    assert "slack: Webhook call failed" in slack
    assert SECRET not in str(lines)
    assert call(ENDED, finding("failed", error="x")).strip() == "audit.failed"
    # The server itself may be away, too.
    without = f"""
from prefect.settings import PREFECT_API_URL, temporary_settings
with temporary_settings({{PREFECT_API_URL: "http://127.0.0.1:{free_port()}/api"}}):
    exec({ENDED!r})
"""
    assert call(without, finding("failed", error="x")).strip() == "audit.failed"


def test_what_is_no_longer_asked_for_is_removed(registered, clone, call):
    write(clone, slack="MY_SLACK")
    found = json.loads(call(REGISTER))
    assert found["names"] == ["saliency-audit: told by slack"]
    assert found["blocks"] == ["saliency-audit-slack"]
    write(clone)
    found = json.loads(call(REGISTER))
    assert (found["names"], found["blocks"]) == ([], [])
    assert alert(call)[0] == 2


#: A person's own block, made on the server's page.
OWN = """
from prefect.blocks.webhook import Webhook
import os
Webhook(url=os.environ["MY_WEBHOOK"]).save("our-channel")
"""


def test_the_address_may_stand_in_a_block_of_the_server(registered, clone, call, web):
    call(OWN)
    write(clone, webhook="block/our-channel")
    call(REGISTER)
    web[1].clear()
    assert alert(call) == (0, ["webhook: sent"])
    assert web[1].wait()[2]["event"] == "alert.tried"
    write(clone, webhook="block/other")
    call(REGISTER, error="has no block webhook/other")
