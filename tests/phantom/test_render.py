import dataclasses

import numpy as np
import pytest

from harness.phantom.render import render_scene
from harness.phantom.sampling import patient_visits
from harness.phantom.scene import Certainty, EdgeCase, Scene, Sign, Zone
from harness.report import FINDINGS, Finding, Laterality, Severity
from harness.study import Sex, View

EMPTY = Scene(60, Sex.MALE, "WHITE", (View.PA, View.LATERAL), EdgeCase.NONE, ())
SEED = (1, 2, 3)
KINDS = {Finding.SUPPORT_DEVICES: "pacemaker", Finding.PLEURAL_OTHER: "thickening"}


def with_sign(finding, **options):
    sign = Sign(finding, **{
        # A severe pneumothorax shifts the heart, so that the whole picture changes.
        "severity": Severity.MODERATE, "laterality": Laterality.RIGHT, "zone": Zone.MIDDLE,
        "kind": KINDS.get(finding, ""), **options,
    })  # fmt: skip
    return dataclasses.replace(EMPTY, signs=(sign,))


def frontal(scene, size=256):
    return render_scene(scene, SEED, size)[0]


def difference(scene, size=256):
    one, other = (frontal(s, size).pixels.astype(int) for s in (scene, EMPTY))
    return np.abs(one - other)


def test_pictures_are_grey_squares_and_repeatable():
    pictures = render_scene(EMPTY, SEED, 128)
    assert [picture.view for picture in pictures] == [View.PA, View.LATERAL]
    for picture, again in zip(pictures, render_scene(EMPTY, SEED, 128), strict=True):
        assert picture.pixels.shape == (128, 128)
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.std() > 30
        assert (picture.pixels == again.pixels).all()
    assert (frontal(EMPTY).pixels != render_scene(EMPTY, (9, 9, 9), 256)[0].pixels).any()


@pytest.mark.parametrize("finding", [f for f in FINDINGS if f is not Finding.NO_FINDING])
def test_each_finding_is_in_the_pixels_and_in_its_box(finding):
    scene = with_sign(finding)
    x0, y0, x1, y1 = (round(256 * edge) for edge in frontal(scene).boxes[finding])
    assert 0 <= x0 < x1 <= 256
    assert 0 <= y0 < y1 <= 256
    changed = difference(scene)
    inside = changed[y0:y1, x0:x1]
    assert (inside > 12).mean() > 0.01, "the sign shows"
    assert inside.sum() > 0.85 * changed.sum(), "what differs from the empty chest lies in the box"


@pytest.mark.parametrize("finding", [Finding.PNEUMOTHORAX, Finding.PLEURAL_EFFUSION, Finding.LUNG_LESION,
                                     Finding.FRACTURE, Finding.CONSOLIDATION])  # fmt: skip
def test_sides_are_the_patients(finding):
    for side, half in ((Laterality.RIGHT, slice(0, 128)), (Laterality.LEFT, slice(128, 256))):
        changed = difference(with_sign(finding, laterality=side))
        assert changed[:, half].sum() > 0.8 * changed.sum(), "the patient's right is on the picture's left"


@pytest.mark.parametrize("finding", [Finding.PNEUMOTHORAX, Finding.PLEURAL_EFFUSION, Finding.LUNG_LESION,
                                     Finding.CARDIOMEGALY])  # fmt: skip
def test_severe_is_larger_than_mild(finding):
    sizes = [(difference(with_sign(finding, severity=s)) > 8).sum() for s in (Severity.MILD, Severity.SEVERE)]
    assert sizes[1] > 1.3 * sizes[0]


@pytest.mark.parametrize("finding", [Finding.PNEUMOTHORAX, Finding.LUNG_LESION, Finding.FRACTURE])
def test_faint_is_fainter_than_clear(finding):
    clear, faint = (
        difference(with_sign(finding, certainty=c)).sum() for c in (Certainty.CLEAR, Certainty.FAINT)
    )
    assert 0 < faint < 0.8 * clear


def test_quality_varies():
    dark = dataclasses.replace(EMPTY, exposure=0.6)
    assert frontal(dark).pixels.std() < frontal(EMPTY).pixels.std()
    noisy = dataclasses.replace(EMPTY, noise=0.1)
    assert (
        np.diff(frontal(noisy).pixels.astype(int)).std()
        > 1.5 * np.diff(frontal(EMPTY).pixels.astype(int)).std()
    )
    assert (difference(dataclasses.replace(EMPTY, rotation=5.0)) > 12).mean() > 0.02


@pytest.mark.parametrize("edge", [EdgeCase.IMPLANT, EdgeCase.PAEDIATRIC])
def test_edge_cases_look_different(edge):
    scene = dataclasses.replace(EMPTY, edge_case=edge, age=8 if edge is EdgeCase.PAEDIATRIC else 60)
    assert (difference(scene) > 12).mean() > 0.02


def test_patients_are_independent_of_each_other():
    visits = {(seed, patient): list(patient_visits(seed, patient)) for seed in (5, 6) for patient in (40, 41)}
    assert visits[5, 40] == list(patient_visits(5, 40))
    assert visits[5, 40] != visits[5, 41]
    assert visits[5, 40] != visits[6, 40]
