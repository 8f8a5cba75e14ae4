"""The training loop: what it minimises, when it stops, and that being killed leaves no trace."""

import io
import logging
import math
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from torch import nn

from saliency_audit.compute import Compute
from saliency_audit.errors import DataError, ModelError, ParameterError
from saliency_audit.models.fitting import FitParameters, fit, learning_rate
from saliency_audit.models.weights import model_digest

COMPUTE = Compute(batch=8)
SPLITS = {"train": range(20), "tune": range(20, 27)}


class StoppedError(Exception):
    """Somebody stopped the training."""


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1))


def table():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(27, 3, generator=generator)
    return x, x @ torch.tensor([[1.0], [-2.0], [0.5]])


def squares(network, seen=None):
    """Mean squared error of the table, and a record of how the loss was called."""
    x, y = table()

    def loss(indices, kept, epoch):
        if seen is not None:
            seen.append((list(indices), kept, epoch, network.training))
        rows = list(indices)
        return (network(x[rows])[:kept] - y[rows][:kept]).square().mean()

    return loss


def digest(network):
    return model_digest(network.state_dict(), "")


def test_plain_gradient_descent_takes_the_steps_of_its_formula():
    network = nn.Linear(3, 1).double()
    x, y = (part.double() for part in table())

    def loss(indices, kept, epoch):
        rows = list(indices)[:kept]
        return (network(x[rows]) - y[rows]).square().mean()

    weight, bias = network.weight.detach().clone(), network.bias.detach().clone()
    parameters = FitParameters(
        epochs=3, batch=20, learning_rate=0.1, optimiser="sgd", schedule="cosine", weight_decay=0.01
    )
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    kept, lowest = None, math.inf
    for step in range(3):  # one batch is the whole split, so its order does not matter
        error = x[:20] @ weight.T + bias - y[:20]
        gradients = [2 * error.T @ x[:20] / 20 + 0.01 * weight, 2 * error.mean(0) + 0.01 * bias]
        rate = 0.1 * 0.5 * (1 + math.cos(math.pi * step / 3))
        velocity = [0.9 * v + g for v, g in zip(velocity, gradients, strict=True)]
        weight, bias = weight - rate * velocity[0], bias - rate * velocity[1]
        tune = (x[20:] @ weight.T + bias - y[20:]).square().mean().item()
        if tune < lowest:
            kept, lowest = (weight, bias), tune
    history = fit(network, loss, SPLITS, parameters, COMPUTE)
    torch.testing.assert_close(network.weight.detach(), kept[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network.bias.detach(), kept[1], rtol=1e-12, atol=1e-12)
    assert history.epochs[history.best - 1].tune_loss == pytest.approx(lowest, rel=1e-12)


def test_every_call_has_one_shape_and_every_image_its_turn():
    network, seen = linear(), []
    fit(
        network,
        squares(network, seen),
        SPLITS,
        FitParameters(epochs=40, patience=40, batch=6),
        COMPUTE,
    )
    assert {len(indices) for indices, *_ in seen} == {6}
    training = [indices for indices, _, epoch, _ in seen if epoch is not None]
    tuning = [(indices, kept) for indices, kept, epoch, _ in seen if epoch is None]
    assert all(mode == (epoch is not None) for _, _, epoch, mode in seen)
    for start in range(0, len(training), 3):  # three whole batches an epoch, none twice in it
        epoch = list(chain.from_iterable(training[start : start + 3]))
        assert len(set(epoch)) == 18 and set(epoch) <= set(range(20))
    assert {index for indices in training for index in indices} == set(range(20))
    assert [kept for _, kept in tuning[:2]] == [6, 1]
    assert [i for indices, kept in tuning[:2] for i in indices[:kept]] == list(range(20, 27))


def test_the_tune_loss_is_the_mean_over_images_not_over_batches():
    network = linear().double()
    x, y = (part.double() for part in table())

    def loss(indices, kept, epoch):
        rows = list(indices)
        return (network(x[rows])[:kept] - y[rows][:kept]).square().mean()

    history = fit(network, loss, SPLITS, FitParameters(epochs=1, batch=6), COMPUTE)
    with torch.no_grad():
        expected = (network.eval()(x[20:]) - y[20:]).square().mean().item()
    assert history.epochs[0].tune_loss == pytest.approx(expected, rel=1e-12)


def scripted(network, tune_losses):
    """A loss whose tune values are given, and whose gradient is never zero."""
    values = iter(tune_losses)

    def loss(indices, kept, epoch):
        if epoch is None:
            return torch.tensor(next(values))
        return network(torch.ones(1, 3)).sum()

    return loss


def test_training_stops_after_its_patience_and_keeps_the_best_epoch():
    splits = {"train": range(4), "tune": range(2)}
    parameters = FitParameters(epochs=20, batch=4, patience=3, schedule="constant")
    network = nn.Linear(3, 1)
    losses = [5.0, 3.0, 4.0, 2.0, 2.0, 2.5, 2.0, 1.0]
    history = fit(network, scripted(network, losses), splits, parameters, COMPUTE)
    assert [epoch.tune_loss for epoch in history.epochs] == losses[:7]
    assert history.best == 4


def test_the_weights_left_are_those_of_the_best_epoch():
    splits = {"train": range(4), "tune": range(2)}
    parameters = FitParameters(epochs=4, batch=4, schedule="constant")
    start = nn.Linear(3, 1)
    ends = []
    for epochs, losses in ((2, [2.0, 1.0]), (4, [2.0, 1.0, 3.0, 3.0])):
        network = nn.Linear(3, 1)
        network.load_state_dict(start.state_dict())
        fit(network, scripted(network, losses), splits, replace(parameters, epochs=epochs), COMPUTE)
        ends.append(digest(network))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_learning_rate_only_falls(schedule):
    parameters = FitParameters(learning_rate=0.2, schedule=schedule)
    rates = [learning_rate(parameters, share) for share in np.linspace(0, 1, 11)]
    assert rates[0] == 0.2
    assert all(a >= b for a, b in pairwise(rates))
    assert rates[-1] == pytest.approx(0.2 if schedule == "constant" else 0, abs=1e-15)


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_the_same_training_gives_the_same_bytes_and_leaves_the_generator_alone(optimiser):
    parameters = FitParameters(epochs=3, batch=5, optimiser=optimiser, learning_rate=0.01)
    ends = []
    for noise in (1, 2):
        network = linear()
        torch.manual_seed(noise)
        before = torch.random.get_rng_state()
        history = fit(network, squares(network), SPLITS, parameters, COMPUTE)
        assert torch.equal(torch.random.get_rng_state(), before)
        ends.append((digest(network), history))
    assert ends[0] == ends[1]
    network = linear()
    fit(network, squares(network), SPLITS, replace(parameters, seed=1), COMPUTE)
    assert digest(network) != ends[0][0]


def interrupt_at(batch):
    def progress(done, total):
        if done == batch:
            raise StoppedError

    return progress


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("batch", [2, 4, 5, 9, 11])
def test_an_interrupted_training_goes_on_to_the_same_bytes(tmp_path, optimiser, batch):
    parameters = FitParameters(
        epochs=3, batch=5, optimiser=optimiser, learning_rate=0.01, weight_decay=0.1
    )
    whole = linear()
    expected = fit(whole, squares(whole), SPLITS, parameters, COMPUTE)
    state = tmp_path / "state.pt"
    network = linear()
    with pytest.raises(StoppedError):
        fit(
            network,
            squares(network),
            SPLITS,
            parameters,
            COMPUTE,
            checkpoint=state,
            progress=interrupt_at(batch),
        )
    assert state.exists() == (batch > 4)  # written after each epoch of four batches
    resumed, seen = linear(), []
    found = fit(resumed, squares(resumed, seen), SPLITS, parameters, COMPUTE, checkpoint=state)
    assert found == expected
    assert digest(resumed) == digest(whole)
    assert min(epoch for *_, epoch, _ in seen if epoch is not None) == (batch - 1) // 4 + 1


def test_a_finished_training_is_not_done_again(tmp_path):
    parameters = FitParameters(epochs=3, batch=5)
    state, whole = tmp_path / "state.pt", linear()
    expected = fit(whole, squares(whole), SPLITS, parameters, COMPUTE, checkpoint=state)
    again, seen = linear(), []
    assert (
        fit(again, squares(again, seen), SPLITS, parameters, COMPUTE, checkpoint=state) == expected
    )
    assert not seen
    assert digest(again) == digest(whole)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "another dictionary", "code"])
def test_a_damaged_state_is_told_and_training_starts_anew(tmp_path, caplog, damage):
    parameters = FitParameters(epochs=2, batch=5)
    state, whole = tmp_path / "state.pt", linear()
    fit(whole, squares(whole), SPLITS, parameters, COMPUTE, checkpoint=state)
    content = state.read_bytes()
    if damage == "another dictionary":
        torch.save({"version": 1}, state)
    elif damage == "code":
        torch.save({"version": 1, "key": StoppedError}, state)
    else:
        state.write_bytes({"truncated": content[:300], "empty": b"", "text": b"hello"}[damage])
    with caplog.at_level(logging.WARNING):
        network = linear()
        fit(network, squares(network), SPLITS, parameters, COMPUTE, checkpoint=state)
    assert "starts anew" in caplog.text
    assert digest(network) == digest(whole)
    assert torch.load(state, weights_only=True)["best"] >= 1


@pytest.mark.parametrize(
    "change", ["parameters", "splits", "inputs", "weights", "compute", "version"]
)
def test_the_state_of_another_training_is_not_used(tmp_path, caplog, change):
    parameters = FitParameters(epochs=2, batch=5)
    state, first = tmp_path / "state.pt", linear()
    fit(first, squares(first), SPLITS, parameters, COMPUTE, inputs="a", checkpoint=state)
    if change == "version":
        content = torch.load(state, weights_only=True)
        torch.save(content | {"version": 0}, state)

    def run(checkpoint):
        network = linear(1 if change == "weights" else 0)
        fit(
            network,
            squares(network),
            {"train": range(1, 20), "tune": range(20, 27)} if change == "splits" else SPLITS,
            replace(parameters, learning_rate=0.1) if change == "parameters" else parameters,
            Compute(batch=4) if change == "compute" else COMPUTE,
            inputs="b" if change == "inputs" else "a",
            checkpoint=checkpoint,
        )
        return digest(network)

    with caplog.at_level(logging.WARNING):
        assert run(state) == run(None)
    assert "is of another training" in caplog.text


def test_a_full_disk_is_an_error_and_leaves_the_former_state(tmp_path):
    parameters = FitParameters(epochs=3, batch=5)
    state, network = tmp_path / "state.pt", linear()
    with pytest.raises(StoppedError):
        fit(
            network,
            squares(network),
            SPLITS,
            parameters,
            COMPUTE,
            checkpoint=state,
            progress=interrupt_at(5),
        )
    former = state.read_bytes()
    (tmp_path / "state.pt.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        fit(network := linear(), squares(network), SPLITS, parameters, COMPUTE, checkpoint=state)
    assert state.read_bytes() == former


@pytest.mark.parametrize("part", ["train", "tune"])
def test_a_loss_that_is_no_number_names_epoch_and_learning_rate(part):
    network = linear()

    def loss(indices, kept, epoch):
        value = network(torch.ones(2, 3)).sum()
        return value * math.nan if (epoch is None) == (part == "tune") else value

    with pytest.raises(ModelError, match=r"nan in epoch 1 at learning_rate 0\.5"):
        fit(network, loss, SPLITS, FitParameters(learning_rate=0.5), COMPUTE)


def test_a_learning_rate_too_high_is_found():
    network = nn.Linear(3, 1)
    parameters = FitParameters(epochs=60, learning_rate=1e3, optimiser="sgd", schedule="constant")
    with pytest.raises(ModelError, match=r"learning_rate 1000\.0: give a smaller"):
        fit(network, squares(network), SPLITS, replace(parameters, patience=60), COMPUTE)


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"train": [0], "tune": [1]}, "training split holds 1 images"),
        ({"train": [0, 1], "tune": []}, "tune split holds no images"),
    ],
)
def test_a_split_too_small_is_named(splits, said):
    network = linear()
    with pytest.raises(DataError, match=said):
        fit(network, squares(network), splits, FitParameters(), COMPUTE)


def test_progress_rises_to_its_total():
    told, network = [], linear()
    fit(
        network,
        squares(network),
        SPLITS,
        FitParameters(epochs=3, batch=5),
        COMPUTE,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(n, 12) for n in [*range(1, 13), 12]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch", 1),
        ("patience", 0),
        ("seed", -1),
        ("learning_rate", math.inf),
        ("weight_decay", -1),
        ("optimiser", "adagrad"),
        ("schedule", "linear"),
    ],
)
def test_a_range_is_held(name, value):
    with pytest.raises(ParameterError, match=f"{name} is"):
        FitParameters(**{name: value})


#: A training that kills its own process in the middle of its second epoch.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from blobs import classifier, data, PARAMETERS, COMPUTE
from saliency_audit.models.training import train

def progress(done, total):
    if done == total // PARAMETERS.epochs + 2:
        os.kill(os.getpid(), signal.SIGKILL)

train(classifier(), data(), PARAMETERS, COMPUTE, checkpoint=Path({state!r}), progress=progress)
"""

#: What the killed training and this one share; dropout, batch norm and augmentation are in it.
BLOBS = """
import numpy as np
from saliency_audit.compute import Compute
from saliency_audit.labelling import Labelling
from saliency_audit.models.adoption import fresh_classifier
from saliency_audit.models.augmentation import Augmentation
from saliency_audit.models.specification import parse_specification
from saliency_audit.models.training import TrainingParameters

COMPUTE = Compute(batch=8)
PARAMETERS = TrainingParameters(
    epochs=3, batch=8,
    augmentation=Augmentation(
        horizontal_flip=True, rotation=20, shift=0.1, brightness=0.1, contrast=0.1
    ),
)

def classifier():
    given = parse_specification({"architecture": "cnn", "train": {}}, "model.yaml")
    return fresh_classifier(given, ("dark", "bright"), Labelling.MULTICLASS, (16, 16))

class data:
    def __init__(self):
        rng = np.random.default_rng(0)
        kind = rng.integers(0, 2, 40)
        self.pixels = np.clip(
            rng.normal(100 + 60 * kind[:, None, None, None], 20, (40, 16, 16, 3)), 0, 255
        ).astype(np.uint8)
        self.targets = np.eye(2, dtype=bool)[kind]
        self.train, self.tune = range(32), range(32, 40)

    def images(self, indices):
        return self.pixels[list(indices)]
"""


def test_a_killed_training_goes_on_to_the_same_bytes(tmp_path, root):
    (tmp_path / "blobs.py").write_text(BLOBS, encoding="utf-8")
    state = tmp_path / "state.pt"
    script = KILLED.format(folder=str(tmp_path), state=str(state))
    ended = subprocess.run([sys.executable, "-c", script], cwd=root, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(torch.load(state, weights_only=True)["epochs"]) == 1
    from saliency_audit.models.training import train

    shared = {}
    exec(compile(BLOBS, "blobs.py", "exec"), shared)
    whole, resumed = shared["classifier"](), shared["classifier"]()
    data, parameters, compute = shared["data"](), shared["PARAMETERS"], shared["COMPUTE"]
    expected = train(whole, data, parameters, compute)
    assert train(resumed, data, parameters, compute, checkpoint=state) == expected
    saved = [io.BytesIO(), io.BytesIO()]
    for classifier, file in zip((whole, resumed), saved, strict=True):
        torch.save(classifier.network.state_dict(), file)
    assert saved[0].getvalue() == saved[1].getvalue()
    assert digest(whole.network) == digest(resumed.network)
