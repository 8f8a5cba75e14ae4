"""A miniature audit in a checkout of its own: real stages, real DVC, real Prefect, tiny numbers.

Two of them are made from nothing, once for all tests, whatever worker of pytest-xdist needs them
first: `reproduced` by DVC alone, and `flown` by `saliency-audit run`. Tests copy them, or take
what `reproduced` has computed from its run-cache (`warm_checkout`); where a test is about stages
that run, or about no such stage, it begins with an empty cache (`new_checkout`). Stages start warm
(tests/pipeline/warm.py), but for those of `reproduced` and of tests marked `cold`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from tests.pipeline.checkout import Checkout, make_checkout
from tests.pipeline.warm import interpreter

if TYPE_CHECKING:
    from tests.faults.servers import Server

#: What a run said, and which stages one ran, in the folder of the checkout that it made.
SAID, RAN = "said.txt", "ran.txt"


@pytest.fixture(scope="session")
def shared(tmp_path_factory, request) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once for all workers of pytest-xdist, by its name and a function that fills it.

    What is in it is to be compared with, or copied, and never to be changed.
    """
    base = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        base = base.parent  # the workers have it in common

    def get(name: str, fill: Callable[[Path], None]) -> Path:
        folder = base / "shared" / name
        folder.parent.mkdir(exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            done = folder / "done"
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return get


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have some variables for as long as it lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def warm(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The variables by which stages start warm."""
    with interpreter(tmp_path_factory.mktemp("warm") / "socket") as variables:
        yield variables


@pytest.fixture(scope="module", autouse=True)
def starts_warm(request) -> Iterator[None]:
    """Stages of a module's tests start warm, unless the module is marked `cold`."""
    if request.node.get_closest_marker("cold"):
        yield
    else:
        with environment(request.getfixturevalue("warm")):
            yield


@pytest.fixture(scope="session")
def reproduced(root, shared) -> Checkout:
    """The miniature audit as one ``dvc repro`` made it from nothing: to compare, or to copy.

    Python says in between which modules it imports.
    """
    command = "PYTHONPROFILEIMPORTTIME=1 dvc repro 2>&1"

    def fill(folder: Path) -> None:
        said = make_checkout(root, folder / "project").call("sh", "-c", command).stdout
        (folder / SAID).write_text(said)

    return Checkout(shared("reproduced", fill) / "project")


@pytest.fixture(scope="session")
def changed(reproduced, shared, warm) -> Checkout:
    """The miniature audit after another ``dvc repro``, of one more mask for RISE: to be copied."""

    def fill(folder: Path) -> None:
        shutil.copytree(reproduced.path, folder / "project", symlinks=True)
        checkout = Checkout(folder / "project")
        checkout.write_params(with_masks(checkout.params(), 65))
        with environment(warm):
            (folder / RAN).write_text("\n".join(sorted(checkout.repro())))

    return Checkout(shared("changed", fill) / "project")


def with_masks(tree: dict[str, Any], samples: int) -> dict[str, Any]:
    """Give the parameters with another number of RISE's masks."""
    rise = {**tree["method"]["rise"], "samples": samples}
    return {**tree, "method": {**tree["method"], "rise": rise}}


@pytest.fixture(scope="session")
def flown(root, shared, warm) -> Checkout:
    """The miniature audit as one ``saliency-audit run`` made it from nothing: to be copied."""

    def fill(folder: Path) -> None:
        with environment(warm):
            said = make_checkout(root, folder / "project").audit("run").stderr
        (folder / SAID).write_text(said)

    return Checkout(shared("flown", fill) / "project")


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Callable[[Checkout], Checkout]:
    """Give copies of a checkout, with its cache and its records, to change."""

    def copy(checkout: Checkout) -> Checkout:
        path = tmp_path_factory.mktemp("copy") / "project"
        shutil.copytree(checkout.path, path, symlinks=True)
        return Checkout(path)

    return copy


@pytest.fixture(scope="module")
def new_checkout(root, shared, copied) -> Callable[[], Checkout]:
    """Give fresh miniature checkouts, all of the code as it is now: nothing has run in them."""

    def fill(folder: Path) -> None:
        make_checkout(root, folder / "project")

    return lambda: copied(Checkout(shared("new", fill) / "project"))


def take_cache(source: Checkout, target: Checkout) -> None:
    """Add what one checkout has computed to the cache and the run-cache of another."""
    cache = Path(".dvc", "cache")
    for path in (source.path / cache).rglob("*"):
        there = target.path / path.relative_to(source.path)
        if path.is_file() and not there.exists():  # objects are read-only
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there)


@pytest.fixture(scope="module")
def warm_checkout(reproduced, new_checkout) -> Callable[[], Checkout]:
    """Give fresh checkouts whose run-cache has all that `reproduced` has computed.

    A stage with the same code, parameters and inputs is checked out instead of run; gates and the
    report run, because git has what they say, and no run-cache.
    """

    def make() -> Checkout:
        checkout = new_checkout()
        take_cache(reproduced, checkout)
        return checkout

    return make


@pytest.fixture(scope="module")
def checkout(new_checkout) -> Checkout:
    """A fresh miniature checkout, one per test module."""
    return new_checkout()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory) -> Iterator[Server]:
    """A Prefect server of this worker of pytest-xdist."""
    from tests.faults.servers import Server

    with Server(tmp_path_factory.mktemp("prefect") / "server", None) as server:
        yield server


@pytest.fixture(scope="module")
def one_server(prefect_server) -> Iterator[None]:
    """Runs of a module use one server, where otherwise each starts its own for as long as it lasts.

    That is what `flown` did, and the audit of test_lineage.
    """
    with environment(prefect_server.environment):
        yield
