"""Nothing of a machine is held twice; what is asked for in vain is said before anything runs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.execution.gpus import Gpus, gpus_here
from flows.execution.placement import Machine, Need, Place, memory_here
from saliency_audit.errors import ParameterError

needs = st.builds(
    Need,
    gpus=st.integers(0, 2),
    memory_gib=st.sampled_from([0.0, 1.5, 4.0]),
    mutex=st.sampled_from([None, "scratch", "server"]),
)


def gpus_of(number):
    """That many GPUs of a clone of their own."""
    return Gpus(Path(tempfile.mkdtemp()), [str(n) for n in range(number)])


@given(st.lists(needs, max_size=12), st.integers(1, 4), st.integers(0, 3), st.data())
def test_no_two_stages_hold_the_same(asked, slots, gpus, data):
    machine = Machine(slots, gpus_of(gpus), 5.0)
    held: dict[str, tuple[Place, Need]] = {}
    for number, need in enumerate(asked):
        if held and data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(held)))
            machine.release(gone)
            del held[gone]
        place = machine.place(str(number), need)
        if place is not None:
            held[str(number)] = place, need
            assert len(place.gpus) == need.gpus
        places = [place for place, _ in held.values()]
        mutexes = [need.mutex for _, need in held.values() if need.mutex]
        everything = [*mutexes, *(gpu for p in places for gpu in p.gpus)]
        assert len(set(everything)) == len(everything)
        assert len({p.slot for p in places}) == len(places) <= slots
        assert sum(need.memory_gib for _, need in held.values()) <= 5.0


@given(needs, st.integers(1, 4), st.integers(0, 3))
def test_what_passes_the_check_finds_a_place_on_an_empty_machine(need, slots, gpus):
    machine = Machine(slots, gpus_of(gpus), 2.0)
    try:
        machine.check("stage", need)
    except ParameterError:
        assert machine.place("stage", need) is None
    else:
        assert machine.place("stage", need) is not None


@pytest.mark.parametrize(
    ("need", "message"),
    [
        (Need(gpus=3), r"stage train needs 3 GPU .* there are 2 here: set compute.device: cpu"),
        (Need(memory_gib=64), r"stage train needs 64 GiB .* this machine has 8\.0"),
    ],
)
def test_what_no_machine_has_is_named(need, message):
    with pytest.raises(ParameterError, match=message):
        Machine(2, gpus_of(2), 8.0).check("train", need)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"gpus": 1}, "stage train: unknown key of meta gpus: did you mean gpu"),
        ({"gpu": "1"}, r"meta\.gpu is '1': give 0 or more"),
        ({"gpu": True}, r"meta\.gpu is True"),
        ({"memory_gib": -1}, r"meta\.memory_gib is -1"),
        ({"mutex": ""}, r"meta\.mutex is ''"),
        ({"minutes": 0}, r"meta\.minutes is 0: give a number above 0"),
    ],
)
def test_a_wrong_meta_is_named(meta, message):
    with pytest.raises(ParameterError, match=message):
        Need.of("train", meta)


def test_gpus_are_those_that_are_given():
    assert gpus_here({"SALIENCY_GPUS": "4,5", "CUDA_VISIBLE_DEVICES": "0"}) == ("4", "5")
    assert gpus_here({"CUDA_VISIBLE_DEVICES": "GPU-2f"}) == ("GPU-2f",)
    assert gpus_here({"CUDA_VISIBLE_DEVICES": ""}) == ()


def test_this_machine_has_memory():
    assert memory_here() > 0.5


#: Takes a GPU of the clone, says so, and keeps it until it is killed.
TAKER = """
import sys, time
from pathlib import Path
from flows.execution.gpus import Gpus
with Gpus(Path(sys.argv[1]), ["0", "1"]).await_free(1) as names:
    print(*names, flush=True)
    time.sleep(1000)
"""


def test_processes_of_one_clone_share_its_gpus_and_a_killed_one_frees_them(tmp_path, root):
    gpus = Gpus(tmp_path, ["0", "1"])
    other = subprocess.Popen(
        [sys.executable, "-c", TAKER, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        (theirs,) = other.stdout.readline().split()
        machine = Machine(2, gpus, 8.0)
        assert machine.place("both", Need(gpus=2)) is None
        place = machine.place("one", Need(gpus=1))
        assert {theirs, *place.gpus} == {"0", "1"}
        machine.release("one")
    finally:
        other.kill()
        other.communicate()
    assert machine.place("both", Need(gpus=2)).gpus == ("0", "1")
