"""The segmenter: Eq 8 in float64 and against smp, any image size, and that it learns to draw."""

from dataclasses import replace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from saliency_audit.compute import Compute
from saliency_audit.errors import DataError, ModelError, ParameterError
from saliency_audit.models.augmentation import Augmentation
from saliency_audit.models.segmenter import (
    DICE_SMOOTHING,
    Segmenter,
    SegmenterParameters,
    build_segmenter,
    segmentation_loss,
    segmentation_quality,
    segmenter_quality,
    train_segmenter,
)
from saliency_audit.models.weights import model_digest

COMPUTE = Compute(batch=16)


class Discs:
    """Noise of 32 pixels square with a bright disc; with two channels, a dark one, too, or not."""

    def __init__(self, channels=1, count=160):
        rng = np.random.default_rng(0)
        y, x = np.mgrid[:32, :32]
        self.pixels = rng.normal(120, 20, (count, 32, 32, 3))
        self.marks = np.zeros((count, channels, 32, 32), np.uint8)
        for image in range(count):
            for channel in range(channels):
                centre, radius = rng.uniform(8, 24, 2), rng.uniform(4, 8)
                inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
                if channel == 1 and image % 2:
                    continue
                self.marks[image, channel] = inside
                self.pixels[image][inside] += (80, -80)[channel]
        self.pixels = self.pixels.clip(0, 255).astype(np.uint8)
        self.known = np.ones((count, channels), bool)
        self.train, self.tune = range(100), range(100, 120)
        self.test = range(120, count)
        self.read = set()

    def images(self, indices):
        self.read.update(indices)
        return self.pixels[list(indices)]

    def masks(self, indices):
        return self.marks[list(indices)]


def equation_8(logits, masks, ce_weight, known):
    """λ·CE + (1 − λ)·Dice in float64, channel by channel."""
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    losses = -(masks * np.log(p) + (1 - masks) * np.log(1 - p))
    pixels = [losses[i, c] for i, c in zip(*np.nonzero(known), strict=True)]
    dice = []
    for c in range(masks.shape[1]):
        rows = known[:, c]
        if rows.any():
            both, either = (p * masks)[rows, c].sum(), (p + masks)[rows, c].sum()
            dice.append(1 - (2 * both + 1) / (either + 1))
    return ce_weight * np.mean(pixels) + (1 - ce_weight) * np.mean(dice)


def some_batch(empty=False):
    rng = np.random.default_rng(4)
    logits, masks = rng.normal(0, 2, (3, 4, 5, 6)), (rng.random((3, 4, 5, 6)) < 0.3) * 1.0
    if empty:
        masks[:, 1] = 0
    return logits, masks


@pytest.mark.parametrize("ce_weight", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("unknown", [[], [(0, 1)], [(0, 2), (1, 2), (2, 2), (1, 0)]])
@pytest.mark.parametrize("empty", [False, True])
def test_the_loss_is_equation_8(ce_weight, unknown, empty):
    logits, masks = some_batch(empty)
    known = np.ones((3, 4), bool)
    for place in unknown:
        known[place] = False
        masks[place] = 0.7  # what is not known may be anything
    found = segmentation_loss(
        torch.from_numpy(logits), torch.from_numpy(masks), ce_weight, torch.from_numpy(known)
    )
    assert found.item() == pytest.approx(equation_8(logits, masks, ce_weight, known), rel=1e-12)


def test_the_dice_part_is_that_of_smp():
    logits, masks = (torch.from_numpy(part) for part in some_batch())
    # smp adds its smoothing to the overlap, which counts twice in Dice.
    oracle = smp.losses.DiceLoss("multilabel", smooth=DICE_SMOOTHING / 2)(logits, masks)
    assert segmentation_loss(logits, masks, 0).item() == pytest.approx(oracle.item(), rel=1e-12)


def test_a_perfect_drawing_costs_nothing_an_empty_one_of_nothing_neither():
    masks = torch.from_numpy(some_batch(empty=True)[1])
    for ce_weight in (0, 0.5, 1):
        assert segmentation_loss((masks * 2 - 1) * 40, masks, ce_weight).item() < 1e-6


def test_with_nothing_known_the_loss_is_zero_and_has_a_gradient():
    logits = torch.zeros(2, 1, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.zeros(2, 1, 4, 4), 0.5, torch.zeros(2, 1, dtype=bool))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


PARAMETERS = SegmenterParameters(
    epochs=6, batch=10, learning_rate=0.01, augmentation=Augmentation(horizontal_flip=True)
)


@pytest.fixture(scope="module")
def trained():
    data = Discs(channels=2)
    segmenter = build_segmenter(PARAMETERS, 2)
    return data, segmenter, train_segmenter(segmenter, data, PARAMETERS, COMPUTE)


def test_it_learns_to_draw(trained):
    data, segmenter, history = trained
    bright, dark = segmenter_quality(segmenter, data, data.test, COMPUTE)
    assert bright.dice > 0.85 and dark.dice > 0.7
    assert (bright.images, bright.marked) == (40, 40) and (dark.images, dark.marked) == (40, 20)
    assert history.epochs[history.best - 1].tune_loss < history.epochs[0].tune_loss
    assert not segmenter.training


def test_quality_does_not_depend_on_the_batch_and_is_that_of_the_drawings(trained):
    data, segmenter, _ = trained
    indices = list(data.test)
    with torch.no_grad():
        pixels = torch.from_numpy(data.images(indices)).permute(0, 3, 1, 2) / 255
        drawn = (segmenter(pixels) > 0.5).numpy()
    masks = data.masks(indices).astype(bool)
    for channel, found in enumerate(segmenter_quality(segmenter, data, indices, Compute(batch=7))):
        a, b = drawn[:, channel].reshape(40, -1), masks[:, channel].reshape(40, -1)
        b_any = b.any(1)
        dice = 2 * (a & b).sum(1)[b_any] / (a.sum(1) + b.sum(1))[b_any]
        iou = (a & b).sum(1)[b_any] / (a | b).sum(1)[b_any]
        assert found.dice == pytest.approx(dice.mean(), abs=1e-3)
        assert found.iou == pytest.approx(iou.mean(), abs=1e-3)
        assert found.pixel_iou == pytest.approx((a & b).sum() / (a | b).sum(), abs=1e-3)
        assert found.empty_drawn == (b_any & ~a.any(1)).sum()
        assert found.falsely_drawn == (~b_any & a.any(1)).sum()


def test_an_interrupted_training_goes_on_to_the_same_bytes(tmp_path):
    parameters = replace(PARAMETERS, epochs=2, encoder="tu-resnet10t")
    data = Discs(count=60)
    data.train, data.tune = range(40), range(40, 60)

    def stop(done, total):
        if done == total - 1:
            raise KeyboardInterrupt

    whole, first, resumed = (build_segmenter(parameters, 1) for _ in range(3))
    expected = train_segmenter(whole, data, parameters, COMPUTE)
    state = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        train_segmenter(first, data, parameters, COMPUTE, checkpoint=state, progress=stop)
    assert train_segmenter(resumed, data, parameters, COMPUTE, checkpoint=state) == expected
    digests = {model_digest(model.network.state_dict(), "") for model in (whole, resumed)}
    assert len(digests) == 1


def test_images_without_a_mask_are_passed_over():
    data = Discs(count=60)
    data.train, data.tune = range(40), range(40, 60)
    data.known[::2] = False
    parameters = replace(PARAMETERS, epochs=1)
    train_segmenter(build_segmenter(parameters, 1), data, parameters, COMPUTE)
    assert data.read == set(range(1, 60, 2))


def test_a_split_without_a_mask_is_named():
    for split, rows in (("training", slice(0, 100)), ("tune", slice(100, 120))):
        data = Discs()
        data.known[rows] = False
        with pytest.raises(DataError, match=f"no image of the {split} split has a mask"):
            train_segmenter(build_segmenter(PARAMETERS, 1), data, PARAMETERS, COMPUTE)
    with pytest.raises(DataError, match=r"known has shape \(160, 1\): give \(images, 2\)"):
        train_segmenter(build_segmenter(PARAMETERS, 2), Discs(), PARAMETERS, COMPUTE)


@pytest.mark.parametrize("size", [(32, 32), (31, 32), (17, 45), (5, 3)])
@pytest.mark.parametrize(("depth", "channels"), [(3, (8, 8, 8)), (5, (8, 8, 8, 8, 8))])
def test_images_of_any_size_are_drawn_at_their_own(size, depth, channels):
    parameters = SegmenterParameters(encoder_depth=depth, decoder_channels=channels)
    segmenter = build_segmenter(parameters, 2).eval()
    drawn = segmenter(torch.rand(2, 3, *size))
    assert drawn.shape == (2, 2, *size)
    assert drawn.min() >= 0 and drawn.max() <= 1


def test_padding_repeats_the_border_and_is_cut_off():
    segmenter = Segmenter(torch.nn.Identity(), 3, multiple=8, mean=(0.0,) * 3, std=(1.0,) * 3)
    images = torch.rand(1, 3, 9, 8)
    assert torch.equal(segmenter.logits(images), images)
    seen = []
    segmenter.network.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    segmenter.logits(images)
    assert seen[0].shape == (1, 3, 16, 8)
    assert (seen[0][:, :, 9:] == images[:, :, -1:]).all()


def test_the_seed_alone_decides_the_weights():
    digests = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(digests))
        segmenter = build_segmenter(replace(PARAMETERS, seed=seed), 1)
        digests.append(model_digest(segmenter.network.state_dict(), ""))
    assert digests[0] == digests[1] != digests[2]


def test_quality_of_nothing_is_none_and_counts_stand_beside_it():
    empty, full = np.zeros((1, 1, 2, 2), bool), np.ones((1, 1, 2, 2), bool)
    known, unknown = np.ones((1, 1), bool), np.zeros((1, 1), bool)
    nothing = segmentation_quality([(empty, empty, known), (full, empty, unknown)], 1)[0]
    assert (nothing.images, nothing.marked) == (1, 0)
    assert nothing.dice is nothing.iou is nothing.pixel_dice is nothing.pixel_iou is None
    missed = segmentation_quality([(empty, full, known)], 1)[0]
    assert (missed.dice, missed.iou, missed.empty_drawn, missed.falsely_drawn) == (0, 0, 1, 0)
    invented = segmentation_quality([(full, empty, known)], 1)[0]
    assert (invented.dice, invented.pixel_dice, invented.falsely_drawn) == (None, 0, 1)
    with pytest.raises(DataError, match="known"):
        segmentation_quality([(empty, empty, np.ones((2, 1), bool))], 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder_depth": 2}, "encoder_depth is 2"),
        ({"decoder_channels": (8, 8)}, "decoder_channels is"),
        ({"decoder_channels": (8, 8, 0)}, "decoder_channels is"),
        ({"ce_weight": 1.5}, "ce_weight is 1.5"),
        ({"architecture": "unet3"}, "give unet"),
        ({"encoder_weights": "mine"}, "encoder_weights is 'mine'"),
        ({"mean": (127.0, 0.5, 0.5)}, "mean is"),
        ({"std": (0.0, 0.5, 0.5)}, "std is"),
        ({"epochs": 0}, "epochs is 0"),
    ],
)
def test_a_range_is_held(changes, said):
    with pytest.raises(ParameterError, match=said):
        SegmenterParameters(**changes)


@pytest.mark.parametrize(
    ("encoder", "near"), [("resnet81", "resnet18"), ("tu-resnet81", "tu-resnet18")]
)
def test_an_unknown_encoder_is_answered_with_the_nearest(encoder, near):
    with pytest.raises(ParameterError, match=f"did you mean {near}"):
        build_segmenter(SegmenterParameters(encoder=encoder), 1)


def test_an_encoder_that_does_not_fit_its_depth_is_named():
    parameters = SegmenterParameters(
        encoder="tu-vit_tiny_patch16_224", encoder_depth=3, decoder_channels=(8, 8, 8)
    )
    with pytest.raises(ModelError, match="tu-vit_tiny_patch16_224"):
        build_segmenter(parameters, 1)


def test_a_segmenter_has_at_least_one_channel():
    with pytest.raises(ParameterError, match="channels is 0"):
        build_segmenter(PARAMETERS, 0)
