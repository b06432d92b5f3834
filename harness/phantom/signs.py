"""Draws findings into a chest: each changes the attenuation and returns where it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.phantom.anatomy import Box, Chest, Lung, Plane, SideView, Strokes, cloud, grid, ramp
from harness.phantom.scene import Certainty, Sign, Zone
from harness.report import Finding, Laterality, Severity

FAINT = 0.4
LAYERS = (
    Finding.CARDIOMEGALY,
    Finding.ENLARGED_CARDIOMEDIASTINUM,
    Finding.PNEUMOTHORAX,
    Finding.LUNG_OPACITY,
    Finding.PNEUMONIA,
    Finding.CONSOLIDATION,
    Finding.EDEMA,
    Finding.PLEURAL_EFFUSION,
    Finding.PLEURAL_OTHER,
    Finding.ATELECTASIS,
    Finding.LUNG_LESION,
    Finding.FRACTURE,
    Finding.SUPPORT_DEVICES,
)
"""The order in which signs are drawn: what covers a whole region first, so that no later sign wipes
out a smaller one that the truth says is there."""
_GRADE = {Severity.MILD: 0, Severity.MODERATE: 1, Severity.SEVERE: 2, None: 1}
_DEPTH = {Zone.UPPER: 0.24, Zone.MIDDLE: 0.52, Zone.LOWER: 0.82, None: 0.6}


@dataclass(slots=True)
class Canvas:
    """A picture while findings are drawn into it."""

    plane: Plane
    """Attenuation, shape (size, size); changed in place."""
    air: Plane
    """Where lung is, 0 to 1."""

    @property
    def size(self) -> int:
        """Pixels along one side."""
        return int(self.plane.shape[0])


def draw_frontal(canvas: Canvas, chest: Chest, sign: Sign, rng: np.random.Generator) -> Box | None:
    """Draws a sign into a frontal view; its box in unit coordinates, None if it does not show."""
    strength = FAINT if sign.certainty is Certainty.FAINT else 1.0
    sides = {
        Laterality.BILATERAL: (Laterality.RIGHT, Laterality.LEFT),
        None: (Laterality.RIGHT, Laterality.LEFT),
    }.get(sign.laterality, (sign.laterality,))
    if sign.finding in (Finding.CARDIOMEGALY, Finding.ENLARGED_CARDIOMEDIASTINUM):
        return _silhouette(chest, sign.finding)  # the anatomy is drawn large
    if sign.finding is Finding.SUPPORT_DEVICES:
        return _device(canvas, chest, sign.kind)
    draw = _FRONTAL[sign.finding]
    boxes = [
        draw(canvas, chest, chest.lung(side), sign, strength, rng)  # type: ignore[arg-type]
        for side in sides
    ]
    return _union(boxes)


def _silhouette(chest: Chest, finding: Finding) -> Box:
    hx, hy, a, b = chest.heart
    if finding is Finding.CARDIOMEGALY:
        return hx - a - 0.02, hy - b, hx + a + 0.02, hy + b
    top, centre = chest.lungs[0].apex, chest.middle + chest.push
    return centre - chest.mediastinum - 0.02, top, centre + chest.mediastinum + 0.02, hy


def _pneumothorax(
    canvas: Canvas, chest: Chest, lung: Lung, sign: Sign, strength: float, rng: np.random.Generator
) -> Box:
    """Air between lung and chest wall: no markings, darker, bounded by a thin pleural line."""
    grade = _GRADE[sign.severity]
    depth = (0.055, 0.10, 0.17)[grade] * rng.uniform(0.9, 1.1)
    bottom = lung.apex + (0.30, 0.46, 0.62)[grade] * (lung.base - lung.apex)
    x, y = grid(canvas.size)
    t = np.clip((y - lung.apex) / (bottom - lung.apex), 0, 1)
    # Widest at the apex, closing towards its lower end.
    gap = np.float32(depth) * np.sqrt(np.clip(1 - t**2, 0, 1))
    edge = lung.wall(y) - lung.sign * gap
    roof = lung.apex + np.float32(depth * 0.9)
    beyond = np.maximum(ramp(lung.sign * (x - edge), 0.006), ramp(roof - y, 0.006))
    region = beyond * lung.mask(canvas.size) * ramp(bottom - y, 0.01)
    flat = np.float32(0.09)
    canvas.plane += np.float32(strength) * region * (flat - canvas.plane) * np.float32(0.82)
    line = ramp(np.float32(0.0045) - np.abs(x - edge), 0.004) * ramp(y - roof, 0.01)
    cap = ramp(np.float32(0.0045) - np.abs(y - roof), 0.004) * ramp(lung.sign * (edge - x), 0.01)
    line = np.maximum(line, cap) * ramp(bottom - y, 0.01) * lung.mask(canvas.size)
    canvas.plane += np.float32(0.24 * strength) * line
    return _box(lung.inner, lung.apex - 0.01, lung.outer + lung.sign * 0.015, bottom + 0.01)


def _effusion(
    canvas: Canvas, chest: Chest, lung: Lung, sign: Sign, strength: float, rng: np.random.Generator
) -> Box:
    """Fluid: a dense base with a meniscus that climbs the chest wall."""
    grade = _GRADE[sign.severity]
    level = lung.base - (0.115, 0.19, 0.31)[grade] * rng.uniform(0.92, 1.1)
    x, y = grid(canvas.size)
    u = np.clip((x - lung.inner) / (lung.outer - lung.inner), 0, 1.05)
    climb = (0.05, 0.08, 0.10)[grade]
    surface = np.float32(level + 0.045) - np.float32(climb) * u**3 - np.float32(0.03 * grade) * u
    # Down to a little below the dome, so that no seam of air is left between fluid and diaphragm.
    space = ramp(lung.sign * (lung.wall(y) - x), 0.012) * ramp(lung.sign * (x - lung.inner), 0.02)
    fluid = space * ramp(lung.floor(x) + np.float32(0.012) - y, 0.01) * ramp(y - surface, 0.02)
    target = np.float32(0.63)
    canvas.plane += np.float32(strength) * fluid * np.clip(target - canvas.plane, 0, 1)
    top = level + 0.035 - climb - 0.03 * grade
    return _box(lung.inner, top, lung.outer + lung.sign * 0.015, lung.base + 0.03)


def _fracture(
    canvas: Canvas, chest: Chest, lung: Lung, sign: Sign, strength: float, rng: np.random.Generator
) -> Box:
    """A rib that ends, a step and a gap, with swollen soft tissue around."""
    grade = _GRADE[sign.severity]
    number = int(rng.integers(3, chest.ribs - 2))
    curve = chest.rib(number, lung, 120)
    at = int(rng.integers(66, 96))
    cx, cy = curve[at]
    x, y = grid(canvas.size)
    step = (0.014, 0.024, 0.034)[grade]
    gap = (0.010, 0.014, 0.019)[grade]
    span = 16
    # The rib is wiped out around the break and drawn anew, in two pieces out of line.
    near = ramp(1 - ((x - cx) / (gap + 0.045)) ** 2 - ((y - cy) / 0.03) ** 2, 0.4)
    old = Strokes(canvas.size)
    old.line(curve[at - span : at + span], 0.017, 0.55)
    canvas.plane -= np.float32(0.20 * strength) * old.plane(0.0025) * near
    new = Strokes(canvas.size)
    reach = max(2, int(gap / np.linalg.norm(curve[at + 1] - curve[at]) / 2))
    new.line(curve[at - span : at - reach] - np.array([0, step / 2]), 0.017, 0.9)
    new.line(curve[at + reach : at + span] + np.array([0, step / 2]), 0.017, 0.9)
    canvas.plane += np.float32(0.26 * strength) * new.plane(0.0015)
    swelling = ramp(1 - ((x - cx) / 0.055) ** 2 - ((y - cy) / 0.045) ** 2, 1.0)
    canvas.plane += np.float32((0.05, 0.07, 0.10)[grade] * strength) * swelling
    return _box(cx - 0.06, cy - 0.05, cx + 0.06, cy + 0.05)


def _lesion(
    canvas: Canvas, chest: Chest, lung: Lung, sign: Sign, strength: float, rng: np.random.Generator
) -> Box:
    """A round opacity with a sharp edge."""
    radius = (0.026, 0.046, 0.072)[_GRADE[sign.severity]] * rng.uniform(0.9, 1.15)
    cx, cy = lung.place(rng.uniform(0.45, 0.72), _DEPTH[sign.zone] + rng.uniform(-0.06, 0.06))
    x, y = grid(canvas.size)
    stretch = rng.uniform(0.85, 1.15)
    ball = ramp(1 - ((x - cx) / radius) ** 2 - ((y - cy) / (radius * stretch)) ** 2, 0.35)
    canvas.plane += np.float32(strength) * ball * np.clip(0.58 - canvas.plane, 0.14, 1)
    return _box(cx - radius, cy - radius * stretch, cx + radius, cy + radius * stretch)


def _patch(
    spread: float, height: float, target: float, grain: int, cover: float, sharp: float
) -> Callable[..., Box]:
    """An opacity in a zone of the lung; what tells the kinds apart is texture and edge."""

    def draw(
        canvas: Canvas,
        chest: Chest,
        lung: Lung,
        sign: Sign,
        strength: float,
        rng: np.random.Generator,
    ) -> Box:
        scale = (0.75, 1.0, 1.3)[_GRADE[sign.severity]]
        cx, cy = lung.place(0.55, _DEPTH[sign.zone])
        a, b = spread * scale * lung.width, height * scale
        x, y = grid(canvas.size)
        shape = ramp(1 - ((x - cx) / a) ** 2 - ((y - cy) / b) ** 2, sharp)
        texture = cloud(canvas.size, rng, grain)
        density = shape * np.clip((texture - (0.5 - cover)) * 3, 0, 1)
        density = density * lung.mask(canvas.size)
        canvas.plane += np.float32(strength) * density * np.clip(target - canvas.plane, 0.08, 1)
        low, high = sorted((float(lung.inner), float(lung.outer)))
        return (max(cx - a, low), cy - b, min(cx + a, high), min(cy + b, lung.base))

    return draw


def _edema(
    canvas: Canvas, chest: Chest, lung: Lung, sign: Sign, strength: float, rng: np.random.Generator
) -> Box:
    """Haze around the hilum like a bat's wing, and short lines at the base."""
    grade = _GRADE[sign.severity]
    cx, cy = lung.place(0.22, 0.55)
    a, b = lung.width * (0.55, 0.68, 0.8)[grade], 0.20 + 0.04 * grade
    x, y = grid(canvas.size)
    wing = ramp(1 - ((x - cx) / a) ** 2 - ((y - cy) / b) ** 2, 1.2) * lung.mask(canvas.size)
    haze = wing * (np.float32(0.7) + np.float32(0.6) * (cloud(canvas.size, rng, 22) - 0.5))
    level = (0.16, 0.22, 0.30)[grade] * strength
    canvas.plane += np.minimum(np.float32(level) * haze, np.clip(0.6 - canvas.plane, 0, 1))
    lines = Strokes(canvas.size)
    for number in range(5 + 3 * grade):
        ly = lung.dome - 0.16 + 0.018 * number
        wall = float(lung.wall(ly))
        lines.line(np.array([[wall, ly], [wall - lung.sign * 0.04, ly + 0.002]]), 0.003, 0.8)
    canvas.plane += np.float32(0.20 * strength) * lines.plane(0.0012) * lung.mask(canvas.size)
    return _box(lung.inner, cy - b, lung.outer, lung.dome)


def _atelectasis(
    canvas: Canvas, chest: Chest, lung: Lung, sign: Sign, strength: float, rng: np.random.Generator
) -> Box:
    """Dense bands above the diaphragm."""
    grade = _GRADE[sign.severity]
    bands = Strokes(canvas.size)
    top = lung.dome - 0.05 - 0.035 * grade
    for number in range(2 + grade):
        y = top + number * 0.032 + rng.normal(0, 0.004)
        tilt = rng.uniform(-0.02, 0.02)
        start, end = rng.uniform(0.15, 0.3), rng.uniform(0.75, 0.92)
        points = np.array([[lung.place(start, 1)[0], y], [lung.place(end, 1)[0], y + tilt]])
        bands.line(points, 0.011 + 0.003 * grade, 0.95)
    drawn = bands.plane(0.0022) * lung.mask(canvas.size)
    canvas.plane += np.float32(strength) * drawn * np.clip(0.8 - canvas.plane, 0.14, 0.36)
    return _box(lung.inner, top - 0.03, lung.outer, lung.dome + 0.04)


def _pleural(
    canvas: Canvas, chest: Chest, lung: Lung, sign: Sign, strength: float, rng: np.random.Generator
) -> Box:
    """A dense rind along apex and upper chest wall."""
    x, y = grid(canvas.size)
    thick = np.float32(rng.uniform(0.022, 0.034))
    bottom = lung.apex + 0.42 * (lung.base - lung.apex)
    rind = np.maximum(
        ramp(lung.sign * (x - lung.wall(y)) + thick, 0.01), ramp(lung.apex + thick * 1.6 - y, 0.02)
    )
    rind = rind * lung.mask(canvas.size) * ramp(bottom - y, 0.06)
    canvas.plane += np.float32(strength) * rind * np.clip(0.6 - canvas.plane, 0, 1)
    return _box(lung.inner, lung.apex - 0.01, lung.outer + lung.sign * 0.01, bottom)


_FRONTAL: dict[Finding, Callable[..., Box]] = {
    Finding.PNEUMOTHORAX: _pneumothorax,
    Finding.PLEURAL_EFFUSION: _effusion,
    Finding.FRACTURE: _fracture,
    Finding.LUNG_LESION: _lesion,
    Finding.CONSOLIDATION: _patch(0.55, 0.115, 0.60, 9, 0.42, 0.35),
    Finding.PNEUMONIA: _patch(0.60, 0.13, 0.52, 26, 0.12, 0.8),
    Finding.LUNG_OPACITY: _patch(0.50, 0.10, 0.38, 5, 0.45, 1.4),
    Finding.EDEMA: _edema,
    Finding.ATELECTASIS: _atelectasis,
    Finding.PLEURAL_OTHER: _pleural,
}


def _device(canvas: Canvas, chest: Chest, kind: str) -> Box:
    lines = Strokes(canvas.size)
    middle, top = chest.middle + chest.push, chest.lungs[0].apex
    if kind == "endotracheal tube":
        path = np.array([[middle, 0.0], [middle + 0.004, top + 0.16]])
        lines.line(path - np.array([0.009, 0]), 0.005, 1)
        lines.line(path + np.array([0.009, 0]), 0.005, 1)
    elif kind == "nasogastric tube":
        path = np.array([[middle, 0.0], [middle + 0.012, 0.55], [middle + 0.06, 0.80], [middle + 0.15, 0.84]])
        lines.line(path, 0.009, 1)
    elif kind == "central line":
        path = np.array(
            [[middle - 0.16, top + 0.02], [middle - 0.06, top + 0.10], [middle - 0.04, top + 0.30]]
        )
        lines.line(path, 0.009, 1)
    elif kind == "pacemaker":
        left = chest.lungs[1]
        cx, cy = left.inner + 0.62 * left.width, left.apex + 0.12
        turn = np.linspace(0, 2 * np.pi, 30)
        can = np.stack([cx + 0.05 * np.cos(turn), cy + 0.042 * np.sin(turn)], axis=1)
        lines.pen.polygon([(x * canvas.size, y * canvas.size) for x, y in can], fill=255)
        hx, hy, a, _ = chest.heart
        path = np.array(
            [
                [cx, cy],
                [middle - 0.04, top + 0.12],
                [middle - 0.05, hy - 0.04],
                [hx + 0.3 * a, hy + 0.08],
            ]
        )
        lines.line(path, 0.007, 1)
    else:  # sternotomy wires
        for number in range(6):
            y = top + 0.10 + 0.075 * number
            turn = np.linspace(0, 2 * np.pi, 20)
            loop = np.stack([middle + 0.022 * np.cos(turn), y + 0.012 * np.sin(turn)], axis=1)
            lines.line(loop, 0.006, 1)
        for number in range(4):  # clips along the left of the heart
            x, y = middle + 0.05 + 0.018 * number, top + 0.26 + 0.045 * number
            lines.line(np.array([[x, y], [x + 0.009, y + 0.012]]), 0.006, 1)
    drawn = lines.plane(0.0012)
    canvas.plane += np.float32(0.42) * drawn
    ys, xs = np.nonzero(drawn > 0.3)
    size = canvas.size
    return _box(xs.min() / size, ys.min() / size, (xs.max() + 1) / size, (ys.max() + 1) / size)


def draw_lateral(canvas: Canvas, view: SideView, sign: Sign, rng: np.random.Generator) -> Box | None:
    """Draws a sign into a lateral view; its box, None if it does not show there."""
    strength = FAINT if sign.certainty is Certainty.FAINT else 1.0
    grade = _GRADE[sign.severity]
    x, y = grid(canvas.size)
    if sign.finding is Finding.CARDIOMEGALY:
        hx, hy, a, b = view.heart
        return _box(hx - a - 0.02, hy - b, hx + a + 0.02, hy + b)
    if sign.finding is Finding.PLEURAL_EFFUSION:
        level = view.dome + 0.12 - (0.04, 0.12, 0.24)[grade]
        u = np.clip((x - view.front) / (view.back - view.front), 0, 1.05)
        fluid = ramp(y - (np.float32(level + 0.05) - np.float32(0.09) * u**3), 0.02) * canvas.air
        fluid = fluid * ramp(x - (view.back - 0.14 - 0.12 * grade), 0.05)
        canvas.plane += np.float32(strength) * fluid * np.clip(0.66 - canvas.plane, 0, 1)
        return _box(view.back - 0.17 - 0.12 * grade, level - 0.05, view.back + 0.02, view.dome + 0.22)
    focal = {
        Finding.LUNG_LESION: 0.3,
        Finding.CONSOLIDATION: 0.4,
        Finding.PNEUMONIA: 0.9,
        Finding.LUNG_OPACITY: 1.4,
    }
    if sign.finding in focal:
        cx = view.front + (0.62 if sign.zone is not Zone.MIDDLE else 0.35) * (view.back - view.front)
        cy = view.apex + _DEPTH[sign.zone] * (view.dome - view.apex)
        lesion = sign.finding is Finding.LUNG_LESION
        a = (0.026, 0.046, 0.072)[grade] if lesion else (0.075, 0.10, 0.125)[grade]
        blob = ramp(1 - ((x - cx) / a) ** 2 - ((y - cy) / a) ** 2, focal[sign.finding])
        least = 0.14 if lesion else 0.08
        if not lesion:
            blob = blob * np.clip(cloud(canvas.size, rng, 16) * 1.6, 0, 1) * canvas.air
        canvas.plane += np.float32(strength) * blob * np.clip(0.56 - canvas.plane, least, 1)
        return _box(cx - a, cy - a, cx + a, cy + a)
    if sign.finding is Finding.EDEMA:
        cx, cy = (view.front + view.back) / 2, 0.44
        haze = ramp(1 - ((x - cx) / 0.2) ** 2 - ((y - cy) / 0.2) ** 2, 1.2) * canvas.air
        canvas.plane += np.float32((0.10, 0.15, 0.21)[grade] * strength) * haze
        return _box(cx - 0.2, cy - 0.2, cx + 0.2, cy + 0.2)
    return None


def _box(x0: float, y0: float, x1: float, y1: float) -> Box:
    left, right = sorted((float(x0), float(x1)))
    top, bottom = sorted((float(y0), float(y1)))
    return left, top, right, bottom


def _union(boxes: list[Box]) -> Box:
    columns = list(zip(*boxes, strict=True))
    return min(columns[0]), min(columns[1]), max(columns[2]), max(columns[3])
