"""What the flow costs over its stages: side by side, per stage, and with nothing to do.

Run from the root on a quiet machine: ``python benchmarks/orchestration.py``, with ``default``,
``stages`` or ``workers`` for one part of it. Prints each figure beside what it is held against,
measured in the same run, and writes ``benchmarks/orchestration.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "orchestration.json"
CODE = ("flows", "tasks", "saliency_audit", "classifiers", "params.yaml", ".dvcignore")
#: Stages whose overhead is measured, stages up to date, and stages sent to workers.
FEW, MANY, SENT = 40, 500, 8
#: Seconds that a stage on a worker pretends to compute on its GPU.
GPU_SECONDS = 15
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "DVC_NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "1",
    "CI": "1",
}
IDENTITY = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")


def call(folder: Path, *command: str, **environment: str) -> tuple[float, str]:
    """Run a command; gives its wall seconds and standard output; ends the benchmark if it fails."""
    started = time.perf_counter()
    found = subprocess.run(
        command,
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        sys.exit(f"{' '.join(command)} gave {found.returncode}:\n{found.stdout}{found.stderr}")
    return time.perf_counter() - started, found.stdout


def audit(folder: Path, **environment: str) -> tuple[float, dict[str, Any]]:
    """Run the flow; gives its wall seconds and what it says for a program."""
    seconds, said = call(folder, sys.executable, "-m", "flows", "run", "--json", **environment)
    return seconds, json.loads(said)


def clone(folder: Path, name: str) -> Path:
    """Make a clone of HEAD that has run nothing."""
    path = folder / name
    call(folder, "git", "clone", "--quiet", str(ROOT), str(path))
    call(path, "dvc", "config", "--local", "core.analytics", "false")
    return path


def default() -> dict[str, Any]:
    """Give the default audit's wall time beside its floor and beside plain ``dvc repro``.

    The floor is the longer of the graph's longest chain and half of all processor time, of stages
    that ran alone, one by one, without DVC.
    """
    from flows.execution.graph import read_graph

    with tempfile.TemporaryDirectory() as scratch:
        alone, plain, ours = (clone(Path(scratch), name) for name in ("alone", "plain", "ours"))
        os.chdir(alone)
        graph = read_graph(alone)
        commands = _commands(alone)
        wall: dict[str, float] = {}
        processor: dict[str, float] = {}
        for name in graph:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            wall[name], _ = call(alone, *commands[name].split())
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            processor[name] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        chain: dict[str, float] = {}
        for name, node in graph.items():
            chain[name] = wall[name] + max((chain[need] for need in node.needs), default=0.0)
        floor = max(*chain.values(), sum(processor.values()) / 2)
        repro, _ = call(plain, "dvc", "repro", "--quiet")
        flow, _ = audit(ours)
        nothing, _ = audit(ours)
        os.chdir(ROOT)
    return {
        "stages": len(graph),
        "longest_chain_s": max(chain.values()),
        "half_of_processor_s": sum(processor.values()) / 2,
        "bound_s": 1.2 * floor + 10,
        "flow_s": flow,
        "dvc_repro_s": repro,
        "flow_over_bound": flow / (1.2 * floor + 10),
        "flow_over_dvc_repro": flow / repro,
        "no_op_s": nothing,
        "no_op_bound_s": 5.0,
    }


def _commands(folder: Path) -> dict[str, str]:
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        return {stage.addressing: str(stage.cmd) for stage in repo.index.stages}


def synthetic(path: Path, names: list[str], cmd: str, meta: Mapping[str, Any]) -> Path:
    """Make a checkout of stage ``code`` and stages that do next to nothing."""
    for name in CODE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, path / name)
    (path / "data").mkdir()
    (path / ".gitignore").write_text("/data/*\n/.saliency/\n/out/\n__pycache__/\n")
    (path / "out").mkdir()
    (path / "out" / ".keep").write_text("")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    more = {
        name: {
            "cmd": f"{cmd} {name}",
            "deps": ["write.py"],
            "outs": [f"out/{name}"],
            "meta": dict(meta),
        }
        for name in names
    }
    (path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"code": stages["code"], **more}}))
    for command in (
        ("git", "init", "--quiet"),
        ("dvc", "init", "--quiet"),
        ("git", "add", "--all", "--force", "out/.keep"),
        ("git", "add", "--all"),
        ("git", *IDENTITY, "commit", "--quiet", "--message", "base"),
    ):
        call(path, *command)
    return path


#: A stage's own process: writes its name, after some seconds.
WRITE = "import pathlib, sys, time; time.sleep(float(sys.argv[1])); "
WRITE += "pathlib.Path('out', sys.argv[2]).write_text(sys.argv[2])"


def program(path: Path) -> None:
    """Put the stages' program into a checkout and commit it."""
    (path / "write.py").write_text(WRITE.replace("; ", "\n") + "\n")
    call(path, "git", "add", "write.py")
    call(path, "git", *IDENTITY, "commit", "--quiet", "--message", "program")


def stages() -> dict[str, Any]:
    """Give the flow's overhead per stage, and how long it takes over stages that are up to date."""
    with tempfile.TemporaryDirectory() as scratch:
        few = synthetic(
            Path(scratch) / "few", [f"s{n}" for n in range(FEW)], "python write.py 0", {}
        )
        program(few)
        own, _ = call(few, "python", "write.py", "0", "s0")
        (few / "out" / "s0").unlink()
        started, _ = audit_of_code(few)
        wall, told = audit(few)
        assert all(stage["state"] == "ran" for stage in told["stages"].values())
        many = synthetic(
            Path(scratch) / "many", [f"s{n}" for n in range(MANY)], "python write.py 0", {}
        )
        program(many)
        audit_of_code(many)
        record(many, [f"s{n}" for n in range(MANY)])
        nothing, told = audit(many)
        assert told["up_to_date"] == MANY + 1, told
    return {
        "stages": FEW,
        "flow_s": wall,
        "one_stage_flow_s": started,
        "own_process_s": own,
        "overhead_per_stage_s": (wall - FEW * own / 2) / FEW,
        "overhead_per_stage_bound_s": 2.0,
        "stages_up_to_date": MANY + 1,
        "no_op_s": nothing,
        "no_op_bound_s": 20.0,
    }


def audit_of_code(path: Path) -> tuple[float, dict[str, Any]]:
    """Run the flow over stage ``code`` alone."""
    text = (path / "dvc.yaml").read_text()
    only = {"stages": {"code": yaml.safe_load(text)["stages"]["code"]}}
    (path / "dvc.yaml").write_text(yaml.safe_dump(only))
    found = audit(path)
    (path / "dvc.yaml").write_text(text)
    return found


def record(path: Path, names: list[str]) -> None:
    """Write outputs and dvc.lock as if the stages had run: DVC takes minutes to run so many."""
    tree = yaml.safe_load((path / "dvc.lock").read_text())
    code = (path / "write.py").read_bytes()
    digest = hashlib.md5(code, usedforsecurity=False).hexdigest()
    dep = {"path": "write.py", "hash": "md5", "md5": digest, "size": len(code)}
    for name in names:
        (path / "out" / name).write_text(name)
        digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        cached = path / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(name)
        out = {"path": f"out/{name}", "hash": "md5", "md5": digest, "size": len(name)}
        cmd = f"python write.py 0 {name}"
        tree["stages"][name] = {"cmd": cmd, "deps": [dep], "outs": [out]}
    (path / "dvc.lock").write_text(yaml.safe_dump(tree, sort_keys=False))


def workers() -> dict[str, Any]:
    """Give how much sooner two workers are done than one, each with one GPU that is pretended."""
    from flows.ground.server import free_port

    seconds = {}
    for number in (1, 2):
        with tempfile.TemporaryDirectory() as scratch, ExitStack() as ends:
            names = [f"s{n}" for n in range(SENT)]
            cmd = f"python write.py {GPU_SECONDS}"
            main = synthetic(Path(scratch) / "main", names, cmd, {"gpu": 1, "pool": "gpu"})
            tree = yaml.safe_load((main / "params.yaml").read_text())
            # Else no stage is given a GPU.
            tree["compute"]["device"] = "cuda"
            (main / "params.yaml").write_text(yaml.safe_dump(tree))
            program(main)
            call(main, "dvc", "remote", "add", "-q", "--default", "store", f"{scratch}/store")
            call(main, "git", *IDENTITY, "commit", "--quiet", "--all", "--message", "remote")
            audit_of_code(main)
            call(main, "git", "add", "--all")
            call(main, "git", *IDENTITY, "commit", "--quiet", "--message", "code")
            server = ends.enter_context(_server(Path(scratch), free_port()))
            for n in range(number):
                ends.enter_context(_worker(Path(scratch), main, f"w{n}", server))
            seconds[number], told = audit(main, **server)
            places = {stage["where"] for stage in told["stages"].values()}
            assert len(places) == number, places
    return {
        "stages": SENT,
        "seconds_of_each": GPU_SECONDS,
        "one_worker_s": seconds[1],
        "two_workers_s": seconds[2],
        "speed_up": seconds[1] / seconds[2],
        "speed_up_bound": 1.6,
    }


@contextmanager
def _server(scratch: Path, port: int) -> Iterator[dict[str, str]]:
    """Run a Prefect server; gives the variables that lead to it."""
    from flows.ground.server import answers

    home = {"PREFECT_HOME": str(scratch / "prefect"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    home["PREFECT_SERVER_UI_STATIC_DIRECTORY"] = str(scratch / "ui")
    url = f"http://127.0.0.1:{port}/api"
    command = [
        sys.executable,
        "-m",
        "flows.ground.server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with (scratch / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**ENVIRONMENT, **home}, stdout=log, stderr=log
        )
    try:
        while not answers(url):
            time.sleep(0.3)
        yield {**home, "PREFECT_API_URL": url}
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _worker(scratch: Path, main: Path, name: str, server: Mapping[str, str]) -> Iterator[None]:
    """Run a worker with one pretended GPU in a clone of its own, from when it takes stages."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.serving.watchdog import asking
    from flows.serving.watchdog import workers as known

    path = scratch / name
    call(scratch, "git", "clone", "--quiet", str(main), str(path))
    command = [sys.executable, "-m", "flows", "worker", "--pool", "gpu", "--name", name]
    with (scratch / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--slots", "2"],
            cwd=path,
            env={**ENVIRONMENT, **server, "SALIENCY_GPUS": name},
            stdout=log,
            stderr=log,
        )
    with (
        temporary_settings({PREFECT_API_URL: server["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        while name not in [found["name"] for found in known(asking(client))]:
            time.sleep(0.3)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


BENCHMARKS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "default": default,
    "stages": stages,
    "workers": workers,
}


def main() -> None:
    """Run what is named, and keep its figures beside those of the others."""
    sys.path.insert(0, str(ROOT))
    kept = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in sys.argv[1:] or BENCHMARKS:
        kept[name] = BENCHMARKS[name]()
        for key, value in kept[name].items():
            print(f"{name:10} {key:28} {value:10.2f}")
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
