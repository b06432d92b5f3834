"""A scene to pictures: anatomy, signs, then what the machine and the technician add."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.phantom.anatomy import Box, chest_of, draw_chest, draw_side_view, grid, ramp, side_view_of
from harness.phantom.scene import EdgeCase, Scene
from harness.phantom.signs import LAYERS, Canvas, draw_frontal, draw_lateral
from harness.report import INDEX, Finding
from harness.study import View


@dataclass(frozen=True, slots=True)
class Picture:
    """One view of a scene."""

    view: View
    pixels: NDArray[np.uint8]
    """Grey values, shape (size, size); white is dense."""
    boxes: dict[Finding, Box]
    """Where each finding that shows in this view lies, as fractions of width and height."""


def render_scene(scene: Scene, seed: tuple[int, ...], size: int = 512) -> list[Picture]:
    """Draws all views of a scene; a function of scene, seed and size alone.

    Anatomy, each sign, and noise have random streams of their own, so that two scenes that differ
    in one sign differ in the pixels of that sign only.
    """
    return [_view(scene, view, (*seed, place), size) for place, view in enumerate(scene.views)]


def _view(scene: Scene, view: View, seed: tuple[int, ...], size: int) -> Picture:
    anatomy = np.random.default_rng([*seed, 0])
    boxes: dict[Finding, Box] = {}
    if view.frontal:
        chest = chest_of(scene, anatomy)
        canvas = Canvas(*draw_chest(chest, size))
    else:
        side = side_view_of(scene, anatomy)
        canvas = Canvas(*draw_side_view(side, size))
    for sign in sorted(scene.signs, key=lambda sign: LAYERS.index(sign.finding)):
        rng = np.random.default_rng([*seed, 1 + INDEX[sign.finding]])
        if view.frontal:
            box = draw_frontal(canvas, chest, sign, rng)
        else:
            box = draw_lateral(canvas, side, sign, rng)
        if box is not None:
            boxes[sign.finding] = box
    if view.frontal and scene.edge_case is EdgeCase.IMPLANT:
        _implants(canvas)
    noise = np.random.default_rng([*seed, 20])
    return Picture(view, _expose(canvas.plane, scene, noise), {
        finding: _turned(box, scene.rotation) for finding, box in boxes.items()
    })  # fmt: skip


def _implants(canvas: Canvas) -> None:
    """Breast implants: two smooth round shadows over the lower chest."""
    x, y = grid(canvas.size)
    for centre in (0.27, 0.73):
        shadow = ramp(1 - ((x - centre) / 0.12) ** 2 - ((y - 0.66) / 0.12) ** 2, 0.25)
        canvas.plane += np.float32(0.11) * shadow


def _expose(plane: NDArray[np.float32], scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    if scene.rotation:
        turned = Image.fromarray((np.clip(plane, 0, 1) * 65535).astype(np.int32), mode="I")
        turned = turned.rotate(scene.rotation, resample=Image.Resampling.BILINEAR, fillcolor=2000)
        plane = np.asarray(turned, dtype=np.float32) / np.float32(65535)
    values = (plane - np.float32(0.42)) * np.float32(1.25 * scene.exposure) + np.float32(0.46)
    values += rng.standard_normal(values.shape, dtype=np.float32) * np.float32(scene.noise)
    grey: NDArray[np.uint8] = (np.clip(values, 0, 1) * np.float32(255)).astype(np.uint8)
    return grey


def _turned(box: Box, degrees: float) -> Box:
    """The box that holds the box after the picture is turned about its middle."""
    angle = math.radians(-degrees)  # PIL turns counter-clockwise; y runs down
    cos, sin = math.cos(angle), math.sin(angle)
    corners = [(x - 0.5, y - 0.5) for x in (box[0], box[2]) for y in (box[1], box[3])]
    xs = [0.5 + cos * x - sin * y for x, y in corners]
    ys = [0.5 + sin * x + cos * y for x, y in corners]
    clip = [min(max(round(value, 4), 0.0), 1.0) for value in (min(xs), min(ys), max(xs), max(ys))]
    return clip[0], clip[1], clip[2], clip[3]
