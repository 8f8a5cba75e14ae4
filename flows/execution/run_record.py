"""What a run ran on and how its stages ended: ``.saliency/logs/<run>/run.json``.

It lies outside DVC's outputs, because bytes that name a machine are other bytes on the next one.
It names no host, no user and no secret.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from flows.execution.observers import Observer
from flows.execution.placement import memory_here
from flows.execution.stage import Outcome
from flows.ground.git import changes, commit_of, git
from saliency_audit.errors import AuditError
from tasks import places
from tasks.artifacts import partial

FILE = "run.json"
#: The trailer of an audit's commit that says what it ran on.
TRAILER = "Audit-Machine"
#: What decides numbers, and what decides how a run goes.
PACKAGES = (
    "saliency-audit",
    "torch",
    "torchvision",
    "segmentation-models-pytorch",
    "timm",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "pyarrow",
    "safetensors",
    "dvc",
    "prefect",
)
#: Instruction sets with which libraries choose another way to compute, on x86 and on ARM.
INSTRUCTIONS = (
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "sve",
    "bf16",
)
#: Variables by which a person has libraries choose another way; their values are no secret.
SETTINGS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "OPENBLAS_CORETYPE",
    "CUBLAS_WORKSPACE_CONFIG",
)
#: A line of requirements.lock.
PINNED = re.compile(r"^[A-Za-z0-9_.-]+==[^#\\\n]+", re.MULTILINE)


@dataclass(frozen=True)
class MachineRecord:
    """A machine as far as numbers and times depend on it.

    ``cores``: those that a process may use; ``memory_gib``: installed, in GiB; ``threads``:
    ``compute.threads`` of params.yaml; ``settings``: environment variables that choose how
    libraries compute.
    """

    processor: str
    instructions: tuple[str, ...]
    settings: Mapping[str, str]
    cores: int
    memory_gib: float
    threads: int
    gpus: tuple[str, ...]
    system: str
    python: str
    versions: Mapping[str, str]

    @property
    def line(self) -> str:
        """What bytes depend on, in one line: two runs with the same line should give the same."""
        wide = [name for name in self.instructions if name in ("avx2", "avx512f", "amx_tile")]
        chosen = [*(wide or self.instructions), *(f"{k}={v}" for k, v in self.settings.items())]
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        torch = f"torch {self.versions.get('torch', 'none')}"
        processor = f"{self.processor} ({' '.join(chosen)})" if chosen else self.processor
        return ", ".join([processor, *self.gpus, threads, torch])


def machine_here(threads: int, device: str = "cpu") -> MachineRecord:
    """Describe this machine; GPUs only where ``device`` says that models run on them."""
    processor, flags = _processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return MachineRecord(
        processor=processor,
        instructions=tuple(name for name in INSTRUCTIONS if name in flags),
        settings={name: os.environ[name] for name in SETTINGS if name in os.environ},
        cores=cores or 1,
        memory_gib=round(memory_here(), 1),
        threads=threads,
        gpus=tuple(_gpus()) if device == "cuda" else (),
        system=_system(),
        python=platform.python_version(),
        versions=dict(_versions()),
    )


def machine_of(root: Path) -> MachineRecord:
    """Describe this machine for an audit's params.yaml; one that says nothing has one thread."""
    try:
        compute = yaml.safe_load((root / places.PARAMS).read_text("utf-8")).get("compute") or {}
    except (OSError, yaml.YAMLError, AttributeError):
        compute = {}
    return machine_here(int(compute.get("threads", 1)), str(compute.get("device", "cpu")))


def _processor() -> tuple[str, set[str]]:
    """Give the model of the processor and its flags."""
    said: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            said.setdefault(name.strip().lower(), value.strip())
    flags = set((said.get("flags") or said.get("features", "")).split())
    model = said.get("model name") or platform.processor() or platform.machine()
    if "model" in said and said["model"].isdigit():
        # A virtual machine's name may say nothing but the maker's.
        model += f" {said.get('cpu family', '')}/{said['model']}/{said.get('stepping', '')}"
    return model, flags


def _gpus() -> Iterator[str]:
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in file.read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "Model":
                yield value.strip()


def _system() -> str:
    with suppress(OSError):
        return f"{platform.freedesktop_os_release().get('PRETTY_NAME')}, {platform.release()}"
    return f"{platform.system()} {platform.release()}"


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            yield name, version(name)


def installed_otherwise(requirements: str) -> list[str]:
    r"""Say which packages are installed here in another version than a requirements.lock names.

    >>> installed_otherwise("numpy==0.1\nnothing-that-counts==1")[0].startswith("numpy 0.1 → ")
    True
    >>> installed_otherwise("numpy==0.1 ; python_version < '3'")
    []
    """
    from packaging.requirements import Requirement

    named = {}
    for line in PINNED.findall(requirements):
        wanted = Requirement(line)
        # A lock for all Pythons names a package once for each of some.
        if wanted.marker is None or wanted.marker.evaluate():
            named[wanted.name] = str(wanted.specifier).removeprefix("==")
    return [
        f"{name} {named[name]} → {here}"
        for name, here in _versions()
        if name in named and here.split("+")[0] != named[name].split("+")[0]
    ]


class RunRecord(Observer):
    """Writes run.json as a run goes on: what is there when the run is killed still holds."""

    def __init__(self, root: Path, plan: Sequence[str]) -> None:
        machine = machine_of(root)
        self._root = root
        self._file: Path | None = None
        self._content: dict[str, Any] = {
            "start": _now(),
            "end": None,
            **_revision(root),
            "params": _digest(root / places.PARAMS),
            "machine": asdict(machine),
            "line": machine.line,
            "result": None,
            "stages": {
                name: {"state": "not reached", "seconds": None, "where": None} for name in plan
            },
        }

    def started(self, name: str, folder: Path) -> None:
        """Write that a stage has started."""
        self._file = folder / FILE
        self._content["stages"][name]["state"] = "running"
        self._write()

    def finished(self, outcome: Outcome) -> None:
        """Write how a stage ended."""
        self._content["stages"][outcome.name] = {
            "state": outcome.state,
            "seconds": round(outcome.seconds, 3),
            "where": outcome.where or "here",
        }
        self._write()

    def close(self) -> None:
        """Write that the run has ended, and the digest of all that is recorded now."""
        self._content["end"] = _now()
        for stage in self._content["stages"].values():
            if stage["state"] == "running":
                stage["state"] = "interrupted"
        with suppress(OSError, yaml.YAMLError, AttributeError):
            tree = yaml.safe_load((self._root / "dvc.lock").read_text("utf-8"))
            self._content["result"] = result_digest(tree["stages"])
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        with partial(self._file) as beside:
            beside.write_text(json.dumps(self._content, indent=2, sort_keys=True) + "\n", "utf-8")


def result_digest(lock: Mapping[str, Any]) -> str:
    """Give a digest of the outputs that a dvc.lock records, whatever their order."""
    outs = {
        str(out["path"]): out.get("md5") for stage in lock.values() for out in stage.get("outs", [])
    }
    return hashlib.sha256(json.dumps(outs, sort_keys=True).encode()).hexdigest()[:12]


def former_runs(root: Path) -> Iterator[dict[str, Any]]:
    """Give the records of former runs of a checkout, the newest first; a torn one is left out."""
    logs = root / places.LOCAL / "logs"
    for file in sorted(logs.glob(f"*/{FILE}"), reverse=True):
        with suppress(OSError, ValueError):
            yield json.loads(file.read_text("utf-8"))


def machine_of_last_run(root: Path) -> str | None:
    """Give the line of the machine on which the last run computed something; None: none did."""
    record = next(former_runs(root), None)
    ran = record is not None and any(s["state"] == "ran" for s in record["stages"].values())
    return str(record["line"]) if record is not None and ran else None


def recorded_machine(main: Path, commit: str, lock: Mapping[str, Any]) -> str | None:
    """Give the line of the machine that a revision's artifacts come from; None: nobody knows.

    An audit's commit says it; of other revisions, the record of the run that left this dvc.lock.
    """
    said = git(main, "show", "-s", f"--format=%(trailers:key={TRAILER},valueonly)", commit).strip()
    if said:
        return said.splitlines()[0]
    wanted = result_digest(lock)
    ours = (record for record in former_runs(main) if record.get("result") == wanted)
    for record in ours:
        if any(stage["state"] == "ran" for stage in record["stages"].values()):
            return str(record["line"])
    return None


def _revision(root: Path) -> dict[str, Any]:
    """Give the commit that is checked out, and whether files differ from it."""
    try:
        return {"commit": commit_of(root, "HEAD"), "dirty": bool(changes(root))}
    except AuditError:
        # A checkout without a commit runs as well.
        return {"commit": None, "dirty": None}


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
