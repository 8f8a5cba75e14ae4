"""`make install TORCH=cpu` leaves out of the lock what only PyTorch needs, and only for CUDA."""

from __future__ import annotations

import re
import subprocess
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pinned(lines):
    """Names of the packages in lines of a lock."""
    found = (re.match(r"([A-Za-z0-9][\w.-]*)==", line) for line in lines)
    return {canonicalize_name(name[1]) for name in found if name}


def needed(extras, without=frozenset()):
    """What the project needs as it is installed here, if torch lacked some of its requirements."""
    found, waiting = set(), [("saliency-audit", frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in found:
            continue
        found.add((name, wanted))
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            other = canonicalize_name(requirement.name)
            marker = requirement.marker
            asked = marker is None or any(marker.evaluate({"extra": e}) for e in (*wanted, ""))
            if asked and not (name == "torch" and other in without):
                waiting.append((other, frozenset(requirement.extras)))
    return {name for name, _ in found}


def test_only_what_torch_needs_for_cuda_is_left_out(root):
    (pattern,) = re.findall(r"^CUDA := (.+)$", (root / "Makefile").read_text(), re.MULTILINE)
    lock = (root / "requirements.lock").read_text().splitlines()
    kept = subprocess.run(
        ["grep", "-Ev", pattern, "requirements.lock"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    left_out = pinned(lock) - pinned(kept)
    # PyTorch itself says that these are for Linux: a build for macOS has no CUDA.
    for_cuda = {
        canonicalize_name(Requirement(line).name)
        for line in metadata.requires("torch") or []
        if "platform_system" in line
    }
    assert for_cuda
    everything = needed(("pipeline", "test"))
    assert left_out == everything - needed(("pipeline", "test"), for_cuda)
    assert {"torch", "torchvision", "prefect", "pytest"} <= pinned(kept)
    # The image for processors leaves out the same.
    assert f"grep -Ev '{pattern}'" in (root / "deploy" / "Dockerfile").read_text()
