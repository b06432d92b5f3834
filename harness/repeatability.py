"""The same candidate asked the same studies again: does it say the same, here and elsewhere?"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.inference import clustered_proportion_interval
from harness.inference.cluster_sums import cluster_index
from harness.ledger import Ledger, matrix
from harness.measures.base import asserted
from harness.outcome import Status as Outcome
from harness.report import FINDINGS
from harness.status import Status

CONFIDENCE: Final = 0.95
SAME: Final = ("suite", "cohort", "candidate", "labeler")
"""What two runs must share to be repetitions of each other."""
WHERE: Final = ("processor", "system", "machine", "python")


def compare_repeat(one: Ledger, two: Ledger, *, elsewhere: bool = False) -> dict[str, Any]:
    """How far two runs of one candidate over the same studies agree, and where each was made.

    Args:
        one: the run that is judged.
        two: the repetition.
        elsewhere: whether it must come from another machine to show anything.

    Returns:
        Plain values. `status`: PASS where the ledger digests are equal, FAIL where reports differ, NOT
        EVALUATED where `two` is no repetition, or not
        from elsewhere; `reason`; `identical`: reports equal word for word, as
        a proportion with a 95 % interval over patients; `findings`: the same for each finding, of the
        claim that it is there; `differences`: what the two environments differ in.

    Raises:
        LedgerError: a run is incomplete or damaged.
    """
    places = [_where(one), _where(two)]
    found: dict[str, Any] = {
        "ledgers": [one.digest(), two.digest()],
        "environments": places,
        "differences": [key for key in WHERE if places[0][key] != places[1][key]],
        "identical": None,
        "findings": {},
    }
    different = [key for key in SAME if one.identity[key] != two.identity[key]]
    if different:
        return _told(found, Status.NOT_EVALUATED, f"not a repetition; different: {', '.join(different)}")
    if one.log.head == two.log.head:
        return _told(found, Status.NOT_EVALUATED, "it is the very same run, not a repetition")
    texts = [_texts(ledger) for ledger in (one, two)]
    if not any(status == Outcome.OK for found_texts in texts for status, *_ in found_texts):
        return _told(found, Status.NOT_EVALUATED, "no study has a report to compare")
    patients = one.read("cases", ["study_id", "patient_id"]).column("patient_id").to_pylist()
    found["identical"] = _agreement([a == b for a, b in zip(*texts, strict=True)], patients)
    labels = [matrix(ledger.read("rows", ["study_id", "candidate_labels"]), "candidate_labels")
              for ledger in (one, two)]  # fmt: skip
    claims = [asserted(table.astype(np.int8), "positive") for table in labels]
    for column, finding in enumerate(FINDINGS):
        same = claims[0][:, column] == claims[1][:, column]
        found["findings"][str(finding)] = {
            **_agreement(same, patients),
            "claimed": [int(claim[:, column].sum()) for claim in claims],
        }
    if elsewhere and not found["differences"]:
        told = "both runs name the same processor, system and Python: nothing is shown of another machine"
        return _told(found, Status.NOT_EVALUATED, told)
    if found["ledgers"][0] == found["ledgers"][1]:
        return _told(
            found, Status.PASS, "the ledger digests are equal: every report and every row is the same"
        )
    changed = found["identical"]["denominator"] - found["identical"]["numerator"]
    return _told(found, Status.FAIL, f"{changed:,} of {len(patients):,} reports differ")


def _told(found: dict[str, Any], status: Status, reason: str) -> dict[str, Any]:
    return {**found, "status": status.value, "reason": reason}


def _where(ledger: Ledger) -> dict[str, str]:
    entries = list(ledger.log.entries())
    context = next((entry for entry in entries if entry["event"] == "context"), {})
    environment = context.get("environment", {})
    told = {key: str(environment.get(key) or "not recorded") for key in WHERE}
    return {**told, "began": str(entries[0]["time"])}


def _texts(ledger: Ledger) -> list[tuple[str, str, str]]:
    columns = ["study_id", "status", "findings", "impression"]
    rows = ledger.read("predictions", columns).to_pylist()
    return [(row["status"], row["findings"], row["impression"]) for row in rows]


def _agreement(same: list[bool] | NDArray[np.bool_], patients: list[str]) -> dict[str, Any]:
    flags = np.asarray(same, dtype=np.float64)
    names, index = cluster_index(patients)
    successes = np.bincount(index, flags, len(names))
    trials = np.bincount(index, minlength=len(names)).astype(np.float64)
    interval = clustered_proportion_interval(successes, trials, CONFIDENCE)
    return {
        "estimate": float(flags.mean()),
        "low": float(interval.low),
        "high": float(interval.high),
        "numerator": int(flags.sum()),
        "denominator": len(flags),
    }
