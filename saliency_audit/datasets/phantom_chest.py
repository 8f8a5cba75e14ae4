"""Phantom chest: drawn frontal radiographs with any number of findings, a mask for each.

Bright is dense, as on a film. The anatomy of a patient is the same in all of
the patient's images; findings mostly are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from saliency_audit.datasets.phantom import Phantom
from saliency_audit.datasets.phantom_fields import Canvas, Field, canvas, smooth_noise, soft
from saliency_audit.datasets.phantom_groups import GROUP, IMAGE, STRUCTURE, generator, group_of
from saliency_audit.datasets.sample import Sample
from saliency_audit.labelling import Labelling, MaskKind
from saliency_audit.ranges import Share

#: Findings, in the order of the labels.
LABELS = ("cardiomegaly", "consolidation", "effusion", "nodule", "pneumothorax")

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PhantomChest(Phantom):
    """Source of phantom chest radiographs: multi-label, a mask per finding.

    ``prevalence``: share of patients with each finding, one number from 0 to 1 per label; others
    as of ``Phantom``.
    """

    kind: Literal["phantom_chest"] = "phantom_chest"
    prevalence: tuple[Share, Share, Share, Share, Share] = (0.20, 0.26, 0.28, 0.26, 0.16)

    labels: ClassVar[tuple[str, ...]] = LABELS
    labelling: ClassVar[Labelling] = Labelling.MULTILABEL
    mask_kind: ClassVar[MaskKind] = MaskKind.PER_LABEL

    def draw(self, index: int) -> Sample:
        """Draw one image by its number, 0 or more."""
        group = group_of(self.seed, index)
        patient = _Patient.drawn(generator(self.seed, GROUP, group), self.prevalence)
        rng = generator(self.seed, IMAGE, index)
        # A finding shows in most of a patient's images, and always in the first.
        seen = (rng.random(len(LABELS)) < 0.8) | (index == group)
        view = "AP" if rng.random() < 0.35 else "PA"
        film = _Film(canvas(self.size), patient, _Pose.drawn(rng, view), rng)
        findings = generator(self.seed, STRUCTURE, group).spawn(len(LABELS))
        masks: dict[str, Mask] = {}
        instances: dict[str, int] = {}
        draws = (film.cardiomegaly, film.consolidation, film.effusion, film.nodule, film.lucency)
        for number, label in enumerate(LABELS):
            enlarged = label == "cardiomegaly"
            if patient.has[number] and (seen[number] or enlarged):
                strength = self.contrast * float(findings[number].uniform(0.45, 1.0))
                mask, count = draws[number](findings[number], strength)
                # A finding that the film does not show is not a label of it.
                if mask.any():
                    masks[label], instances[label] = mask, count
        labels = tuple(masks)
        taken = np.logical_or.reduce([np.zeros(self.size, bool), *masks.values()])
        white = np.array([0.98], np.float32)
        grey, shortcut = self.planted(index, film.exposed()[..., None], white, labels, taken)
        pixels = self.developed(rng, grey)
        return Sample(
            image_id=f"chest-{index:06d}",
            group_id=f"patient-{group:06d}",
            labels=labels,
            pixels=np.repeat(pixels, 3, axis=2),
            masks=masks,
            strata={"view": view, "sex": patient.sex, "age": str(patient.age), **shortcut},
            instances=instances,
            width=self.size[1],
            height=self.size[0],
            source_file=None,
        )


@dataclass(frozen=True)
class _Patient:
    """What all images of a patient share."""

    has: tuple[bool, ...]
    sex: str
    age: int
    lung_width: float
    lung_height: float
    heart: float
    rib_pitch: float
    habitus: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, prevalence: tuple[float, ...]) -> _Patient:
        has = tuple(bool(value) for value in rng.random(len(LABELS)) < np.array(prevalence))
        # A large heart takes at least half of the chest's width, a common one less.
        heart = rng.uniform(1.32, 1.60) if has[0] else rng.uniform(0.90, 1.14)
        return cls(
            has=has,
            sex="female" if rng.random() < 0.46 else "male",
            age=int(np.clip(rng.normal(52, 17), 18, 92)),
            lung_width=float(rng.uniform(0.135, 0.165)),
            lung_height=float(rng.uniform(0.29, 0.34)),
            heart=float(heart),
            rib_pitch=float(rng.uniform(0.070, 0.090)),
            habitus=float(rng.uniform(0, 1)),
        )


@dataclass(frozen=True)
class _Pose:
    """How an image shows a patient: place, scale, depth of breath, exposure."""

    x: float
    y: float
    scale: float
    breath: float
    heart: float
    exposure: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, view: str) -> _Pose:
        lying = view == "AP"
        return cls(
            x=float(rng.normal(0, 0.012)),
            y=float(rng.normal(0, 0.012)),
            scale=float(rng.uniform(0.95, 1.06)),
            breath=float(rng.uniform(-0.03, 0.01) if lying else rng.uniform(-0.01, 0.02)),
            # An AP film magnifies the heart, which lies in front.
            heart=1.10 if lying else 1.0,
            exposure=float(rng.normal(0, 0.035)),
        )


class _Film:
    """A film under way: anatomy first, findings laid over it, then exposed."""

    def __init__(
        self, grid: Canvas, patient: _Patient, pose: _Pose, rng: np.random.Generator
    ) -> None:
        self.grid, self.patient, self.pose, self.rng = grid, patient, pose, rng
        self.x = (grid.x - np.float32(0.5 + pose.x)) / np.float32(pose.scale)
        self.y = (grid.y - np.float32(0.5 + pose.y)) / np.float32(pose.scale)
        #: A soft edge of about one pixel, not sharper than a film's.
        self.edge = max(grid.pixel, 0.012)
        self.density = self._anatomy()

    @cached_property
    def heart(self) -> Field:
        """Distance to the heart's border, negative inside, (H, W)."""
        size = np.float32(0.128 * self.patient.heart * self.pose.heart)
        # The heart grows to the patient's left, which is right on a film.
        x = self.x - (np.float32(0.015) + size * np.float32(0.22))
        y = self.y - np.float32(0.13 + self.pose.breath)
        u = np.float32(0.86) * x + np.float32(0.51) * y
        v = np.float32(0.86) * y - np.float32(0.51) * x
        reach = np.hypot(u / np.float32(1.12), v / np.float32(0.86))
        distance: Field = reach - size
        return distance

    @cached_property
    def lungs(self) -> tuple[Field, Field]:
        """Distances to the borders of the lungs, left of the film first; negative inside."""
        return self._lung(-1), self._lung(1)

    @cached_property
    def dome(self) -> Field:
        """Height of the diaphragm as y by x, (1, W): higher on the left of the film."""
        base = np.float32(0.285 + self.pose.breath) + np.float32(0.018) * np.sign(self.x)
        off = (np.abs(self.x) - np.float32(0.17)) / np.float32(0.16)
        height: Field = base + np.float32(0.055) * off * off
        return height

    def _lung(self, side: int, shrink: float = 1.0, sink: float = 0.0) -> Field:
        centre = np.float32(side * 0.178)
        width = np.float32(self.patient.lung_width * shrink)
        height = np.float32(self.patient.lung_height * shrink)
        v = (self.y + np.float32(0.035 - sink)) / height
        # A collapsed lung keeps to the mediastinum.
        medial = centre - np.float32(side * self.patient.lung_width * (1 - shrink))
        taper = 1 - np.float32(0.42) * np.clip(-v, 0, 1) ** 2
        u = (self.x - medial) / (width * taper)
        reach = (np.abs(u) ** 2.6 + np.abs(np.minimum(v, 0)) ** 2.4).astype(np.float32)
        wall = (reach - 1) * width * np.float32(0.4)
        whole: Field = np.maximum(np.maximum(wall, self.y - self.dome), np.float32(-0.35) - self.y)
        return whole

    def _anatomy(self) -> Field:
        x, y, edge = self.x, self.y, self.edge
        neck = np.abs(x) - np.float32(0.13) - np.clip((y + np.float32(0.40)) * 4, 0, 0.31)
        body = soft(np.maximum(neck, -0.62 - y).astype(np.float32), 0.05)
        density = np.float32(0.05) + np.float32(0.55 + 0.06 * self.patient.habitus) * body
        density = density + np.float32(0.012) * smooth_noise(self.rng, self.grid.size, 6, 2) * body
        self.air = np.maximum(*(soft(lung, edge) for lung in self.lungs))
        self.air = self.air * (1 - soft(self.heart, 2 * edge))
        knob = np.hypot(x - np.float32(0.045), y + np.float32(0.10)) - np.float32(0.038)
        self.air = self.air * (1 - soft(np.minimum(np.abs(x) - np.float32(0.048), knob), 0.03))
        density = density - np.float32(0.40) * self.air
        # Vessels: fine and denser towards the hila.
        hilum = np.exp(-(((np.abs(x) - 0.075) / 0.10) ** 2) - ((y - 0.02) / 0.16) ** 2)
        vessels = np.clip(smooth_noise(self.rng, self.grid.size, 16, 2), 0, 2)
        self.markings = self.air * vessels * (0.018 + 0.055 * hilum).astype(np.float32)
        density = density + self.markings + self.air * np.float32(0.10) * hilum.astype(np.float32)
        density = density + self._bones() * body
        spine = np.exp(-((x / np.float32(0.035)) ** 2))
        discs = 1 + np.float32(0.25) * np.cos(y * np.float32(2 * np.pi / 0.075))
        density = density + np.float32(0.07) * spine * discs * body
        density = density - np.float32(0.05) * soft(self.heart, 3 * edge)
        belly = soft(self.dome - y, edge) * body
        breast = np.zeros(self.grid.size, np.float32)
        if self.patient.sex == "female":
            low = np.hypot((np.abs(x) - 0.19) / 0.15, (y - 0.17) / 0.13).astype(np.float32) - 1
            breast = np.float32(0.045) * soft(low, 0.3)
        whole: Field = density + np.float32(0.06) * belly + breast
        return whole

    def _bones(self) -> Field:
        """Ribs, rear ones steeper than front ones, and collar bones."""
        x, y = np.abs(self.x), self.y
        cage = soft(np.maximum(x - np.float32(0.345), y - np.float32(0.36)), 0.03)
        wave = np.float32(2 * np.pi / self.patient.rib_pitch)
        rear = np.cos(wave * (y + np.float32(1.5) * (x - np.float32(0.20)) ** 2 * 2))
        front = np.cos(wave * np.float32(0.8) * (y - np.float32(0.9) * x))
        ribs = np.clip(rear, 0, 1) * np.float32(0.070) + np.clip(front, 0.3, 1) * np.float32(0.030)
        collar = np.abs(y + np.float32(0.325) + np.float32(0.22) * x) - np.float32(0.012)
        collar = np.maximum(collar, np.abs(x - np.float32(0.17)) - np.float32(0.14))
        bones: Field = ribs * cage + np.float32(0.11) * soft(collar, 0.012)
        return bones

    def cardiomegaly(self, rng: np.random.Generator, strength: float) -> tuple[Mask, int]:
        """Mark the heart itself, which the patient's anatomy has made large."""
        return self.heart < 0, 1

    def consolidation(self, rng: np.random.Generator, strength: float) -> tuple[Mask, int]:
        """Draw one or two blotchy dense fields without a sharp border."""
        mask = np.zeros(self.grid.size, bool)
        count = int(rng.choice([1, 2], p=[0.7, 0.3]))
        for side in rng.permutation([-1, 1])[:count]:
            x, y = side * rng.uniform(0.12, 0.23), rng.uniform(-0.14, 0.17)
            reach = np.hypot(
                (self.x - x) / rng.uniform(0.07, 0.11), (self.y - y) / rng.uniform(0.07, 0.13)
            )
            ragged = reach.astype(np.float32) + np.float32(0.22) * smooth_noise(
                rng, self.grid.size, 9, 2
            )
            inside = (ragged < 1.15) & (self.air > 0.5)
            blotch = np.float32(0.75) + np.float32(0.30) * smooth_noise(rng, self.grid.size, 14)
            cover = np.clip((np.float32(1.15) - ragged) * np.float32(2.2), 0, 1) * inside
            self.density = self.density + np.float32(0.42 * strength) * cover * blotch
            mask |= inside
        return mask, count

    def effusion(self, rng: np.random.Generator, strength: float) -> tuple[Mask, int]:
        """Draw fluid at the base of one or both lungs, under a meniscus."""
        mask = np.zeros(self.grid.size, bool)
        count = int(rng.choice([1, 2], p=[0.75, 0.25]))
        for side in rng.permutation([0, 1])[:count]:
            lateral = (np.abs(self.x) - np.float32(0.10)) / np.float32(0.2)
            depth = rng.uniform(0.03, 0.16)
            level = np.float32(0.285 + self.pose.breath - depth) - np.float32(0.13) * lateral**2
            lung = self.lungs[side]
            inside = (lung < 0) & (self.y > level) & (self.heart > 0)
            cover = soft(level - self.y, 2 * self.edge) * soft(lung, self.edge)
            cover = cover * soft(-self.heart, self.edge)
            # Fluid hides what lies behind it.
            veiled = np.float32(0.60) - self.density
            self.density = self.density + np.float32(0.25 + 0.6 * strength) * cover * veiled
            mask |= inside
        return mask, count

    def nodule(self, rng: np.random.Generator, strength: float) -> tuple[Mask, int]:
        """Draw one to three round dense spots in the lungs."""
        mask = np.zeros(self.grid.size, bool)
        found = 0
        for _ in range(int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.10]))):
            side = rng.choice([-1, 1])
            x, y = side * rng.uniform(0.11, 0.25), rng.uniform(-0.20, 0.18)
            radius = rng.uniform(0.026, 0.050)
            reach = np.hypot(self.x - np.float32(x), self.y - np.float32(y)) / np.float32(radius)
            inside = (reach < 1) & (self.air > 0.5)
            if inside.any():
                cover = np.clip((np.float32(1.15) - reach) * np.float32(2.5), 0, 1)
                self.density = self.density + np.float32(0.46 * strength) * cover * self.air
                mask |= inside
                found += 1
        return mask, found

    def lucency(self, rng: np.random.Generator, strength: float) -> tuple[Mask, int]:
        """Draw a pneumothorax: a dark crescent without markings, and the lung's edge."""
        side = int(rng.integers(2))
        shrink, sink = rng.uniform(0.72, 0.88), rng.uniform(0.02, 0.06)
        collapsed = self._lung((-1, 1)[side], float(shrink), float(sink))
        lung = self.lungs[side]
        inside = (lung < 0) & (collapsed > 0) & (self.air > 0.5)
        cover = soft(-collapsed, self.edge) * soft(lung, self.edge) * self.air
        self.density = self.density - cover * (self.markings + np.float32(0.16 * strength))
        rim = soft(np.abs(collapsed) - np.float32(0.006), self.edge) * soft(lung, self.edge)
        self.density = self.density + np.float32(0.12 * strength) * rim * self.air
        return inside, 1

    def exposed(self) -> Field:
        """Grey values 0 to 1, (H, W)."""
        fog = np.float32(0.015) * smooth_noise(self.rng, self.grid.size, 3)
        grey: Field = np.clip(self.density + np.float32(self.pose.exposure) + fog, 0, 1)
        return grey
