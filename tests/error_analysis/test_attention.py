import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness.cohorts.phantom import PhantomCohort
from harness.error_analysis import analyse
from harness.error_analysis.attention import attend, check_explains
from harness.error_analysis.examples import examples
from harness.errors import CandidateError, HarnessError
from harness.report import FINDINGS
from harness.testing import ConstantReport
from runs import run, write_suite


@dataclass(frozen=True)
class Explanation:
    findings: dict
    picture: Path


class Explaining(ConstantReport):
    """Says the same of every study, and explains it with what it is told to."""

    name = "explaining"
    given = None
    lies_over = None

    def explain(self, study):
        if isinstance(self.given, Exception):
            raise self.given
        seed = int(hashlib.sha256(study.study_id.encode()).hexdigest()[:8], 16)
        chosen = np.random.default_rng(seed).random((7, 7), dtype=np.float32)
        maps = dict.fromkeys(FINDINGS, chosen if self.given is None else self.given)
        return Explanation(maps, self.lies_over or study.images[0].path)


def explaining(given=None):
    candidate = Explaining("There is a rib fracture. There is a pleural effusion.")
    candidate.given = given
    return candidate


@pytest.fixture(scope="module")
def judged(tmp_path_factory, phantom_root):
    folder = tmp_path_factory.mktemp("explained")
    run(write_suite(folder), phantom_root, explaining(), folder / "run")
    return folder / "run", examples(analyse(folder / "run", pictures=False).errors)


def test_every_example_has_the_map_of_its_own_study(judged, phantom_root):
    folder, chosen = judged
    found = attend(folder, explaining(), chosen)
    assert set(found.maps) == {(error.study_id, error.finding) for error in chosen}
    assert not found.why
    cases = {case.study.study_id: case for case in PhantomCohort(phantom_root)}
    for (study, finding), values in found.maps.items():
        assert np.array_equal(values, explaining().explain(cases[study].study).findings[finding])
        assert found.pictures[study, finding] == cases[study].study.images[0].path


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (RuntimeError("the patient's name"), "its explanation failed (RuntimeError)"),
        (np.zeros((7, 7, 3)), "no usable map"),
        (np.full((7, 7), np.nan), "no usable map"),
        (np.full((7, 7), 1.5), "no usable map"),
        (np.zeros((0, 7)), "no usable map"),
        ("a word", "no usable map"),
    ],
)
def test_what_cannot_be_used_is_said_and_stops_nothing(judged, given, why):
    folder, chosen = judged
    found = attend(folder, explaining(given), chosen)
    assert not found.maps
    assert all(why in reason for reason in found.why.values())
    assert not any("name" in reason for reason in found.why.values())


def test_a_map_over_a_picture_of_another_study_is_not_shown(judged, phantom_root):
    folder, chosen = judged
    candidate = explaining()
    candidate.lies_over = phantom_root / "elsewhere.jpg"
    found = attend(folder, candidate, chosen)
    assert not found.maps
    assert set(found.why.values()) == {"it explains a picture that is not the study's"}


def test_another_candidate_or_one_that_explains_nothing_is_refused(judged):
    folder, chosen = judged
    with pytest.raises(CandidateError, match="cannot explain itself"):
        attend(folder, ConstantReport("No effusion."), chosen)
    other = Explaining("No effusion.")
    with pytest.raises(CandidateError, match="not the one that was judged"):
        check_explains(folder, other)


def test_a_cohort_that_went_away_is_said(tmp_path):
    from harness.phantom import make_phantom

    make_phantom(tmp_path / "cohort", 12, 3, test_share=1.0, image_size=64, workers=1)
    run(write_suite(tmp_path), tmp_path / "cohort", explaining(), tmp_path / "run")
    chosen = examples(analyse(tmp_path / "run", pictures=False).errors)
    for picture in (tmp_path / "cohort").glob("files/*/*/*/*.jpg"):
        picture.write_bytes(picture.read_bytes() + b" ")
    found = attend(tmp_path / "run", explaining(), chosen)
    assert set(found.why.values()) == {"the study was changed since the run"}
    (tmp_path / "cohort").rename(tmp_path / "elsewhere")
    with pytest.raises(HarnessError, match="attention overlays need the run's cohort"):
        attend(tmp_path / "run", explaining(), chosen)
