"""Power against our own exact functions, and against the tests as they are carried out."""

import math
from functools import partial

import numpy as np
import pytest
from trials import PAIRED, RANDOMISED

from harness.ab.effects import Table
from harness.ab.planning import plan, power_of_mean
from harness.inference import power_mcnemar, power_non_inferiority, power_paired_t, square_and_add
from harness.inference.clustered import clustered_proportion_interval
from harness.report import Finding
from harness.status import Status


def changed(design, **parts):
    """A design with other values, by a path of names joined by "__"."""
    for name, value in parts.items():
        head, _, rest = name.partition("__")
        new = changed(getattr(design, head), **{rest: value}) if rest else value
        design = design.model_copy(update={head: new})
    return design


LONE = changed(PAIRED, planning__readers=1, planning__studies_per_patient=1.0)


def need(found, endpoint, question):
    return next(item for item in found.needs if (item.endpoint, item.question) == (endpoint, question))


def test_of_one_reader_and_a_study_a_patient_it_is_the_paired_t_test():
    part = LONE.endpoints.rating
    for studies in (20, 200):
        peer = power_paired_t(part.expected_gain / part.sd, studies, 0.005, "two-sided")
        assert power_of_mean(LONE, part, studies, part.expected_gain, 0.0025) == pytest.approx(peer, abs=1e-4)
        peer = power_paired_t((part.expected_gain + 0.2) / part.sd, studies, 0.025, "greater")
        assert power_of_mean(LONE, part, studies, part.expected_gain + 0.2, 0.025) == pytest.approx(peer)


def test_paired_sensitivity_is_planned_exactly():
    design = changed(LONE, planned_studies=1000, endpoints__critical_sensitivity__expected_gain=0.02)
    found = plan(changed(design, endpoints__critical_sensitivity__discordant=0.04))
    pairs = 300  # 0.3 a study
    exact = power_non_inferiority(0.03, 0.01, pairs, 0.05, 0.025)
    assert need(found, "critical_sensitivity", "not worse").power == pytest.approx(exact)
    assert need(found, "critical_sensitivity", "better").power == pytest.approx(
        power_mcnemar(0.03, 0.01, pairs, 0.0025)
    )


@pytest.mark.parametrize("design", [PAIRED, RANDOMISED], ids=["paired", "randomised"])
def test_the_studies_asked_for_are_just_enough(design):
    first = plan(design)
    assert first.status is Status.PASS
    for item in (need(first, "rating", "better"), need(first, "critical_sensitivity", "not worse")):
        again = plan(changed(design, planned_studies=item.studies))
        assert need(again, item.endpoint, item.question).power >= 0.8
        fewer = plan(changed(design, planned_studies=int(item.studies * 0.97)))
        assert need(fewer, item.endpoint, item.question).power < 0.81


def test_each_critical_finding_is_planned_by_itself():
    rare = dict(PAIRED.critical_findings)
    rare[Finding.FRACTURE] = rare[Finding.FRACTURE].model_copy(update={"per_study": 0.01})
    found = plan(PAIRED.model_copy(update={"critical_findings": rare}))
    assert found.status is Status.NOT_EVALUATED  # pooled and others are enough, this one is not
    few = {need.critical: need.studies for need in found.needs if need.needed and not need.enough}
    assert list(few) == [Finding.FRACTURE]
    assert few[Finding.FRACTURE] > 3 * PAIRED.planned_studies
    del rare[Finding.FRACTURE]
    left = PAIRED.model_copy(update={"critical_findings": rare, "undecided": (Finding.FRACTURE,)})
    assert plan(left).status is Status.PASS
    assert any("does not decide Fracture alone" in line for line in plan(left).notes)


def test_too_few_studies_too_few_readers_and_no_gain_are_told():
    assert plan(changed(PAIRED, planned_studies=100)).status is Status.NOT_EVALUATED
    few = plan(changed(PAIRED, planning__readers=2, endpoints__rating__reader_sd=0.5))
    assert need(few, "rating", "better").power < 0.1
    assert need(few, "rating", "better").studies is None  # no number of studies makes up for readers
    none = {f"endpoints__{name}__expected_gain": 0.0 for name in ("rating", "edit_distance", "turnaround")}
    found = plan(changed(PAIRED, **none))
    assert found.status is Status.NOT_EVALUATED
    assert any("nothing can be promoted" in line for line in found.notes)


def test_without_assumptions_there_is_no_power():
    found = plan(
        changed(PAIRED, endpoints__rating__sd=None, endpoints__critical_sensitivity__discordant=None)
    )
    assert need(found, "rating", "not worse").power is None
    assert found.status is Status.NOT_EVALUATED
    assert "endpoints.rating: give sd to plan it" in found.notes
    assert any("sensitivity, per_study, discordant" in line for line in found.notes)


@pytest.mark.parametrize(("readers", "reader_sd"), [(10, 0.1), (6, 0.25)])
def test_power_of_a_mean_is_as_planned(readers, reader_sd):
    """400 trials of 150 studies, one rating each: the share shown is the power, to three standard errors."""
    design = changed(PAIRED, planning__readers=readers, planning__studies_per_patient=1.0)
    part = design.endpoints.rating.model_copy(update={"sd": 1.0, "reader_sd": reader_sd})
    planned = power_of_mean(design, part, 150, 0.35, 0.025)
    rng, draws, shown = np.random.default_rng(1), 400, 0
    for _ in range(draws):
        keen = rng.normal(0, reader_sd, readers)
        reader = np.arange(150) % readers
        gain = 0.35 + keen[reader] + rng.normal(0, 1.0, 150)
        names = np.arange(150).astype(str)
        table = Table(
            np.concatenate([gain, np.zeros(150)]), np.arange(300) < 150, np.tile(names, 2),
            np.tile(reader.astype(str), 2), np.tile(names, 2), True,
        )  # fmt: skip
        shown += table.difference().interval(0.95).low > 0
    assert shown / draws == pytest.approx(planned, abs=3 * math.sqrt(0.25 / draws) + 0.03)


def test_power_of_randomised_sensitivity_is_as_planned():
    design = changed(RANDOMISED, planning__studies_per_patient=1.0, planned_studies=6000)
    planned = need(plan(design), "critical_sensitivity", "not worse").power
    rng, draws, shown = np.random.default_rng(2), 300, 0
    for _ in range(draws):
        arms = [
            partial(clustered_proportion_interval, rng.random(trials) < 0.96, np.ones(trials))
            for trials in (180, 1620)  # 0.3 a study
        ]
        shown += square_and_add(*arms).low > -0.05
    assert shown / draws == pytest.approx(planned, abs=3 * math.sqrt(0.25 / draws))
