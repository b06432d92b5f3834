import json

import numpy as np
import pytest

from harness.annotators.accuracy import (
    labeler_accuracy,
    measure,
    rates,
    read_accuracy,
    shipped_accuracy,
)
from harness.annotators.rules import RulesLabeler
from harness.errors import HarnessError
from harness.inference import proportion_interval, rogan_gladen
from harness.report import FINDINGS, INDEX, Finding, State

P, N, U, NIL = State.POSITIVE, State.NEGATIVE, State.UNCERTAIN, State.NOT_MENTIONED
EDEMA = Finding.EDEMA


def column(states):
    labels = np.zeros((len(states), len(FINDINGS)), dtype=np.int8)
    labels[:, INDEX[EDEMA]] = states
    return labels


def test_counts_by_hand():
    said = column([P, U, N, NIL, P, U, N, NIL, P])
    people = column([P, P, P, P, N, NIL, N, NIL, U])  # the last one is left out
    counts = measure(said, people, [EDEMA])
    assert counts["positive"][EDEMA] == (2, 2, 2, 2)
    assert counts["negative"][EDEMA] == (1, 1, 3, 3)


def test_rates_carry_intervals_and_0_of_0_is_undefined():
    known = rates(8, 3, 2, 87)
    assert known["sensitivity"]["value"] == 0.8
    assert known["specificity"]["low"] == pytest.approx(proportion_interval(87, 90).low, abs=1e-6)
    assert known["precision"]["value"] == pytest.approx(8 / 11, abs=1e-6)
    assert known["f1"]["value"] == pytest.approx(16 / 21, abs=1e-6)
    assert known["f1"]["low"] < 16 / 21 < known["f1"]["high"]
    empty = rates(0, 0, 0, 5)
    for name in ("sensitivity", "precision", "f1"):
        assert empty[name]["value"] is None
        assert empty[name]["reason"]
    json.dumps(empty, allow_nan=False)


def test_the_shipped_figures_are_of_this_version():
    """After a change of rules or lexicon: python fixtures/measure_labeler.py FOLDER."""
    assert shipped_accuracy().labeler == RulesLabeler().signature()
    assert shipped_accuracy().reports == 1898


def test_a_run_shows_shares_as_counted_and_corrected():
    said = column([P] * 30 + [U] * 10 + [N] * 60)
    told = labeler_accuracy(RulesLabeler().signature(), said.tolist())
    row = told["findings"]["Edema"]
    tp, fp, fn, tn = shipped_accuracy().counts["positive"][EDEMA]
    expected = rogan_gladen(40, 100, tp, tp + fn, tn, tn + fp)
    assert row["claimed"]["value"] == 0.4
    assert (row["corrected"]["low"], row["corrected"]["high"]) == pytest.approx(
        (expected.low, expected.high), abs=1e-6
    )
    assert "Support Devices" not in told["findings"]  # nobody labelled them


def test_another_version_was_not_measured():
    assert labeler_accuracy("rules|v0|lexicon:0", [])["why"] == "not measured for this version"


def test_a_file_is_read_back_and_a_damaged_one_refused(tmp_path):
    known = shipped_accuracy()
    path = tmp_path / "accuracy.json"
    path.write_text(json.dumps(known.as_json()))
    assert read_accuracy(path) == known
    for damage in ("{", "[]", "{}", json.dumps({**known.as_json(), "format": 2})):
        path.write_text(damage)
        with pytest.raises(HarnessError, match="no accuracy file"):
            read_accuracy(path)
    with pytest.raises(HarnessError, match="cannot be read"):
        read_accuracy(tmp_path / "none.json")
