"""The model that draws P, the predicted masks: its network, loss, training and quality.

Source: SegX paper, Eq 5 (P) and Eq 8 (the loss).

One channel per label where masks are per label, one for the lesion where they
are not; which channel means what is the caller's to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from saliency_audit.compute import Compute
from saliency_audit.errors import DataError, ModelError, ParameterError
from saliency_audit.models.augmentation import Augmentation, augment, draws
from saliency_audit.models.fitting import AUGMENT, FitParameters, History, StepImages, fit
from saliency_audit.models.training import as_pixels
from saliency_audit.naming import hint
from saliency_audit.progress import Progress, silent
from saliency_audit.ranges import (
    Count,
    Interval,
    Positive,
    PositiveShare,
    Share,
    Text,
    check_at_least,
)

#: Added above and below in the Dice loss, in pixels: an empty channel drawn empty costs nothing.
DICE_SMOOTHING = 1.0
#: What segmentation-models-pytorch puts before the name of a timm network.
TIMM_ENCODER = "tu-"


@dataclass(frozen=True)
class SegmenterParameters(FitParameters):
    """The segmenter and how it is fitted (see FitParameters for the rest).

    The defaults are the smallest that were found to draw all findings of the 64-pixel phantoms
    in well under a minute on one core; larger images want a larger encoder and depth.

    ``architecture``: ``unet`` (Ronneberger et al. 2015); ``encoder``: a name of
    segmentation-models-pytorch, or ``tu-<name>`` for a network of timm; ``encoder_depth``:
    halvings of the image in it, 3 to 5; ``decoder_channels``: of each of as many decoder blocks,
    coarsest first; ``encoder_weights``: ``imagenet`` to start from a download, None for random
    weights; ``ce_weight``: λ of Eq 8, the share of cross-entropy against Dice, in [0, 1] (the
    paper gives none); ``mean`` and ``std`` per channel, of pixels in [0, 1].
    """

    architecture: Literal["unet"] = "unet"
    epochs: Count = 8
    batch: StepImages = 8
    learning_rate: Positive = 4e-3
    patience: Count = 4
    encoder: Text = "tu-regnetx_002"
    encoder_depth: Annotated[int, Interval(ge=3, le=5)] = 3
    decoder_channels: tuple[Count, ...] = (32, 24, 16)
    encoder_weights: Literal["imagenet"] | None = None
    ce_weight: Share = 0.5
    mean: tuple[Share, Share, Share] = (0.5, 0.5, 0.5)
    std: tuple[PositiveShare, PositiveShare, PositiveShare] = (0.25, 0.25, 0.25)

    def __post_init__(self) -> None:
        """Check the ranges, and the decoder beside the encoder; raises ParameterError."""
        super().__post_init__()
        channels = self.decoder_channels
        if len(channels) != self.encoder_depth:
            raise ParameterError(
                f"decoder_channels is {list(channels)}: give encoder_depth "
                f"({self.encoder_depth}) numbers"
            )


class Segmenter(nn.Module):
    """A network that draws, with its preprocessing.

    ``network``: normalised images (B, 3, H, W) to logits (B, channels, H, W), sides divisible by
    ``multiple``; others are padded by their border inside and cut off again.
    """

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        *,
        multiple: int = 1,
        mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
        std: tuple[float, float, float] = (0.25, 0.25, 0.25),
    ) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.multiple = multiple
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        """Logits (B, channels, H, W) of pixels (B, 3, H, W) in [0, 1], of any size."""
        images = (images - self.get_buffer("mean")) / self.get_buffer("std")
        height, width = images.shape[-2:]
        below, right = -height % self.multiple, -width % self.multiple
        if below or right:
            images = nn.functional.pad(images, (0, right, 0, below), mode="replicate")
        logits: Tensor = self.network(images)
        return logits[..., :height, :width]

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (B, channels, H, W) that a pixel is marked, of pixels in [0, 1]."""
        return self.logits(images).sigmoid()


def build_segmenter(parameters: SegmenterParameters, channels: int) -> Segmenter:
    """Build an untrained segmenter of ``channels`` masks; the same seed gives the same bytes.

    Raises ParameterError for an unknown encoder, ModelError where its weights cannot be had.
    """
    check_at_least(1, channels=channels)
    check_encoder(parameters.encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(parameters.seed)
        network = _unet(parameters, channels)
    return Segmenter(
        network,
        channels,
        multiple=2**parameters.encoder_depth,
        mean=parameters.mean,
        std=parameters.std,
    )


def check_encoder(encoder: str) -> None:
    """Raise ParameterError for an encoder that nothing knows, with the nearest; loads timm."""
    import segmentation_models_pytorch as smp
    import timm

    known = smp.encoders.get_encoder_names()
    if encoder.startswith(TIMM_ENCODER):
        if timm.is_model(encoder.removeprefix(TIMM_ENCODER)):
            return
        known = [TIMM_ENCODER + name for name in timm.list_models()]
    if encoder not in known:
        raise ParameterError(f"segmenter.encoder: unknown {encoder!r}: {hint(encoder, known)}")


def _unet(parameters: SegmenterParameters, channels: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    try:
        network: nn.Module = smp.Unet(
            encoder_name=parameters.encoder,
            encoder_depth=parameters.encoder_depth,
            encoder_weights=parameters.encoder_weights,
            decoder_channels=parameters.decoder_channels,
            in_channels=3,
            classes=channels,
        )
    except Exception as error:
        if parameters.encoder_weights is None:
            raise ModelError(
                f"encoder {parameters.encoder} cannot be built with encoder_depth "
                f"{parameters.encoder_depth}: {error}; take another encoder or depth"
            ) from None
        said = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"the pretrained weights of encoder {parameters.encoder} cannot be had ({said}): "
            "connect to the network, or set segmenter.encoder_weights: null"
        ) from None
    return network


def segmentation_loss(
    logits: Tensor, masks: Tensor, ce_weight: float, known: Tensor | None = None
) -> Tensor:
    """λ·CE + (1 − λ)·Dice (SegX paper, Eq 8), a scalar; λ is ``ce_weight``.

    ``logits`` and ``masks`` (0 and 1): (B, channels, H, W). CE: the binary cross-entropy of each
    channel, as findings overlap, its mean over pixels. Dice: 1 − (2 Σ p y + s) / (Σ p + Σ y + s),
    sums over all pixels of the batch, s = 1 pixel, its mean over channels. ``known`` (B, channels):
    where a mask is known; elsewhere nothing counts, and a channel known nowhere in the batch
    takes no part. With nothing known at all the loss is 0.
    """
    if known is None:
        known = torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
    counts = known.to(logits.dtype)[..., None, None]
    pixels = counts.sum() * logits.shape[-2] * logits.shape[-1]
    losses = nn.functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    cross_entropy = (losses * counts).sum() / pixels.clamp(min=1)
    probabilities = logits.sigmoid() * counts
    both = (probabilities * masks).sum(dim=(0, 2, 3))
    either = probabilities.sum(dim=(0, 2, 3)) + (masks * counts).sum(dim=(0, 2, 3))
    dice = 1 - (2 * both + DICE_SMOOTHING) / (either + DICE_SMOOTHING)
    present = known.any(dim=0).to(logits.dtype)
    dice = (dice * present).sum() / present.sum().clamp(min=1)
    return ce_weight * cross_entropy + (1 - ce_weight) * dice


class SegmentationData(Protocol):
    """Images by index with their masks, read as they are needed."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether an image's mask of a channel is known, (images, channels).

        Of masks per label all are: a label that the image does not have has an empty mask.
        """

    @property
    def train(self) -> Sequence[int]:
        """Indices of the images to learn from."""

    @property
    def tune(self) -> Sequence[int]:
        """Indices of the images that decide when to stop."""

    def images(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Give images by index, (n, height, width, 3), 0 to 255."""

    def masks(self, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Give masks by index, (n, channels, height, width), foreground 1."""


def train_segmenter(
    segmenter: Segmenter,
    data: SegmentationData,
    parameters: SegmenterParameters,
    compute: Compute,
    *,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> History:
    """Train a segmenter in place and say how it went; the best epoch's weights stay.

    Images of which no mask is known are passed over. ``checkpoint`` as in ``fitting.fit``. Raises
    DataError where a split has no image with a mask, ModelError where the loss is no number.
    """
    known = np.asarray(data.known, dtype=bool)
    if known.ndim != 2 or known.shape[1] != segmenter.channels:
        raise DataError(
            f"known has shape {known.shape}: give (images, {segmenter.channels}), one column each"
        )

    def loss(indices: Sequence[int], kept: int, epoch: int | None) -> Tensor:
        images = as_pixels(data.images(indices))
        masks = torch.from_numpy(np.asarray(data.masks(indices), dtype=np.float32))
        if epoch is not None and isinstance(parameters.augmentation, Augmentation):
            drawn = draws([parameters.seed, AUGMENT, epoch], indices)
            images, moved = augment(images, masks, parameters.augmentation, drawn)
            masks = masks if moved is None else moved
        logits = segmenter.logits(compute.place(images))[:kept]
        where = torch.from_numpy(known[list(indices)])[:kept].to(logits.device)
        return segmentation_loss(
            logits, masks[:kept].to(logits.device), parameters.ce_weight, where
        )

    segmenter.to(compute.start())
    history = fit(
        segmenter.network,
        loss,
        {
            "train": _with_masks(data.train, known, "training"),
            "tune": _with_masks(data.tune, known, "tune"),
        },
        parameters,
        compute,
        inputs=hashlib.sha256(np.packbits(known).tobytes()).hexdigest(),
        checkpoint=checkpoint,
        progress=progress,
    )
    segmenter.eval()
    return history


def _with_masks(indices: Sequence[int], known: NDArray[np.bool_], split: str) -> list[int]:
    kept = [int(index) for index in indices if known[int(index)].any()]
    if not kept:
        raise DataError(
            f"no image of the {split} split has a mask: add masks, or audit without a segmenter"
        )
    return kept


@dataclass(frozen=True)
class ChannelQuality:
    """How well one channel is drawn.

    ``images``: with a known mask; ``marked``: those whose mask marks a pixel; ``dice`` and
    ``iou``: mean per image over the marked ones, in [0, 1], None without any; ``pixel_dice`` and
    ``pixel_iou``: of all pixels of all images together, None where nothing is marked or drawn;
    ``empty_drawn``: marked images in which nothing is drawn; ``falsely_drawn``: images with an
    empty mask in which something is.
    """

    images: int
    marked: int
    dice: float | None
    iou: float | None
    pixel_dice: float | None
    pixel_iou: float | None
    empty_drawn: int
    falsely_drawn: int


def segmentation_quality(
    batches: Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]],
    channels: int,
) -> list[ChannelQuality]:
    """Dice = 2|A∩B| / (|A|+|B|) and IoU = |A∩B| / |A∪B| per channel, streaming.

    ``batches``: of (drawn, masks, known): drawn and masks (n, channels, H, W), known (n,
    channels). Raises DataError where shapes differ.
    """
    tallies = [_Tally() for _ in range(channels)]
    for drawn, masks, known in batches:
        if drawn.shape != masks.shape or known.shape != drawn.shape[:2]:
            raise DataError(
                f"drawn has shape {drawn.shape}, masks {masks.shape} and known {known.shape}: "
                "give (n, channels, height, width) twice and (n, channels)"
            )
        both = (drawn & masks).sum(axis=(2, 3))
        areas = drawn.sum(axis=(2, 3)), masks.sum(axis=(2, 3))
        for image, channel in zip(*np.nonzero(known), strict=True):
            at = (image, channel)
            tallies[channel].add(int(both[at]), int(areas[0][at]), int(areas[1][at]))
    return [tally.quality() for tally in tallies]


class _Tally:
    """Running sums of one channel's quality."""

    def __init__(self) -> None:
        self.images = self.marked = self.empty_drawn = self.falsely_drawn = 0
        self.both = self.areas = 0
        self.dice = self.iou = 0.0

    def add(self, both: int, drawn: int, mask: int) -> None:
        """Count one image by its pixels: in both, in the drawing, in the mask."""
        self.images += 1
        self.both += both
        self.areas += drawn + mask
        self.empty_drawn += int(mask > 0 and drawn == 0)
        self.falsely_drawn += int(mask == 0 and drawn > 0)
        if mask:
            self.marked += 1
            self.dice += 2 * both / (drawn + mask)
            self.iou += both / (drawn + mask - both)

    def quality(self) -> ChannelQuality:
        """Give the means."""
        return ChannelQuality(
            self.images,
            self.marked,
            self.dice / self.marked if self.marked else None,
            self.iou / self.marked if self.marked else None,
            2 * self.both / self.areas if self.areas else None,
            self.both / (self.areas - self.both) if self.areas else None,
            self.empty_drawn,
            self.falsely_drawn,
        )


def segmenter_quality(
    segmenter: Segmenter, data: SegmentationData, indices: Sequence[int], compute: Compute
) -> list[ChannelQuality]:
    """Quality per channel of a segmenter on images by index, {probability > 0.5} against masks.

    One batch at a time is in memory.
    """
    known = np.asarray(data.known, dtype=bool)

    def batches() -> Iterable[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
        for start in range(0, len(indices), compute.batch):
            chunk = [int(index) for index in indices[start : start + compute.batch]]
            with torch.no_grad():
                drawn = compute.call(segmenter, as_pixels(data.images(chunk))) > 0.5
            yield drawn.cpu().numpy(), np.asarray(data.masks(chunk), dtype=bool), known[chunk]

    was_training = segmenter.training
    segmenter.to(compute.start()).eval()
    try:
        return segmentation_quality(batches(), segmenter.channels)
    finally:
        segmenter.train(was_training)
