"""The normal chest of a phantom: shapes in unit coordinates, drawn as X-ray attenuation.

Coordinates run from 0 to 1, x to the right and y down the picture. In a frontal view the patient's
right lung is on the left of the picture. Attenuation is what the picture shows: air 0, bone near 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from harness.phantom.scene import Certainty, Scene, Sign
from harness.report import Finding, Laterality, Severity

Plane = NDArray[np.float32]
Box = tuple[float, float, float, float]

HEART_SCALE = {Severity.MILD: 1.32, Severity.MODERATE: 1.5, Severity.SEVERE: 1.72}
MEDIASTINUM_SCALE = {Severity.MILD: 1.6, Severity.MODERATE: 2.0, Severity.SEVERE: 2.5}


@lru_cache(maxsize=2)
def grid(size: int) -> tuple[Plane, Plane]:
    """Coordinates of pixel centres as x of shape (1, size) and y of shape (size, 1)."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / np.float32(size)
    return line[None, :], line[:, None]


def ramp(distance: Plane, width: float) -> Plane:
    """0 outside, 1 inside, linear over `width` around distance 0."""
    inside: Plane = np.clip(distance / np.float32(width) + np.float32(0.5), 0, 1, dtype=np.float32)
    return inside


def smooth(plane: Plane, radius: float) -> Plane:
    """Gaussian blur; the radius is a fraction of the picture's width."""
    picture = Image.fromarray(np.clip(plane * 255, 0, 255).astype(np.uint8))
    blurred = picture.filter(ImageFilter.GaussianBlur(radius * plane.shape[1]))
    return np.asarray(blurred, dtype=np.float32) / np.float32(255)


def cloud(size: int, rng: np.random.Generator, grain: int) -> Plane:
    """Smooth noise in [0, 1], about `grain` blobs across."""
    coarse = Image.fromarray((rng.random((grain, grain)) * 255).astype(np.uint8))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32) / np.float32(
        255
    )


class Strokes:
    """Thin bright lines, drawn together and blurred once."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.picture = Image.new("L", (size, size), 0)
        self.pen = ImageDraw.Draw(self.picture)

    def line(self, points: NDArray[np.float64], width: float, level: float) -> None:
        """A line through unit coordinates, shape (n, 2); width as a fraction of the picture."""
        pixels = [(float(x) * self.size, float(y) * self.size) for x, y in points]
        self.pen.line(pixels, fill=int(level * 255), width=max(1, round(width * self.size)))

    def plane(self, blur: float = 0.0015) -> Plane:
        """What was drawn, as attenuation in [0, 1]."""
        drawn = self.picture.filter(ImageFilter.GaussianBlur(blur * self.size))
        return np.asarray(drawn, dtype=np.float32) / np.float32(255)


@dataclass(frozen=True, slots=True)
class Lung:
    """One lung in the frontal view: the space between two walls, an apex and a dome."""

    side: Laterality
    apex: float
    dome: float
    """y of the top of the diaphragm."""
    inner: float
    """x of the mediastinal wall at mid height."""
    outer: float
    """x of the chest wall at its widest."""

    @property
    def sign(self) -> int:
        """-1 where the chest wall is towards x = 0: the patient's right."""
        return -1 if self.side is Laterality.RIGHT else 1

    @property
    def width(self) -> float:
        """From mediastinum to chest wall."""
        return abs(self.outer - self.inner)

    @property
    def base(self) -> float:
        """Y of the costophrenic angle."""
        return self.dome + 0.075

    def wall(self, y: Plane | float) -> Plane:
        """X of the chest wall at a height: narrow at the apex, widest near the base."""
        t = np.clip((np.asarray(y, dtype=np.float32) - self.apex) / (self.base - self.apex), 0, 1)
        reach = np.sqrt(np.clip(1 - (1 - t) ** 2.6, 0, 1)) * (1 - 0.06 * t)
        start = self.inner + self.sign * 0.012
        wall: Plane = (start + (self.outer - start) * reach).astype(np.float32)
        return wall

    def floor(self, x: Plane | float) -> Plane:
        """Y of the diaphragm at an x: a dome that falls towards the chest wall."""
        u = np.clip((np.asarray(x, dtype=np.float32) - self.inner) / (self.outer - self.inner), -0.2, 1.1)
        floor: Plane = (self.dome + 0.085 * np.abs(u - 0.42) ** 1.9 / 0.42).astype(np.float32)
        return floor

    def mask(self, size: int) -> Plane:
        """Where the lung is, 0 to 1, shape (size, size)."""
        x, y = grid(size)
        inside = ramp(self.sign * (self.wall(y) - x), 0.012) * ramp(self.sign * (x - self.inner), 0.02)
        return inside * ramp(self.floor(x) - y, 0.01) * ramp(y - self.apex, 0.02)

    def place(self, across: float, down: float) -> tuple[float, float]:
        """Point at a fraction of the way from mediastinum to wall, and from apex to dome."""
        y = self.apex + down * (self.dome - self.apex)
        x = self.inner + across * (float(self.wall(y)) - self.inner)
        return x, y


@dataclass(frozen=True, slots=True)
class Chest:
    """The shapes of one patient's frontal view, drawn with the patient's own variation."""

    lungs: tuple[Lung, Lung]
    """Right, left."""
    middle: float
    heart: tuple[float, float, float, float]
    """Centre x, y and half axes."""
    mediastinum: float
    """Half width of the upper mediastinum."""
    push: float
    """How far air under tension pushes heart and mediastinum aside, in x."""
    ribs: int
    seed: int

    def lung(self, side: Laterality) -> Lung:
        """The lung of a side."""
        return self.lungs[0] if side is Laterality.RIGHT else self.lungs[1]

    def rib(self, number: int, lung: Lung, count: int = 40) -> NDArray[np.float64]:
        """The curve of a posterior rib from spine to chest wall, shape (count, 2)."""
        t = np.linspace(0, 1, count)
        top = lung.apex - 0.015 + number * (lung.base - lung.apex + 0.06) / self.ribs
        y = top + 0.12 * (t - 0.25) ** 2 + 0.05 * t
        end = np.asarray(lung.wall(y.astype(np.float32)), dtype=np.float64) + lung.sign * 0.012
        x = self.middle + lung.sign * 0.02 + t * (end - self.middle - lung.sign * 0.02)
        return np.stack([x, y], axis=1)


def chest_of(scene: Scene, rng: np.random.Generator) -> Chest:
    """Draws the shapes of a frontal view: normal variation, and the size of heart and vessels."""
    child = scene.age < 12
    middle = 0.5 + rng.normal(0, 0.006)
    half = rng.normal(0.385, 0.014) * (0.88 if child else 1.0)
    apex = rng.normal(0.115, 0.012) + (0.06 if child else 0)
    dome = rng.normal(0.70, 0.018) - (0.06 if child else 0)
    cardiomegaly = scene.sign(Finding.CARDIOMEGALY)
    wide = scene.sign(Finding.ENLARGED_CARDIOMEDIASTINUM)
    width = half * rng.normal(0.44, 0.018) * (1.12 if child else 1.0)
    width *= _grown(HEART_SCALE, cardiomegaly)
    mediastinum = rng.normal(0.052, 0.004) * _grown(MEDIASTINUM_SCALE, wide)
    push = _push(scene.sign(Finding.PNEUMOTHORAX))
    centre, inner = middle + push, 0.05
    lungs = (
        Lung(Laterality.RIGHT, apex, dome - 0.012, centre - inner, middle - half),
        Lung(Laterality.LEFT, apex, dome + 0.012, centre + inner, middle + half),
    )
    heart = (centre + 0.26 * width, dome - 0.075, width, 0.135 + 0.10 * width)
    ribs, seed = int(rng.integers(9, 11)), int(rng.integers(2**31))
    return Chest(lungs, middle, heart, mediastinum, push, ribs, seed)


def _push(sign: Sign | None) -> float:
    """A large, one-sided pneumothorax pushes the mediastinum towards the other side."""
    if sign is None or sign.severity is not Severity.SEVERE or sign.certainty is not Certainty.CLEAR:
        return 0.0
    if sign.laterality is Laterality.RIGHT:
        return 0.024
    return -0.024 if sign.laterality is Laterality.LEFT else 0.0


def _grown(scale: dict[Severity, float], sign: Sign | None) -> float:
    if sign is None:
        return 1.0
    faint = sign.certainty is Certainty.FAINT
    return 1 + (scale[sign.severity or Severity.MODERATE] - 1) * (0.55 if faint else 1.0)


def draw_chest(chest: Chest, size: int) -> tuple[Plane, Plane]:
    """The normal frontal view and the two lungs' mask, each of shape (size, size)."""
    rng = np.random.default_rng(chest.seed)
    x, y = grid(size)
    right, left = chest.lungs
    half = (left.outer - right.outer) / 2 + 0.055
    body = ramp(1 - np.abs((x - chest.middle) / half) ** 2.6 - np.abs((y - 0.72) / 0.70) ** 8, 0.25)
    plane = np.float32(0.03) + np.float32(0.60) * body
    masks = right.mask(size) + left.mask(size)
    plane -= np.float32(0.43) * masks
    # Breathing lungs are darker towards the apex.
    plane += np.float32(0.07) * masks * (y - np.float32(0.3))
    hx, hy, a, b = chest.heart
    tilt = x - np.float32(hx) + np.float32(0.25) * (y - np.float32(hy))
    heart = ramp(1 - (tilt / a) ** 2 - ((y - np.float32(hy)) / b) ** 2, 0.12)
    top, bottom = right.apex - 0.05, hy
    centre = chest.middle + chest.push
    upper = ramp(np.float32(chest.mediastinum) - np.abs(x - centre), 0.016)
    upper = upper * ramp(y - top, 0.03) * ramp(bottom - y, 0.05)
    knob_y = right.apex + 0.15
    knob_x = centre + chest.mediastinum * 0.75
    knob = ramp(1 - ((x - knob_x) / 0.036) ** 2 - ((y - knob_y) / 0.036) ** 2, 0.3)
    soft = np.maximum(np.maximum(heart, upper), knob)
    plane = np.maximum(plane, np.float32(0.62) * soft + (1 - soft) * plane)
    strokes = Strokes(size)
    for lung in chest.lungs:
        _vessels(strokes, lung, rng)
    plane += np.float32(0.30) * strokes.plane(0.002) * masks * (1 - soft)
    bones = Strokes(size)
    for lung in chest.lungs:
        for number in range(chest.ribs):
            bones.line(chest.rib(number, lung), 0.017, 0.55)
        clavicle = np.array([
            [chest.middle + lung.sign * 0.035, lung.apex + 0.055],
            [chest.middle + lung.sign * 0.17, lung.apex + 0.012],
            [chest.middle + lung.sign * (half + 0.02), lung.apex + 0.03],
        ])  # fmt: skip
        bones.line(clavicle, 0.024, 0.6)
    plane += np.float32(0.20) * bones.plane(0.0025) * body
    spine = ramp(np.float32(0.03) - np.abs(x - chest.middle), 0.012)
    discs = np.float32(0.85) + np.float32(0.15) * np.cos(y * np.float32(2 * np.pi / 0.045))
    plane += np.float32(0.09) * spine * discs * body
    bubble = ramp(1 - ((x - left.inner - 0.14) / 0.06) ** 2 - ((y - left.dome - 0.13) / 0.035) ** 2, 0.5)
    plane -= np.float32(0.18) * bubble
    return plane.astype(np.float32), masks.astype(np.float32)


def _vessels(strokes: Strokes, lung: Lung, rng: np.random.Generator) -> None:
    root_x, root_y = lung.place(0.10, 0.48)
    for _ in range(13):
        angle = rng.uniform(-1.35, 1.35)
        point = np.array([root_x, root_y + rng.normal(0, 0.03)])
        width = 0.011
        for _ in range(5):
            step = rng.uniform(0.035, 0.06)
            after = point + step * np.array([lung.sign * np.cos(angle), np.sin(angle)])
            strokes.line(np.stack([point, after]), width, min(1.0, 0.35 + 40 * width))
            point, angle, width = after, angle + rng.normal(0, 0.3), width * 0.72


@dataclass(frozen=True, slots=True)
class SideView:
    """The lateral view: spine on the right of the picture, breastbone on the left."""

    front: float
    back: float
    apex: float
    dome: float
    heart: tuple[float, float, float, float]
    seed: int

    def floor(self, x: Plane | float) -> Plane:
        """Y of the diaphragm: it falls towards the back."""
        u = (np.asarray(x, dtype=np.float32) - self.front) / (self.back - self.front)
        floor: Plane = (self.dome + 0.17 * np.clip(u - 0.35, 0, 1) ** 1.5).astype(np.float32)
        return floor

    def mask(self, size: int) -> Plane:
        """Where air is, 0 to 1."""
        x, y = grid(size)
        t = np.clip((y - self.apex) / 0.5, 0, 1)
        front = self.front + 0.13 * (1 - np.sqrt(t))
        return (
            ramp(x - front, 0.015) * ramp(self.back - 0.03 * (1 - t) - x, 0.015)
            * ramp(self.floor(x) - y, 0.01) * ramp(y - self.apex, 0.04)
        )  # fmt: skip


def side_view_of(scene: Scene, rng: np.random.Generator) -> SideView:
    """Draws the shapes of a lateral view."""
    grown = _grown(HEART_SCALE, scene.sign(Finding.CARDIOMEGALY))
    front, back = rng.normal(0.22, 0.012), rng.normal(0.76, 0.012)
    dome = rng.normal(0.66, 0.018)
    heart = (front + 0.15 + 0.03 * (grown - 1), dome - 0.07, 0.125 * (0.4 + 0.6 * grown), 0.13)
    return SideView(front, back, rng.normal(0.12, 0.01), dome, heart, int(rng.integers(2**31)))


def draw_side_view(view: SideView, size: int) -> tuple[Plane, Plane]:
    """The normal lateral view and its mask of air."""
    rng = np.random.default_rng(view.seed)
    x, y = grid(size)
    body = ramp(1 - np.abs((x - 0.5) / 0.40) ** 2.6 - np.abs((y - 0.74) / 0.72) ** 8, 0.25)
    plane = np.float32(0.03) + np.float32(0.66) * body
    air = view.mask(size)
    plane -= np.float32(0.38) * air
    hx, hy, a, b = view.heart
    heart = ramp(1 - ((x - hx + 0.3 * (y - hy)) / a) ** 2 - ((y - hy) / b) ** 2, 0.2)
    plane = np.maximum(plane, np.float32(0.6) * heart + (1 - heart) * plane)
    strokes = Strokes(size)
    middle = (view.front + view.back) / 2
    for _ in range(18):
        angle = rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.06, 0.2)
        root = np.array([middle + 0.02, 0.42])
        strokes.line(np.stack([root, root + reach * np.array([np.cos(angle), np.sin(angle)])]), 0.007, 0.5)
    plane += np.float32(0.22) * strokes.plane(0.003) * air
    spine = ramp(np.float32(0.035) - np.abs(x - view.back - 0.035), 0.014)
    discs = np.float32(0.8) + np.float32(0.2) * np.cos(y * np.float32(2 * np.pi / 0.06))
    plane += np.float32(0.12) * spine * discs * body
    bones = Strokes(size)
    for number in range(8):
        top = 0.16 + number * 0.07
        curve = np.linspace(0, 1, 30)
        points = np.stack([view.back + 0.02 - curve * 0.42, top + 0.16 * curve**1.5], axis=1)
        bones.line(points, 0.012, 0.4)
    plane += np.float32(0.12) * bones.plane(0.003) * body
    return plane.astype(np.float32), air.astype(np.float32)
