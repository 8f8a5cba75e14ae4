"""The training loop that classifiers and the segmenter share.

Epochs, early stopping, the best epoch's weights, and a state on disk from
which a killed training goes on to the same bytes. What a loss is belongs to
the module of the model.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from saliency_audit.compute import Compute, evaluating
from saliency_audit.errors import DataError, ModelError
from saliency_audit.models.augmentation import Augmentation
from saliency_audit.models.weights import model_digest, put_weights
from saliency_audit.parameters import Checked
from saliency_audit.progress import Progress, silent
from saliency_audit.ranges import Count, Interval, NotNegative, Positive, Seed

logger = logging.getLogger(__name__)

#: The layout of the state on disk; another number is not read.
STATE_VERSION = 1
# What a generator is for: two uses of one seed never share a stream.
SHUFFLE, NETWORK, AUGMENT = 1, 2, 3


#: Images of a step of training: a batch of one has no statistics.
StepImages = Annotated[int, Interval(ge=2)]


@dataclass(frozen=True)
class FitParameters(Checked):
    """How a network is fitted.

    ``epochs``: passes over the training split, at most (1 or more); ``batch``: images per step
    (2 or more; fewer where the split has fewer); ``learning_rate``: of the optimiser, above 0;
    ``schedule``: ``constant``, or ``cosine`` down to 0 over all epochs; ``weight_decay``: 0 or
    more; ``optimiser``: ``adam``, ``adamw`` or ``sgd`` (momentum 0.9); ``patience``: epochs
    without a lower tune loss after which training stops (1 or more); ``augmentation``: random
    changes of training images, or false for none; ``seed``: of weights, order, dropout and
    augmentation, 0 or more.

    >>> FitParameters(learning_rate=0)
    Traceback (most recent call last):
    saliency_audit.errors.ParameterError: learning_rate is 0: give above 0
    """

    epochs: Count = 20
    batch: StepImages = 32
    learning_rate: Positive = 1e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    weight_decay: NotNegative = 0.0
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    patience: Count = 5
    augmentation: Augmentation | Literal[False] = False
    seed: Seed = 0


OPTIMISERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True)
class Epoch:
    """One pass over the training split: its number from 1, and the mean losses per image."""

    number: int
    train_loss: float
    tune_loss: float


@dataclass(frozen=True)
class History:
    """How a training went: its epochs in order, and the number of the one whose weights stayed."""

    epochs: tuple[Epoch, ...]
    best: int


class BatchLoss(Protocol):
    """The loss of a model on images by index."""

    def __call__(self, indices: Sequence[int], kept: int, epoch: int | None) -> Tensor:
        """Mean loss (a scalar) of the first ``kept`` of the images.

        The others only fill the batch. ``epoch``: for the draws of augmentation; None where there
        is none, outside training.
        """


@dataclass
class _State:
    """Where a training stands after an epoch."""

    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def add(self, epoch: Epoch, network: nn.Module) -> None:
        """Take in an epoch, and its weights if its tune loss is the lowest so far."""
        self.epochs.append(epoch)
        if self.best == 0 or epoch.tune_loss < self.epochs[self.best - 1].tune_loss:
            self.best = epoch.number
            self.best_weights = copy_of(network)

    def finished(self, parameters: FitParameters) -> bool:
        """Whether all epochs are done, or none of the last ``patience`` was the best."""
        done = len(self.epochs)
        return done >= parameters.epochs or (done - self.best >= parameters.patience)


def fit(
    network: nn.Module,
    loss: BatchLoss,
    splits: Mapping[Literal["train", "tune"], Sequence[int]],
    parameters: FitParameters,
    compute: Compute,
    *,
    inputs: str = "",
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> History:
    """Fit a network, leave the weights of its best epoch in it, and say how it went.

    ``splits``: indices of the images to learn from and of those whose loss decides when to stop;
    ``inputs``: anything that says which data they index, for the checkpoint; ``checkpoint``: a
    file written after each epoch, from which a killed training goes on to the same bytes. Progress
    counts batches. Raises DataError for a split too small, ModelError where the loss is no number.
    """
    train, tune = splits["train"], splits["tune"]
    _check_splits(train, tune)
    device = compute.start()
    network.to(device)
    if compute.channels_last:
        network.to(memory_format=torch.channels_last)
    optimiser = _optimiser(network, parameters)
    key = _fingerprint(network, splits, parameters, compute, inputs)
    state = _resume(checkpoint, key, network, optimiser)
    fitting = _Fitting(network, loss, train, tune, optimiser, parameters, progress)
    while not state.finished(parameters):
        number = len(state.epochs) + 1
        with _seeded(parameters.seed, number, device):
            train_loss = fitting.train_epoch(number)
        state.add(Epoch(number, train_loss, fitting.tune_loss(number)), network)
        if checkpoint is not None:
            _write(checkpoint, key, network, optimiser, state)
    put_weights(network, state.best_weights, strict=True)
    network.eval()
    progress(fitting.total, fitting.total)
    return History(tuple(state.epochs), state.best)


@dataclass
class _Fitting:
    """What every epoch of one training shares."""

    network: nn.Module
    loss: BatchLoss
    train: Sequence[int]
    tune: Sequence[int]
    optimiser: torch.optim.Optimizer
    parameters: FitParameters
    progress: Progress

    @property
    def batch(self) -> int:
        """Images per step: the one shape of all calls of the network."""
        return min(self.parameters.batch, len(self.train))

    @property
    def steps(self) -> int:
        """Whole batches of an epoch; what is left over takes its turn in another epoch."""
        return len(self.train) // self.batch

    @property
    def total(self) -> int:
        """Batches of the whole training, if it does not stop early."""
        return self.steps * self.parameters.epochs

    def train_epoch(self, number: int) -> float:
        """Take every step of an epoch; gives the mean loss."""
        self.network.train()
        generator = np.random.default_rng([self.parameters.seed, SHUFFLE, number])
        places = generator.permutation(len(self.train))
        total = 0.0
        for step in range(self.steps):
            done = (number - 1) * self.steps + step
            chosen = places[step * self.batch : (step + 1) * self.batch]
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(self.parameters, done / self.total)
            total += self._step([int(self.train[place]) for place in chosen], number)
            self.progress(done + 1, self.total)
        return total / self.steps

    def _step(self, indices: Sequence[int], number: int) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(indices, len(indices), number)
        value = self._finite(loss.item(), number)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return value

    def tune_loss(self, number: int) -> float:
        """Mean loss over the tune split; its last batch is filled up with its first image."""
        total = 0.0
        with torch.no_grad(), evaluating(self.network):
            for start in range(0, len(self.tune), self.batch):
                indices = [int(index) for index in self.tune[start : start + self.batch]]
                kept = len(indices)
                padded = indices + indices[:1] * (self.batch - kept)
                total += self.loss(padded, kept, None).item() * kept
        return self._finite(total / len(self.tune), number)

    def _finite(self, value: float, number: int) -> float:
        if not math.isfinite(value):
            raise ModelError(
                f"the loss became {value} in epoch {number} at learning_rate "
                f"{self.parameters.learning_rate}: give a smaller learning_rate"
            )
        return value


def learning_rate(parameters: FitParameters, share_done: float) -> float:
    """Learning rate after a share in [0, 1) of all steps.

    >>> learning_rate(FitParameters(learning_rate=1.0, schedule="cosine"), 0.5)
    0.5
    """
    if parameters.schedule == "constant":
        return parameters.learning_rate
    return parameters.learning_rate * (1 + math.cos(math.pi * share_done)) / 2


def copy_of(network: nn.Module) -> dict[str, Tensor]:
    """Give a copy of a network's weights on the CPU, which further training leaves alone."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }


def _check_splits(train: Sequence[int], tune: Sequence[int]) -> None:
    if len(train) < 2:
        raise DataError(
            f"the training split holds {len(train)} images: give at least 2 (see split in params)"
        )
    if not len(tune):
        raise DataError(
            "the tune split holds no images: early stopping needs one; "
            "raise split.validation or add images"
        )


def _optimiser(network: nn.Module, parameters: FitParameters) -> torch.optim.Optimizer:
    options: dict[str, Any] = {
        "lr": parameters.learning_rate,
        "weight_decay": parameters.weight_decay,
    }
    if parameters.optimiser == "sgd":
        options["momentum"] = 0.9
    kind: Any = OPTIMISERS[parameters.optimiser]
    optimiser: torch.optim.Optimizer = kind(network.parameters(), **options)
    return optimiser


@contextmanager
def _seeded(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators (dropout) for one epoch, and give them back as they were."""
    drawn = np.random.SeedSequence([seed, NETWORK, epoch]).generate_state(1, np.uint64)[0]
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(drawn >> np.uint64(1)))
        yield


def _fingerprint(
    network: nn.Module,
    splits: Mapping[Literal["train", "tune"], Sequence[int]],
    parameters: FitParameters,
    compute: Compute,
    inputs: str,
) -> str:
    """Digest of all that this loop knows to decide the weights: a state of another is foreign."""
    content = {
        "parameters": asdict(parameters),
        "compute": asdict(compute),
        "train": [int(index) for index in splits["train"]],
        "tune": [int(index) for index in splits["tune"]],
        "start": model_digest(network.state_dict(), ""),
        "inputs": inputs,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(
    path: Path, key: str, network: nn.Module, optimiser: torch.optim.Optimizer, state: _State
) -> None:
    content = io.BytesIO()
    torch.save(
        {
            "version": STATE_VERSION,
            "key": key,
            "weights": copy_of(network),
            "optimiser": optimiser.state_dict(),
            "epochs": [[e.number, e.train_loss, e.tune_loss] for e in state.epochs],
            "best": state.best,
            "best_weights": state.best_weights,
        },
        content,
    )
    # Written by Python, so that a full disk is an OSError that names the file.
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _resume(
    path: Path | None, key: str, network: nn.Module, optimiser: torch.optim.Optimizer
) -> _State:
    """Put back the state of a killed training; a new one where there is none that fits."""
    if path is None or not path.exists():
        return _State()
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["version"] != STATE_VERSION or saved["key"] != key:
            logger.warning("%s is of another training: it starts anew", path)
            return _State()
        epochs = [Epoch(int(n), float(a), float(b)) for n, a, b in saved["epochs"]]
        weights, moments = saved["weights"], saved["optimiser"]
        state = _State(epochs, int(saved["best"]), dict(saved["best_weights"]))
    except (
        RuntimeError,
        OSError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        logger.warning("%s cannot be read (%s): training starts anew", path, error)
        return _State()
    put_weights(network, weights, strict=True)
    optimiser.load_state_dict(moments)
    logger.info("training goes on after epoch %d", len(state.epochs))
    return state
