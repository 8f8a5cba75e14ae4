"""Events reach a back end over HTTP, and one that hangs or refuses costs a run next to nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from flows.execution.graph import Node
from flows.execution.stage import Outcome
from flows.lineage.openlineage_events import Code, Events, address, redacted
from flows.lineage.openlineage_sending import Sender, events_file, kept_file

RUN = "20260101T000000Z"
SECRET = "a-key-nobody-should-see"


STAGES = {
    "first": {"cmd": "mkdir -p a && cp raw a/one", "deps": ["raw"], "outs": ["a"]},
    "second": {"cmd": "cp a/one b", "deps": ["a"], "outs": ["b"]},
}
GRAPH = {
    name: Node(name, frozenset(), ("new",), 0, {}, "", tuple(stage["deps"]), tuple(stage["outs"]))
    for name, stage in STAGES.items()
}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A DVC repository of two stages that have run."""
    path = tmp_path_factory.mktemp("audited")
    (path / "raw").write_text("raw")
    (path / "dvc.yaml").write_text(json.dumps({"stages": STAGES}))
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        subprocess.run(command, cwd=path, check=True, env={**os.environ, "DVC_NO_ANALYTICS": "1"})
    return path


@pytest.fixture
def checkout(audited, tmp_path, monkeypatch):
    """A copy of it, with nothing set up of OpenLineage."""
    for name in [n for n in os.environ if n.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    path = tmp_path / "checkout"
    shutil.copytree(audited, path)
    monkeypatch.chdir(path)
    yield path
    # The client puts what it reads of its address into the environment again.
    for name in [n for n in os.environ if n.startswith("OPENLINEAGE__")]:
        os.environ.pop(name)


class Backend(BaseHTTPRequestHandler):
    """Takes events, or keeps the sender waiting, or refuses."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Authorization"], json.loads(body)))
        if self.server.mode == "hang":
            self.server.released.wait(30)
        self.send_response(403 if self.server.mode == "refuse" else 201)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def backend(mode):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    server.mode, server.seen, server.released = mode, [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()


def watched(root, patience=3.0, second=("ran", "")):
    """Tell of a run of two stages; gives what was warned of."""
    warnings: list[str] = []
    sender = Sender(root, warnings.append, patience)
    folder = root / ".saliency" / "logs" / RUN
    state, error = second
    with Events(root, GRAPH, sender) as events:
        events.started("first", folder)
        events.finished(Outcome("first", "cached", 1.0, folder / "first.log"))
        events.started("second", folder)
        events.finished(Outcome("second", state, 2.0, folder / "second.log", error))
    return warnings


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def said(events):
    return [(event["job"]["name"], event["eventType"]) for event in events]


ALL = [
    ("audit", "START"),
    ("first", "START"),
    ("first", "COMPLETE"),
    ("second", "START"),
    ("second", "COMPLETE"),
    ("audit", "COMPLETE"),
]


def test_a_file_takes_all_events_where_nothing_is_set_up(checkout):
    assert watched(checkout) == []
    assert said(lines(events_file(checkout, RUN))) == ALL
    assert not kept_file(checkout, RUN).exists()


@pytest.mark.parametrize("how", ["url", "environment", "file"])
def test_http_is_set_up_as_openlineage_says(checkout, monkeypatch, tmp_path, how):
    with backend("take") as (server, url):
        if how == "url":
            monkeypatch.setenv("OPENLINEAGE_URL", url)
            monkeypatch.setenv("OPENLINEAGE_API_KEY", SECRET)
        elif how == "environment":
            monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "http")
            monkeypatch.setenv("OPENLINEAGE__TRANSPORT__URL", url)
        else:
            config = tmp_path / "lineage.yml"
            config.write_text(f"transport:\n  type: http\n  url: {url}\n")
            monkeypatch.setenv("OPENLINEAGE_CONFIG", str(config))
        assert watched(checkout) == []
    assert said(event for _, _, event in server.seen) == ALL
    assert {path for path, _, _ in server.seen} == {"/api/v1/lineage"}
    if how == "url":
        assert {key for _, key, _ in server.seen} == {f"Bearer {SECRET}"}
    assert not events_file(checkout, RUN).exists()
    assert SECRET not in json.dumps([event for _, _, event in server.seen])


def test_a_back_end_that_refuses_is_said_once_and_nothing_is_lost(checkout, monkeypatch):
    with backend("refuse") as (server, url):
        monkeypatch.setenv("OPENLINEAGE_URL", url)
        (warning,) = watched(checkout)
    assert len(server.seen) == 1, "after the first one no other is tried"
    assert said(lines(kept_file(checkout, RUN))) == ALL
    assert str(kept_file(checkout, RUN)) in warning


def test_nobody_there_is_said_once_and_nothing_is_lost(checkout, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_URL", f"http://me:{SECRET}@127.0.0.1:9")
    (warning,) = watched(checkout, patience=30.0)
    assert said(lines(kept_file(checkout, RUN))) == ALL
    assert SECRET not in warning


def test_a_back_end_that_hangs_is_left_and_nothing_is_lost(checkout, monkeypatch):
    with backend("hang") as (server, url):
        monkeypatch.setenv("OPENLINEAGE_URL", url)
        (warning,) = watched(checkout, patience=0.5)
        assert not server.released.is_set(), "it was not waited for"
    assert said(lines(kept_file(checkout, RUN))) == ALL
    assert "does not answer" in warning


def test_a_wrong_configuration_stops_nothing(checkout, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "pigeon")
    (warning,) = watched(checkout)
    assert "configuration" in warning
    assert said(lines(events_file(checkout, RUN))) == ALL


def test_it_can_be_switched_off(checkout, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    assert watched(checkout) == []
    assert not list((checkout / ".saliency" / "lineage").glob("*"))


def test_an_error_is_told_without_what_is_secret(checkout, monkeypatch):
    monkeypatch.setenv("STORE_SECRET_KEY", SECRET)
    error = f"no answer from https://me:word@host/x with {SECRET}"
    watched(checkout, second=("failed", error))
    events = lines(events_file(checkout, RUN))
    assert said(events)[-2:] == [("second", "FAIL"), ("audit", "FAIL")]
    message = events[-2]["run"]["facets"]["errorMessage"]["message"]
    assert message == "no answer from https://…@host/x with …"
    assert "word" not in json.dumps(events)


def test_an_interrupt_ends_what_is_open(checkout):
    folder = checkout / ".saliency" / "logs" / RUN
    sender = Sender(checkout, pytest.fail)
    with (
        pytest.raises(KeyboardInterrupt),
        Events(checkout, GRAPH, sender) as events,
    ):
        events.started("first", folder)
        raise KeyboardInterrupt
    found = lines(events_file(checkout, RUN))
    assert said(found)[-2:] == [("first", "ABORT"), ("audit", "ABORT")]


def test_an_unchanged_stage_wrote_nothing(checkout):
    watched(checkout, second=("unchanged", ""))
    ended = lines(events_file(checkout, RUN))[-2]
    assert said([ended]) == [("second", "COMPLETE")]
    assert ended["outputs"] == []
    assert [data["name"] for data in ended["inputs"]] == ["a"]


def test_names_are_those_of_stages_and_files_and_versions_those_of_dvc(checkout):
    watched(checkout)
    first, second = [
        e for e in lines(events_file(checkout, RUN))
        if e["eventType"] == "COMPLETE" and e["job"]["name"] != "audit"
    ]  # fmt: skip
    lock = yaml.safe_load((checkout / "dvc.lock").read_text())["stages"]
    (wrote,) = first["outputs"]
    (read,) = second["inputs"]
    assert wrote["name"] == read["name"] == "a"
    assert wrote["facets"]["version"]["datasetVersion"] == lock["first"]["outs"][0]["md5"]
    assert read["facets"]["version"] == wrote["facets"]["version"]
    assert wrote["outputFacets"]["outputStatistics"]["fileCount"] == 1


def test_a_stage_of_a_worker_names_it(checkout):
    folder = checkout / ".saliency" / "logs" / RUN
    with Events(checkout, GRAPH, Sender(checkout, pytest.fail)) as events:
        events.started("first", folder)
        events.finished(Outcome("first", "ran", 1.0, folder / "first.log", where="gpu-2"))
    ended = lines(events_file(checkout, RUN))[2]
    assert ended["run"]["facets"]["saliencyAudit_stage"]["worker"] == "gpu-2"


def test_a_repository_without_a_commit_or_origin_has_no_place(checkout):
    assert Code.of(checkout) == Code(None, None, None)


@pytest.mark.parametrize(
    ("remote", "uri"),
    [
        ("https://me:word@example.org:8443/a.git", "https://example.org:8443/a.git"),
        ("ssh://git@example.org/lab/a.git", "ssh://example.org/lab/a.git"),
        ("git@example.org:lab/a.git", "ssh://example.org/lab/a.git"),
        ("/srv/git/a.git", "file:///srv/git/a.git"),
    ],
)
def test_the_address_of_a_repository_is_a_uri_without_a_name(remote, uri):
    assert address(remote) == uri


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("s3://key:word@bucket/x", "s3://…@bucket/x"),
        ("a mail to me@host", "a mail to me@host"),
        ("https://host/a@b", "https://host/a@b"),
    ],
)
def test_only_credentials_are_taken_out(text, left):
    assert redacted(text) == left
