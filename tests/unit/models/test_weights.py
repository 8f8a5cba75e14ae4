"""Weights in files: the same bytes, no code run, and what does not fit is named."""

import hashlib
import pickle

import pytest
import torch
from torch import nn

from saliency_audit.errors import ModelError
from saliency_audit.models.architectures import build
from saliency_audit.models.weights import (
    check_finite,
    load_into,
    load_weights,
    model_digest,
    save_weights,
)


class WritesAFile:
    """What a hostile pickle does: it calls a function while it is loaded."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def some_state():
    generator = torch.Generator().manual_seed(0)
    return {
        "b.weight": torch.rand(4, 3, 2, 2, generator=generator).to(
            memory_format=torch.channels_last
        ),
        "a.bias": torch.rand(4, generator=generator),
        "a.counter": torch.tensor(7),
        "a.half": torch.rand(3, generator=generator).half(),
    }


def assert_same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert one[name].dtype == two[name].dtype
        assert torch.equal(one[name], two[name])


def test_safetensors_bring_back_the_same_weights_in_the_same_bytes(tmp_path):
    state = some_state()
    save_weights(tmp_path / "one.safetensors", state)
    save_weights(tmp_path / "two.safetensors", dict(reversed(state.items())))
    one, two = (
        hashlib.sha256((tmp_path / f"{n}.safetensors").read_bytes()) for n in ("one", "two")
    )
    assert one.digest() == two.digest()
    assert_same(load_weights(tmp_path / "one.safetensors"), state)


def test_tensors_that_share_memory_are_saved_each(tmp_path):
    shared = torch.rand(3)
    save_weights(tmp_path / "w.safetensors", {"a": shared, "b": shared})
    assert_same(load_weights(tmp_path / "w.safetensors"), {"a": shared, "b": shared})


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model_state_dict": state, "optimizer_state_dict": {"step": torch.ones(1)}},
    ],
    ids=["plain", "wrapped", "beside an optimiser"],
)
def test_a_checkpoint_of_torch_gives_its_weights(tmp_path, wrap):
    torch.save(wrap(some_state()), tmp_path / "weights.pt")
    assert_same(load_weights(tmp_path / "weights.pt"), some_state())


def test_the_digest_depends_on_the_weights_and_not_on_the_file(tmp_path):
    state = some_state()
    save_weights(tmp_path / "w.safetensors", state)
    torch.save(state, tmp_path / "w.pt")
    digests = {
        model_digest(load_weights(tmp_path / f"w.{kind}"), "cnn") for kind in ("safetensors", "pt")
    }
    assert digests == {model_digest(state, "cnn")}
    others = [
        state | {"a.bias": state["a.bias"] + 1e-6},
        state | {"a.bias": state["a.bias"].view(2, 2)},
        state | {"a.bias": state["a.bias"].double()},
        {name.upper(): tensor for name, tensor in state.items()},
    ]
    assert len({model_digest(other, "cnn") for other in others} | digests) == 5
    assert model_digest(state, "resnet18") not in digests


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_nothing_runs(tmp_path, zipped):
    target, weights = tmp_path / "it_ran", tmp_path / "weights.pt"
    content = {"state_dict": some_state(), "extra": WritesAFile(target)}
    if zipped:
        torch.save(content, weights)
    else:
        weights.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ModelError, match=r"weights\.pt .*(could run code|no readable)"):
        load_weights(weights)
    assert not target.exists()
    # The same file does run code where it is loaded without care.
    if zipped:
        torch.load(weights, weights_only=False)
        assert target.exists()


def test_a_whole_module_is_refused_with_the_way_out(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"model\.state_dict\(\)"):
        load_weights(tmp_path / "model.pt")


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_file_is_named(tmp_path, suffix, damage):
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pt":
        torch.save(some_state(), path)
    else:
        save_weights(path, some_state())
    whole = path.read_bytes()
    path.write_bytes(
        {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"hello"}[damage]
    )
    with pytest.raises(ModelError, match=rf"weights\.{suffix}"):
        load_weights(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": {"a": 1}}, {3: torch.ones(1)}])
def test_a_file_without_weights_by_name_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(ModelError, match=r"weights\.pt.*state_dict"):
        load_weights(tmp_path / "weights.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.safetensors are missing"):
        load_weights(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_found_on_reading(tmp_path, value):
    state = some_state()
    state["b.weight"][0, 0, 0, 0] = value
    save_weights(tmp_path / "w.safetensors", state)
    with pytest.raises(ModelError, match=r"w\.safetensors: b\.weight holds 1 values"):
        load_weights(tmp_path / "w.safetensors")
    check_finite(some_state(), "w")


def test_weights_of_another_architecture_are_told_by_name():
    network = build("resnet18", 3, (32, 32))
    with pytest.raises(
        ModelError, match=r"not of architecture resnet18: missing .*conv1.*not known"
    ):
        load_into(network, build("densenet121", 3, (32, 32)).state_dict(), "resnet18")
    with pytest.raises(ModelError, match=r"fc\.weight \(4, 512\) instead of \(3, 512\)"):
        load_into(network, build("resnet18", 4, (32, 32)).state_dict(), "resnet18")
    with pytest.raises(ModelError, match=r"fc1\.weight \(256, 2048\) instead of \(256, 512\)"):
        load_into(build("cnn", 2, (16, 16)), build("cnn", 2, (32, 32)).state_dict(), "cnn")


def test_a_refusal_leaves_the_network_as_it_was():
    network = build("cnn", 2, (16, 16))
    before = model_digest(network.state_dict(), "")
    other = build("cnn", 2, (16, 16), seed=5).state_dict()
    del other["fc2.bias"]
    with pytest.raises(ModelError, match=r"missing fc2\.bias"):
        load_into(network, other, "cnn")
    assert model_digest(network.state_dict(), "") == before


@pytest.mark.parametrize("architecture", ["cnn", "densenet121"])
def test_a_network_gets_its_weights_back(tmp_path, architecture):
    given = build(architecture, 3, (32, 32), seed=1).eval()
    state = {n: t for n, t in given.state_dict().items() if not n.endswith("num_batches_tracked")}
    save_weights(tmp_path / "w.safetensors", state)
    own = build(architecture, 3, (32, 32), seed=2).eval()
    load_into(own, load_weights(tmp_path / "w.safetensors"), architecture)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(own(images), given(images))


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    full = tmp_path / "weights.safetensors"
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        save_weights(full, some_state())
