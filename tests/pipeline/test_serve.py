"""`saliency-audit serve`: one clone, served for real from its start until it is ended.

The tests follow one story, in order: start, new weights, weights that come during an audit, a
reference that leaves the sources, the end.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest
import yaml

from flows.history.past_audits import past_audits
from flows.history.releases import sha256_of

pytestmark = [pytest.mark.server, pytest.mark.cold]
AUDIT = "skin-given"
#: Seconds that an audit may take on a busy machine.
PATIENCE = 300
#: What is audited by, besides the stage of the code: slow enough for something to happen meanwhile.
#: What the real graph gives in a worktree is tried elsewhere.
STAGE = {
    "cmd": "python judge.py",
    "deps": ["judge.py", "classifiers/given"],
    "metrics": [{"reports/phantom_skin/metrics.json": {"cache": False}}],
}
JUDGE = """
import hashlib, json, pathlib, time
time.sleep(8)
weights = pathlib.Path("classifiers/given/weights.safetensors").read_bytes()
path = pathlib.Path("reports/phantom_skin/metrics.json")
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps({"skin-given": {"weights": hashlib.md5(weights).hexdigest()}}))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(found, seconds=PATIENCE):
    """Wait until a function gives something, and give that."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if result := found():
            return result
        time.sleep(0.3)
    pytest.fail(f"{found} gave nothing within {seconds} s")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of weights as a training pipeline leaves them, v0 to v3."""
    from saliency_audit.models.architectures import build
    from saliency_audit.models.weights import save_weights

    folder = tmp_path_factory.mktemp("models")
    for number in range(4):
        network = build("cnn", 2, (32, 32), seed=number)
        save_weights(folder / f"v{number}.safetensors", network.state_dict())
    return folder


@pytest.fixture(scope="module")
def told():
    """A receiver of alerts; gives its address and what it got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{receiver.server_address[1]}/hook", got
        receiver.shutdown()


@pytest.fixture(scope="module")
def clone(checkout, models, root):
    """A clone with a classifier that was adopted; all is committed."""
    from saliency_audit.datasets.phantom_skin import LABELS

    folder = checkout.path / "classifiers" / "given"
    folder.mkdir()
    adopt = {"weights": "weights.safetensors", "labels": list(LABELS)}
    (folder / "model.yaml").write_text(yaml.safe_dump({"architecture": "cnn", "adopt": adopt}))
    weights = folder / "weights.safetensors"
    weights.write_bytes((models / "v0.safetensors").read_bytes())
    tree = checkout.params()
    tree["audits"] = {AUDIT: {"dataset": "phantom_skin", "classifier": "given", "images": 4}}
    checkout.write_params(tree)
    code = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["code"]
    graph = {"stages": {"code": code, "judge": STAGE}}
    (checkout.path / "dvc.yaml").write_text(yaml.safe_dump(graph))
    (checkout.path / "judge.py").write_text(JUDGE)
    checkout.call("dvc", "add", "-q", str(weights))
    checkout.call("cp", "-r", str(root / "deploy"), ".")
    served = {
        "revision": "main",
        "models": [str(models)],
        "cron": "0 3 1 1 *",
        "alerts": {"webhook": "MY_HOOK", "about": ["changed", "same", "failed"]},
    }
    (checkout.path / "deploy" / "serve.yaml").write_text(yaml.safe_dump(served))
    checkout.call("git", "branch", "-m", "main")
    checkout.call("git", "add", "-A")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    checkout.call("git", *identity, "commit", "-q", "-m", "base")
    return checkout


class Served:
    """What serves, and where."""

    def __init__(self, clone, port, told):
        hook, self.told = told
        self.clone, self.port = clone, port
        self.log = clone.path.parent / "serve.log"
        environment = {**os.environ, "MY_HOOK": hook, "CI": "1"}
        environment.pop("PREFECT_API_URL", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flows", "serve", "--port", str(port)],
            cwd=clone.path,
            env=environment,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )

    def audits(self):
        """Give the digests of the weights that were audited, the newest first."""
        return [audit.classifiers["given"] for audit in past_audits(self.clone.path)]

    def ask(self, path, secret, what=None):
        """Ask the server as a stranger or as its owner; gives the status and the answer."""
        request = Request(
            f"http://127.0.0.1:{self.port}/api{path}",
            data=json.dumps(what or {}).encode(),
            headers={"Content-Type": "application/json"},
        )
        if secret:
            token = b64encode(secret.encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            return error.code, None

    def idle(self, secret):
        """Say whether no run is in progress or waits for its turn now."""
        chosen = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
        due = {
            "flow_runs": {
                "state": {"type": {"any_": ["SCHEDULED"]}},
                "next_scheduled_start_time": {"before_": "2100-01-01T00:00:00Z"},
                "tags": {"all_": ["saliency-audit"]},
            }
        }
        waiting = [
            r for r in self.ask("/flow_runs/filter", secret, due)[1] if not r["auto_scheduled"]
        ]
        return not waiting and not self.ask("/flow_runs/filter", secret, chosen)[1]


@pytest.fixture(scope="module")
def served(clone, told):
    """The clone, served; what it started is ended, whatever happens."""
    found = Served(clone, free_port(), told)
    yield found
    for member in [*descendants(found.process), found.process]:
        if member.poll() is None if member is found.process else member.is_running():
            member.kill()


def descendants(process):
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="module")
def secret(clone, served):
    """The password, once the first audit is made."""
    wait_for(lambda: served.process.poll() is not None or served.told)
    assert served.process.poll() is None, served.log.read_text()
    assert served.told[0]["about"]["state"] == "changed", served.told[0]
    return (clone.path / ".saliency" / "server.secret").read_text()


def test_it_audits_what_it_serves_at_its_start(served, secret, clone, told):
    assert len(served.audits()) == 1
    wait_for(lambda: told[1])
    about = told[1][0]["about"]
    assert (about["state"], about["reason"]) == ("changed", "start")
    assert about["branch"] == past_audits(clone.path)[0].branch


def test_it_asks_for_a_password_that_only_its_owner_may_read(served, secret, clone):
    assert served.ask("/flows/filter", None) == (401, None)
    assert served.ask("/flows/filter", "audit:wrong") == (401, None)
    assert served.ask("/flows/filter", secret)[0] == 200
    file = clone.path / ".saliency" / "server.secret"
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_password_and_the_hook_stand_in_no_log_and_no_commit(served, secret, clone, told):
    password = secret.partition(":")[2]
    texts = [served.log.read_text(), clone.call("git", "log", "-p", "--all").stdout]
    texts += [f.read_text() for f in (clone.path / ".saliency" / "logs").rglob("*") if f.is_file()]
    for text in texts:
        assert password not in text
        assert told[0] not in text


def test_it_listens_on_this_machine_alone(served, secret):
    listening = [
        connection.laddr
        for member in [psutil.Process(served.process.pid), *descendants(served.process)]
        for connection in member.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert ("127.0.0.1", served.port) in listening
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_what_comes_by_the_clock_is_registered(served, secret, clone):
    found = json.loads(clone.audit("status", "--json").stdout)
    assert found["server"] == f"http://127.0.0.1:{served.port}/api"
    yearly = [run["name"] for run in found["next"] if "-01-01T03:00:00" in run["at"]]
    assert yearly and set(yearly) == {"re-audit, schedule"}
    assert found["alerts"] == "by webhook, of changed, same, failed"
    assert found["last_audits"]["given"]["branch"] == past_audits(clone.path)[0].branch


@pytest.fixture(scope="module")
def both(served, secret, clone, models):
    """New weights, announced twice, and newer ones while those are audited."""
    folder = clone.path / ".saliency" / "worktrees"
    before = len(list(folder.iterdir()))
    for _ in range(2):
        clone.audit("retrained", "given", str(models / "v1.safetensors"), "--no-update")
    wait_for(lambda: len(list(folder.iterdir())) > before)
    assert sha256_of(models / "v1.safetensors") not in served.audits(), "v1 was too quick"
    clone.audit("retrained", "given", str(models / "v2.safetensors"), "--no-update")
    wait_for(lambda: sha256_of(models / "v2.safetensors") in served.audits())
    wait_for(lambda: served.idle(secret))
    return served.audits()


def test_new_weights_are_audited_once_and_newer_ones_after_them(both, models):
    newest, middle, _first = both
    assert newest == sha256_of(models / "v2.safetensors")
    assert middle == sha256_of(models / "v1.safetensors")


def test_what_is_known_is_not_audited_again(both, served, secret, clone, models):
    clone.audit("retrained", "given", str(models / "v2.safetensors"), "--no-update")
    wait_for(lambda: runs_of(served, secret, "classifier.retrained", 4))
    wait_for(lambda: served.idle(secret))
    assert served.audits() == both


def runs_of(served, secret, reason, number):
    _, runs = served.ask("/flow_runs/filter", secret, {"limit": 100})
    return sum(run["parameters"].get("reason") == reason for run in runs) >= number


def test_a_reference_that_leaves_the_sources_is_refused_and_leaves_nothing(
    both, served, secret, clone, told
):
    """Whoever may send events may send any; `retrained` itself would refuse it before."""
    releases = clone.path / ".saliency" / "releases.json"
    kept = releases.read_text()
    event = {
        "id": "11111111-1111-4111-8111-111111111111",
        "occurred": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "event": "classifier.retrained",
        "resource": {"prefect.resource.id": "saliency-audit.classifier.given"},
        "payload": {
            "classifier": "given",
            "reference": "/etc/hostname",
            "digest": sha256_of_file("/etc/hostname"),
        },
    }
    number = len(told[1])
    status, _ = served.ask("/events", None, [event])
    assert status == 401
    assert post(served, secret, [event]) == 204
    wait_for(lambda: len(told[1]) > number)
    wait_for(lambda: served.idle(secret))
    assert "none of the sources" in told[1][-1]["about"]["error"]
    assert served.audits() == both
    assert releases.read_text() == kept


def sha256_of_file(path):
    from pathlib import Path

    return sha256_of(Path(path))


def post(served, secret, events):
    request = Request(
        f"http://127.0.0.1:{served.port}/api/events",
        data=json.dumps(events).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Basic {b64encode(secret.encode()).decode()}",
        },
    )
    with urlopen(request, timeout=30) as answer:
        return answer.status


def test_the_clone_stays_as_it_is(both, clone):
    assert clone.call("git", "status", "--porcelain").stdout == ""
    assert clone.call("git", "branch", "--show-current").stdout.strip() == "main"
    assert clone.call("git", "log", "--oneline", "main").stdout.count("\n") == 1


def test_its_end_ends_all_that_it_started(secret, served, clone, models):
    folder = clone.path / ".saliency" / "worktrees"
    before = len(list(folder.iterdir()))
    clone.audit("retrained", "given", str(models / "v3.safetensors"), "--no-update")
    wait_for(lambda: len(list(folder.iterdir())) > before)
    wait_for(lambda: any("judge.py" in command for command in commands(served)))
    family = descendants(served.process)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(60) == 130
    wait_for(lambda: not [m for m in family if m.is_running()], 30)
    left = [p.info["cmdline"] for p in psutil.process_iter(["cwd", "cmdline"]) if inside(p, clone)]
    assert left == []
    assert not (clone.path / ".saliency" / "server.json").exists()


def commands(served):
    for member in descendants(served.process):
        try:
            yield " ".join(member.cmdline())
        except psutil.Error:
            continue


def inside(process, clone):
    return (process.info["cwd"] or "").startswith(str(clone.path))
