import pytest

from harness.packet.change_control import check_modifications
from harness.packet.schema import Modification


def check(bound, estimates):
    item = Modification.model_validate(
        {"id": "M", "change": "c", "method": "m", "bounds": [{"measure": "m", **bound}]}
    )
    [line] = check_modifications([item], estimates)
    return line["bounds"][0]


ESTIMATE = {"measure": "m", "value": "value", "slice": None, "estimate": 0.9, "reason": "",
            "bounds": {"lower@0.95": 0.85, "upper@0.95": 0.93}}  # fmt: skip


@pytest.mark.parametrize(
    ("bound", "status"),
    [
        ({"at_least": 0.85}, "PASS"),
        ({"at_least": 0.86}, "FAIL"),
        ({"at_most": 0.93}, "PASS"),
        ({"at_most": 0.91}, "FAIL"),
        ({"at_least": 0.5, "confidence": 0.99}, "NOT EVALUATED"),
        ({"at_least": 0.5, "value": "other"}, "NOT EVALUATED"),
    ],
)
def test_bounds_decide_and_never_the_value(bound, status):
    assert check(bound, [ESTIMATE])["status"] == status


def test_an_undefined_bound_is_not_evaluated():
    undefined = {**ESTIMATE, "estimate": None, "reason": "0/0", "bounds": {"lower@0.95": None}}
    found = check({"at_least": 0.5}, [undefined])
    assert (found["status"], found["reason"]) == ("NOT EVALUATED", "0/0")


def test_what_is_outside_its_bounds_comes_first():
    items = [
        Modification.model_validate(
            {"id": name, "change": "c", "method": "m", "bounds": [{"measure": "m", "at_least": least}]}
        )
        for name, least in (("good", 0.1), ("bad", 0.99))
    ]
    assert [line["id"] for line in check_modifications(items, [ESTIMATE])] == ["bad", "good"]
