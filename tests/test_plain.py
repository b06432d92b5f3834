import json
from dataclasses import dataclass

from harness.plain import plain
from harness.report import Finding


@dataclass(frozen=True)
class Inner:
    finding: Finding
    share: float


@dataclass(frozen=True)
class Outer:
    items: tuple
    counts: dict


def test_nested_values_become_plain_and_nan_becomes_none():
    value = Outer(
        (Inner(Finding.EDEMA, float("nan")), Inner(Finding.FRACTURE, 0.5)), {Finding.EDEMA: 3, 2: True}
    )
    made = plain(value)
    assert made == {
        "items": [{"finding": "Edema", "share": None}, {"finding": "Fracture", "share": 0.5}],
        "counts": {"Edema": 3, "2": True},
    }
    assert type(made["items"][0]["finding"]) is str
    json.dumps(made, allow_nan=False)
