"""Several machines: workers in clones and network namespaces of their own, a real PostgreSQL.

The result is that of one machine, also where one of them dies half-way.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import yaml

pytestmark = pytest.mark.cold
AUDIT = "phantom_skin-tiny"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
QUIET = {
    "PATH": PATH,
    "CI": "1",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "SALIENCY_WORKER_SILENCE": "15",
}
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")
#: Stages that go to the pool.
SENT = ("train_classifier", "train_segmenter", "predict", "explain")
#: A stage that says what it was given.
RECORD = """
import json, os, sys, time
started = time.time()
time.sleep(3)
keys = ("CUDA_VISIBLE_DEVICES", "SALIENCY_SLOT", "SALIENCY_WORKER")
seen = {key: os.environ.get(key) for key in keys}
json.dump({**seen, "span": [started, time.time()]}, open(sys.argv[1] + ".json", "w"))
"""


def _as_postgres(*command):
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else list(command)


def call(command, folder):
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A PostgreSQL of its own; gives the address of a database in it."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = shutil.which("initdb") or (str(programs[-1] / "initdb") if programs else None)
    if found is None:
        if os.environ.get("SALIENCY_REQUIRE_POSTGRESQL"):
            pytest.fail("no PostgreSQL: apt-get install postgresql")
        pytest.skip("no PostgreSQL")
    programs = Path(os.path.realpath(found)).parent
    with ExitStack() as ends:
        folder = Path(f"/tmp/saliency-postgresql-{os.getpid()}")
        folder.mkdir()
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        port = free_port()
        data = folder / "data"
        call(_as_postgres(programs / "initdb", "-A", "trust", "-D", data), folder)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = _as_postgres(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log")
        call([*control, "-o", options, "start"], folder)
        ends.callback(call, [*control, "-m", "immediate", "stop"], folder)
        call(_as_postgres(programs / "createdb", "-h", folder, "-p", str(port), "prefect"), folder)
        user = "postgres" if os.geteuid() == 0 else os.environ.get("USER", "root")
        yield f"postgresql+asyncpg://{user}@127.0.0.1:{port}/prefect"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def network():
    """Two network namespaces, joined to this one by a bridge, where the machine allows it.

    Gives this machine's address, and what to put before a command to run it on each host.
    """
    hosts = [f"saliency{os.getpid()}w{n}" for n in (1, 2)]
    bridge = f"sal{os.getpid() % 100000}"
    net = f"10.203.{os.getpid() % 250}"  # a run that was killed may have left another
    commands = [["ip", "link", "add", bridge, "type", "bridge"]]
    commands += [["ip", "addr", "add", f"{net}.1/24", "dev", bridge]]
    commands += [["ip", "link", "set", bridge, "up"]]
    for number, host in enumerate(hosts):
        ours, theirs = f"{bridge}a{number}"[:15], f"{bridge}b{number}"[:15]
        inside = ["ip", "-n", host]
        commands += [
            ["ip", "netns", "add", host],
            ["ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", host],
            ["ip", "link", "set", ours, "master", bridge, "up"],
            [*inside, "addr", "add", f"{net}.{10 + number}/24", "dev", theirs],
            [*inside, "link", "set", theirs, "up"],
            [*inside, "link", "set", "lo", "up"],
        ]
    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True)
        yield f"{net}.1", [["ip", "netns", "exec", host] for host in hosts]
    except (subprocess.CalledProcessError, FileNotFoundError):
        # No rights, or no iproute2: hosts of one network, then.
        yield "127.0.0.1", [[], []]
    finally:
        if shutil.which("ip"):
            for host in hosts:
                subprocess.run(["ip", "netns", "del", host], capture_output=True, check=False)
            subprocess.run(["ip", "link", "del", bridge], capture_output=True, check=False)


@pytest.fixture(scope="module")
def server(database, network, tmp_path_factory, root):
    """A Prefect server on PostgreSQL, with a password; gives the environment that reaches it."""
    home = tmp_path_factory.mktemp("prefect")
    address, port = network[0], str(free_port())
    environment = {
        **os.environ,
        **QUIET,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "ui"),
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_API_AUTH_STRING": "audit:secret",
        "PREFECT_API_AUTH_STRING": "audit:secret",
    }
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.ground.server", "--host", address, "--port", port],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=log,
        )
    url = f"http://{address}:{port}/api"
    from flows.ground.server import answers

    until = time.monotonic() + 120
    while not answers(url):
        assert process.poll() is None, (home / "log").read_text()
        assert time.monotonic() < until, (home / "log").read_text()
        time.sleep(0.3)
    environment.pop("PREFECT_API_DATABASE_CONNECTION_URL")
    yield {**environment, "PREFECT_API_URL": url}
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def main(warm_checkout, tmp_path_factory):
    """The clone of the coordinator, committed, with a DVC remote.

    Stages that go to no pool are in its run-cache already; those that do, nobody has run.
    """
    checkout = warm_checkout()
    forget(checkout, SENT)
    path = checkout.path / "dvc.yaml"
    tree = yaml.safe_load(path.read_text())
    for name in SENT:
        stage = tree["stages"][name]
        stage.get("do", stage)["meta"]["pool"] = "gpu"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    store = tmp_path_factory.mktemp("store")
    checkout.call("dvc", "remote", "add", "-q", "--default", "store", str(store))
    commit(checkout, "base")
    return checkout


def forget(checkout, stages):
    """Take what some stages have given out of the run-cache."""
    for path in (checkout.path / ".dvc" / "cache" / "runs").glob("*/*/*"):
        if yaml.safe_load(path.read_text())["cmd"].split()[2].removeprefix("tasks.") in stages:
            path.unlink()
            path.parent.rmdir()


def commit(checkout, message):
    checkout.call("git", "add", "-A")
    checkout.call("git", *IDENTITY, "commit", "-q", "--allow-empty", "-m", message)


@pytest.fixture(scope="module")
def workers(main, server, network, tmp_path_factory):
    """Two workers, each in a clone and on a host of its own."""
    folder = tmp_path_factory.mktemp("workers")
    with ExitStack() as ends:
        yield [
            ends.enter_context(worker(main, server, folder, f"w{number}", prefix))
            for number, prefix in enumerate(network[1], start=1)
        ]


@contextmanager
def worker(main, server, folder, name, prefix):
    clone = folder / name
    main.call("git", "clone", "-q", str(main.path), str(clone))
    arguments = ["worker", "--pool", "gpu", "--name", name, "--slots", "2"]
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "flows", *arguments],
        cwd=clone,
        env={**server, "SALIENCY_GPUS": f"{name}-only"},
        stdout=(folder / f"{name}.log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    yield psutil.Process(process.pid)
    if process.poll() is None:
        process.terminate()
        process.wait(60)


def audit(main, server):
    """Run the audit; gives its exit code and what it says for a program."""
    found = subprocess.run(
        [sys.executable, "-m", "flows", "run", "--json"],
        cwd=main.path,
        env=server,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert found.stdout, found.stderr
    return found, json.loads(found.stdout)


@pytest.fixture(scope="module")
def audited(main, server, workers):
    found, told = audit(main, server)
    assert found.returncode == 0, found.stderr
    return told


def test_stages_run_where_their_meta_says(audited):
    for name, stage in audited["stages"].items():
        if name.split("@")[0] in SENT:
            assert (stage["where"] in ("w1", "w2"), stage["state"]) == (True, "ran")
        else:
            assert stage["where"] is None
            assert stage["state"] in ("ran", "cached")


def test_the_result_is_that_of_one_machine(audited, main, reproduced):
    assert main.lock() == reproduced.lock()
    assert main.call("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert "up to date" in main.audit("run").stderr


def test_stages_that_start_together_all_get_their_commit(new_checkout, tmp_path):
    """Each fetches what its clone lacks; git itself refuses fetches of one branch side by side."""
    from flows.workers.worker import _checkout

    main = new_checkout()
    commit(main, "base")
    main.call("git", "clone", "-q", str(main.path), str(tmp_path / "clone"))
    for number in range(3):
        commit(main, f"newer {number}")
        newest = main.call("git", "rev-parse", "HEAD").stdout.strip()
        with ThreadPoolExecutor(8) as threads:
            started = [threads.submit(_checkout, tmp_path / "clone", newest) for _ in range(8)]
        (path,) = {one.result().path for one in started}
        head = main.call("git", "-C", str(path), "rev-parse", "HEAD").stdout.strip()
        assert head == newest


def test_what_is_not_committed_is_refused_by_name(audited, main, server):
    (main.path / "tasks" / "new.py").write_text("x = 1\n")
    (main.path / "data" / "explain" / AUDIT / "rise.parquet").unlink()
    found = subprocess.run(
        [sys.executable, "-m", "flows", "run", "--jobs", "1"],
        cwd=main.path,
        env=server,
        capture_output=True,
        text=True,
        check=False,
    )
    (main.path / "tasks" / "new.py").unlink()
    main.call("dvc", "checkout", "-q")
    assert found.returncode == 3
    assert "?? tasks/new.py" in found.stderr


@pytest.mark.parametrize(
    "stage",
    [
        {"outs": ["record_a.json"]},
        {"deps": ["params.yaml"]},
        {"deps": ["params.yaml"], "outs": ["record_a.json"], "always_changed": True},
        {"deps": ["params.yaml"], "outs": [{"record_a.json": {"persist": True}}]},
    ],
    ids=["without deps", "without outs", "always changed", "persist"],
)
def test_a_stage_whose_result_could_not_come_back_is_refused(audited, main, server, stage):
    path = main.path / "dvc.yaml"
    before = path.read_text()
    tree = yaml.safe_load(before)
    tree["stages"]["record_a"] = {"cmd": "echo 1 > record_a.json", "meta": {"pool": "gpu"}, **stage}
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    found = main.audit("run", check=False)
    path.write_text(before)
    assert found.returncode == 2
    assert "stage record_a: meta.pool" in found.stderr
    assert not (main.path / "record_a.json").exists()


def test_a_worker_that_dies_half_way_is_replaced(audited, main, server, workers, warm_checkout):
    """Its whole machine goes at once: the worker, what it started, and what that did."""
    tree = main.params()
    tree["method"]["rise"]["samples"] = 20_000
    main.write_params(tree)
    commit(main, "more samples")
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "run", "--json"],
        cwd=main.path,
        env=server,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    victim = None
    until = time.monotonic() + 120
    while victim is None and time.monotonic() < until:
        victim = next((w for w in workers if _runs(w, f"tasks.explain {AUDIT} rise")), None)
        time.sleep(0.2)
    assert victim is not None, "no worker ran the stage"
    family = [victim, *victim.children(recursive=True)]
    for member in family:
        member.send_signal(signal.SIGKILL)
    said, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    told = json.loads(said)
    left = "w2" if victim == workers[0] else "w1"
    assert told["stages"][f"explain@{AUDIT}-rise"]["where"] == left
    alone = warm_checkout()
    alone.write_params(tree)
    alone.repro(f"explain@{AUDIT}-rise")
    stage = f"explain@{AUDIT}-rise"
    assert main.lock()[stage]["outs"] == alone.lock()[stage]["outs"]


def _runs(process, command):
    for child in process.children(recursive=True):
        try:
            if command in " ".join(child.cmdline()):
                return True
        except psutil.Error:
            continue
    return False


#: Sends three stages at once, each of which needs a GPU.
SEND = """
import json, sys
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from flows.ground.environment import prepare
root = Path.cwd()
prepare(root)
from flows.execution.placement import Need
from flows.workers.pools import pools_of
from flows.execution.stage import Listener, Runner, Running
from flows.ground.hold import hold
with hold(root / ".saliency" / "send.lock") as held:
    runner = Runner(root, root / ".saliency" / "logs" / "send", Running(), held)
    pools = pools_of(root)
    send = lambda name: pools.send(
        name, frozenset(), Need(gpus=1, mutex="m", pool="gpu"), runner, Listener()
    )
    with ThreadPoolExecutor(3) as threads:
        for outcome in threads.map(send, sys.argv[1:]):
            print(outcome.state, outcome.where, outcome.error)
"""


def test_a_stage_gets_a_gpu_of_its_worker_and_no_mutex_is_held_twice(audited, main, server):
    names = ("record_a", "record_b", "record_c")
    path = main.path / "dvc.yaml"
    tree = yaml.safe_load(path.read_text())
    for name in names:
        tree["stages"][name] = {
            "cmd": f"python record.py {name}",
            "deps": ["record.py"],
            "outs": [f"{name}.json"],
        }
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    (main.path / "record.py").write_text(RECORD)
    with (main.path / ".gitignore").open("a") as ignored:
        ignored.write("/record_*.json\n")
    commit(main, "stages that say what they were given")
    found = subprocess.run(
        [sys.executable, "-c", SEND, *names],
        cwd=main.path,
        env=server,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    outcomes = [line.split() for line in found.stdout.splitlines()]
    assert [state for state, *_ in outcomes] == ["ran"] * 3, found.stdout
    seen = [json.loads((main.path / f"{name}.json").read_text()) for name in names]
    for (_, where), record in zip(outcomes, seen, strict=True):
        assert record["SALIENCY_WORKER"] == where
        assert record["CUDA_VISIBLE_DEVICES"] == f"{where}-only"
    spans = sorted(record["span"] for record in seen)
    for (_, end), (start, _) in pairwise(spans):
        assert end <= start, "two stages held one mutex"
