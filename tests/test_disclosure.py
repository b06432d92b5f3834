import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.disclosure import hidden, pooled_ages, public_analyses, public_results
from harness.printed import SUPPRESSED

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 40), min_size=1)


@given(COUNTS, st.integers(2, 10))
def test_what_is_hidden_cannot_be_worked_out_from_the_total(counts, minimum):
    out = hidden(counts, minimum)
    assert all(not 0 < counts[name] < minimum for name in counts if name not in out)
    populated = [name for name in counts if counts[name]]
    if out and len(populated) > len(out):  # others could still have been hidden, so it was enough
        assert len(out) >= 2
        assert sum(counts[name] for name in out) >= minimum


def test_nothing_is_hidden_without_a_small_cell():
    assert hidden({"F": 5, "M": 995, "X": 0}, 5) == set()
    assert hidden({"F": 4, "M": 995}, 5) == {"F", "M"}
    assert hidden({"a": 2, "b": 2, "c": 9, "d": 90}, 5) == {"a", "b", "c"}


def item(label, numerator, denominator, studies=100):
    return {"measure": "m", "value": "v", "slice": label, "estimate": 0.5, "low": 0.1, "high": 0.9,
            "numerator": numerator, "denominator": denominator, "n_studies": studies, "n_patients": studies,
            "bounds": {"lower@0.95": 0.2}, "reason": "", "method": "exact"}  # fmt: skip


def decision(label=None, groups=()):
    return {**item(label, 1, 2), "id": "c", "bound": 0.3, "groups": list(groups)}


@pytest.fixture
def results():
    disparity = {
        **item("sex", None, None),
        "method": "BCa; below the minimum of 30, not evaluated: X (2 positives)",
    }
    return {
        "groups": {"sex": {"F": 500, "M": 497, "X": 3}, "view": {"AP": 600, "PA": 400}},
        "estimates": [
            item(None, 3, 200), item("sex=F", 60, 100), item("sex=M", 40, 90), item("sex=X", 2, 3, 3),
            item("view=AP", 50, 100), item("view=PA", 60, 100), disparity,
        ],
        "verdict": {"decisions": [
            decision("sex=X"),
            decision(None, [{**item(None, 1, 2), "group": "sex: M - X", "bound": 0.1},
                            {**item(None, 1, 2), "group": "view=AP", "bound": 0.1}]),
        ]},
        "flow": {"eligible": 1010, "excluded": [["young", 2], ["lateral", 8]], "included": 1000},
        "labels": {"Pneumothorax": {"positive": 4, "uncertain": 30, "negative": 900, "not_mentioned": 66}},
    }  # fmt: skip


def test_small_cells_and_what_would_give_them_away_are_suppressed(results):
    before = copy.deepcopy(results)
    public = public_results(results, 5)
    assert results == before, "the results themselves stay"
    cells = {found["slice"]: found["estimate"] for found in public["estimates"]}
    assert cells["sex=X"] == cells["sex=M"] == SUPPRESSED, "M would follow from F and the total"
    assert cells["sex=F"] == cells["view=AP"] == cells[None] == 0.5
    assert public["groups"]["sex"] == {"F": 500, "M": SUPPRESSED, "X": SUPPRESSED}
    assert public["flow"]["excluded"] == [["young", SUPPRESSED], ["lateral", SUPPRESSED]]
    assert public["labels"]["Pneumothorax"]["positive"] == SUPPRESSED
    assert public["labels"]["Pneumothorax"]["uncertain"] == SUPPRESSED
    first, second = public["verdict"]["decisions"]
    assert first["bound"] == SUPPRESSED
    assert [group["bound"] for group in second["groups"]] == [SUPPRESSED, 0.1]
    assert "2 positives" not in json.dumps(public)


def test_a_single_reason_of_exclusion_hides_the_eligible_too(results):
    results["flow"]["excluded"] = [["young", 2]]
    assert public_results(results, 5)["flow"]["eligible"] == SUPPRESSED


def test_shares_of_hidden_groups_are_hidden(results):
    analyses = {
        "population": {
            "sex": [{"group": name, "studies": count, "share": count / 1000}
                    for name, count in results["groups"]["sex"].items()],
        }
    }  # fmt: skip
    public = public_analyses(analyses, public_results(results, 5))
    assert [line["share"] for line in public["population"]["sex"]] == [0.5, SUPPRESSED, SUPPRESSED]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("95-year-old man with weight loss.", "over-89-year-old man with weight loss."),
        ("A 101 year old woman; 89-year-old twin.", "A over-89 year old woman; 89-year-old twin."),
        ("Nodule of 95 mm, 93 yo.", "Nodule of 95 mm, over-89 yo."),
        ("T 190 years", "T 190 years"),
    ],
)
def test_ages_over_89_are_pooled(text, told):
    assert pooled_ages(text) == told
