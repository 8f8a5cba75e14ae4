"""Phantom skin: drawn dermoscopic images with one lesion each, exact masks, known truth.

The label is the structure inside the lesion, as dermoscopy names it. Shape,
size, place and colour of the lesion, skin, hair and lighting say nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.phantom import Phantom
from saliency_audit.datasets.phantom_fields import Canvas, Field, canvas, smooth_noise, soft
from saliency_audit.datasets.phantom_groups import GROUP, IMAGE, STRUCTURE, generator, group_of
from saliency_audit.datasets.sample import Sample
from saliency_audit.labelling import EVERY_LABEL, Labelling, MaskKind
from saliency_audit.ranges import NotNegative, Positive, PositiveShare, Share

#: Structures, in the order of the labels.
LABELS = ("homogeneous", "network", "globules", "streaks", "veil")

#: Skin from light to dark, RGB 0 to 1; images lie on the line between neighbours.
TONES = np.array([[0.93, 0.77, 0.70], [0.82, 0.63, 0.52], [0.60, 0.43, 0.34]], np.float32)
#: Pigment of lesions, as a factor on the skin's RGB.
PIGMENTS = np.array([[0.74, 0.58, 0.50], [0.55, 0.40, 0.34], [0.80, 0.52, 0.48]], np.float32)
#: The colour of a blue-white veil.
VEIL = np.array([0.60, 0.66, 0.80], np.float32)


@dataclass(frozen=True)
class PhantomSkin(Phantom):
    """Source of phantom skin images: multi-class, one mask per image.

    ``weights``: how frequent each label is, one number above 0 per label;
    ``hairs``: mean number of hairs per image, 0 or more; others as of ``Phantom``.
    """

    kind: Literal["phantom_skin"] = "phantom_skin"
    noise: Share = 0.03
    contrast: PositiveShare = 0.9
    weights: tuple[Positive, Positive, Positive, Positive, Positive] = (4.0, 2.5, 2.0, 1.5, 1.0)
    hairs: NotNegative = 3.0

    labels: ClassVar[tuple[str, ...]] = LABELS
    labelling: ClassVar[Labelling] = Labelling.MULTICLASS
    mask_kind: ClassVar[MaskKind] = MaskKind.SINGLE

    def draw(self, index: int) -> Sample:
        """Draw one image by its number, 0 or more."""
        group = group_of(self.seed, index)
        lesion = _Lesion.drawn(generator(self.seed, GROUP, group), self.weights)
        rng = generator(self.seed, IMAGE, index)
        pose = _Pose.drawn(rng)
        grid = canvas(self.size)
        # Structure has a stream of its own, so that it is the same in every view of the lesion.
        inner = generator(self.seed, STRUCTURE, group)
        skin = _skin(rng, grid, lesion.tone)
        distance, angle = lesion.polar(grid, pose)
        mask = distance < 1
        colour = lesion.paint(inner, grid, skin, distance, angle, pose, self.contrast)
        hairs = int(rng.poisson(self.hairs))
        colour = _hairs(rng, grid, colour, hairs)
        labels = (LABELS[lesion.label],)
        ink = np.array([0.08, 0.08, 0.12], np.float32)
        colour, shortcut = self.planted(index, colour, ink, labels, mask)
        colour = colour * _light(rng, grid)[..., None]
        strata: dict[str, str | None] = {
            "tone": ("light", "medium", "dark")[min(int(lesion.tone * 3), 2)],
            "hair": "none" if not hairs else "some" if hairs < 5 else "many",
            **shortcut,
        }
        return Sample(
            image_id=f"skin-{index:06d}",
            group_id=f"lesion-{group:06d}",
            labels=labels,
            pixels=self.developed(rng, colour),
            masks={EVERY_LABEL: mask},
            strata=strata,
            instances={LABELS[lesion.label]: 1},
            width=self.size[1],
            height=self.size[0],
            source_file=None,
        )


@dataclass(frozen=True)
class _Pose:
    """How a view shows a lesion: place, turn and scale."""

    x: float
    y: float
    turn: float
    scale: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> _Pose:
        return cls(
            x=float(rng.uniform(0.36, 0.64)),
            y=float(rng.uniform(0.36, 0.64)),
            turn=float(rng.uniform(0, 2 * np.pi)),
            scale=float(rng.uniform(0.9, 1.1)),
        )


@dataclass(frozen=True)
class _Lesion:
    """What all views of a lesion share."""

    label: int
    tone: float
    pigment: NDArray[np.float32]
    radius: float
    stretch: float
    border: NDArray[np.float32]
    strength: float
    pitch: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, weights: tuple[float, ...]) -> _Lesion:
        chances = np.array(weights) / sum(weights)
        label = int(rng.choice(len(LABELS), p=chances))
        blend = rng.dirichlet([1.5, 1.5, 1.0]).astype(np.float32)
        waves = np.arange(2, 7)
        border = rng.normal(0, 0.17, (2, len(waves))) / waves
        return cls(
            label=label,
            tone=float(rng.beta(1.6, 2.2)),
            pigment=blend @ PIGMENTS,
            radius=float(rng.uniform(0.17, 0.33)),
            stretch=float(rng.uniform(1.0, 1.45)),
            border=border.astype(np.float32),
            strength=float(rng.uniform(0.5, 1.0)),
            pitch=float(rng.uniform(0.85, 1.2)),
        )

    def polar(self, grid: Canvas, pose: _Pose) -> tuple[Field, Field]:
        """Distance from the centre in units of the border, and angle; (H, W) each."""
        u, v = grid.around((pose.x, pose.y), pose.turn)
        root = np.sqrt(self.stretch)
        angle = np.arctan2(v * np.float32(root), u / np.float32(root))
        edge = np.ones_like(angle)
        for wave, (cos, sin) in enumerate(self.border.T, start=2):
            edge += cos * np.cos(wave * angle) + sin * np.sin(wave * angle)
        radius = np.float32(self.radius * pose.scale) * np.maximum(edge, np.float32(0.4))
        distance = np.hypot(v * np.float32(root), u / np.float32(root)) / radius
        return distance, angle

    def paint(
        self,
        rng: np.random.Generator,
        grid: Canvas,
        skin: Field,
        distance: Field,
        angle: Field,
        pose: _Pose,
        contrast: float,
    ) -> Field:
        """Lay the lesion over skin, RGB (H, W, 3) 0 to 1."""
        u, v = grid.around((pose.x, pose.y), pose.turn)
        u, v = u / np.float32(pose.scale), v / np.float32(pose.scale)
        # The border fades over a few pixels inside the mask; the mask itself is exact.
        fade = np.clip((1 - distance) * np.float32(5), 0, 1)[..., None]
        mottle = 1 + np.float32(0.06) * smooth_noise(rng, grid.size, 5, 2)[..., None]
        body = skin * self.pigment * mottle
        strength = np.float32(contrast * self.strength)
        inside = _Interior(rng, grid, body, u, v, distance, angle, strength, self.pitch)
        structures = (
            inside.homogeneous,
            inside.network,
            inside.globules,
            inside.streaks,
            inside.veil,
        )
        painted: Field = skin + fade * (structures[self.label]() - skin)
        return painted


@dataclass(frozen=True)
class _Interior:
    """The inside of a lesion, and the structures that can be drawn in it; fields are (H, W).

    ``body``: RGB (H, W, 3) without structure; ``u`` and ``v``: place in the lesion;
    ``distance`` and ``angle``: the same as of ``_Lesion.polar``.
    """

    rng: np.random.Generator
    grid: Canvas
    body: Field
    u: Field
    v: Field
    distance: Field
    angle: Field
    strength: np.float32
    pitch: float

    def noise(self, cells: int) -> Field:
        """Random field (H, W), as of ``smooth_noise``."""
        return smooth_noise(self.rng, self.grid.size, cells)

    def homogeneous(self) -> Field:
        """Draw no structure: a slow change of shade only."""
        shade = np.float32(0.10) * self.strength * self.noise(3)[..., None]
        drawn: Field = self.body * (1 - shade)
        return drawn

    def network(self) -> Field:
        """Draw a honeycomb of dark lines about light holes: three warped waves."""
        u, v = self.u, self.v
        warp = np.float32(0.010)
        u = u + warp * self.noise(5)
        v = v + warp * self.noise(5)
        turns = np.array([0.0, 1 / 3, 2 / 3]) * np.pi
        waves = np.float32(2 * np.pi / (0.085 * self.pitch))
        lattice = sum(np.cos(waves * (np.cos(a) * u + np.sin(a) * v)) for a in turns)
        line = np.clip(np.float32(0.1) - np.float32(0.9) * np.asarray(lattice, np.float32), 0, 1)
        patchy = np.clip(np.float32(0.8) + np.float32(0.35) * self.noise(3), 0, 1)
        drawn: Field = self.body * (
            1.12 - np.float32(0.62) * self.strength * (line * patchy)[..., None]
        )
        return drawn

    def globules(self) -> Field:
        """Draw round dark clods of unequal size."""
        u, v = self.u, self.v
        count = int(self.rng.integers(14, 26))
        # Sunflower places keep clods apart; jitter makes them irregular.
        turn = np.arange(count) * 2.399963 + self.rng.uniform(0, 6.28)
        reach = 0.30 * np.sqrt((np.arange(count) + 0.5) / count)
        x = (reach * np.cos(turn) + self.rng.normal(0, 0.015, count)).astype(np.float32)
        y = (reach * np.sin(turn) + self.rng.normal(0, 0.015, count)).astype(np.float32)
        radius = (self.rng.uniform(0.016, 0.030, count) * self.pitch).astype(np.float32)
        dark = np.zeros(self.grid.size, np.float32)
        for cx, cy, r in zip(x, y, radius, strict=True):
            np.maximum(dark, soft(np.hypot(u - cx, v - cy) - r, 0.02), out=dark)
        drawn: Field = self.body * (1.08 - np.float32(0.62) * self.strength * dark[..., None])
        return drawn

    def streaks(self) -> Field:
        """Draw dark radial lines that run to the border."""
        count = int(self.rng.integers(9, 15))
        bend = np.float32(0.5) * self.noise(4)
        spoke = np.cos(
            np.float32(count) * self.angle + bend + np.float32(self.rng.uniform(0, 6.28))
        )
        rise = np.clip((self.distance - np.float32(0.35)) * np.float32(3), 0, 1)
        line = np.clip(spoke * np.float32(1.2) - np.float32(0.1), 0, 1) * rise
        drawn: Field = self.body * (1.10 - np.float32(0.66) * self.strength * line[..., None])
        return drawn

    def veil(self) -> Field:
        """Draw a blurred blue-white patch over a part of the lesion."""
        u, v = self.u, self.v
        turn = self.rng.uniform(0, 2 * np.pi)
        off = self.rng.uniform(0.02, 0.10)
        x, y = np.float32(off * np.cos(turn)), np.float32(off * np.sin(turn))
        field = np.hypot(u - x, v - y) / np.float32(0.13 * self.pitch)
        field = field + np.float32(0.25) * self.noise(4)
        cover = np.clip((np.float32(1.25) - field) * np.float32(1.6), 0, 1)[..., None]
        level: Field = self.body.mean(axis=2, keepdims=True) / np.float32(VEIL.mean())
        drawn: Field = self.body + np.float32(0.85) * self.strength * cover * (
            VEIL * (0.25 + level) - self.body
        )
        return drawn


def _skin(rng: np.random.Generator, grid: Canvas, tone: float) -> Field:
    """Skin of a tone 0 (light) to 1 (dark), with relief and flush; RGB (H, W, 3) 0 to 1."""
    place = tone * (len(TONES) - 1)
    low = min(int(place), len(TONES) - 2)
    base = TONES[low] + np.float32(place - low) * (TONES[low + 1] - TONES[low])
    tint = rng.normal(0, 0.025, 3).astype(np.float32)
    flush = np.float32(0.025) * smooth_noise(rng, grid.size, 4, 2)
    relief = np.float32(0.018) * smooth_noise(rng, grid.size, 20)
    colour = base * (1 + tint) * (1 + relief)[..., None]
    painted: Field = colour + flush[..., None] * np.array([0.4, -0.6, -0.5], np.float32)
    return painted


def _hairs(rng: np.random.Generator, grid: Canvas, colour: Field, count: int) -> Field:
    """Draw dark curved hairs over everything."""
    cover = np.zeros(grid.size, np.float32)
    for _ in range(count):
        centre = (float(rng.uniform(0, 1)), float(rng.uniform(0, 1)))
        along, across = grid.around(centre, float(rng.uniform(0, 2 * np.pi)))
        bend, half, width = (
            rng.uniform(-0.9, 0.9),
            rng.uniform(0.15, 0.5),
            rng.uniform(0.004, 0.009),
        )
        off = np.abs(across - np.float32(bend) * along * along) - np.float32(width)
        line = soft(off, max(grid.pixel, 0.008)) * (np.abs(along) < half)
        np.maximum(cover, line, out=cover)
    shade = rng.uniform(0.10, 0.30)
    ink = np.array([1.0, 0.8, 0.65], np.float32) * np.float32(shade)
    drawn: Field = colour + np.float32(0.85) * cover[..., None] * (ink - colour)
    return drawn


def _light(rng: np.random.Generator, grid: Canvas) -> Field:
    """Brightness (H, W): a slope, and the dark corners of a round field of view."""
    turn = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0, 0.12)
    u, v = grid.x - np.float32(0.5), grid.y - np.float32(0.5)
    plane = 1 + np.float32(slope) * (np.float32(np.cos(turn)) * u + np.float32(np.sin(turn)) * v)
    reach = np.hypot(u, v)
    depth, edge = rng.uniform(0.15, 0.9), rng.uniform(0.50, 0.66)
    dark = np.clip((reach - np.float32(edge)) * np.float32(9), 0, 1)
    lit: Field = plane * (1 - np.float32(depth) * dark) * (1 - np.float32(0.25) * reach**2)
    return lit
