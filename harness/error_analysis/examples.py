"""Which errors are shown in full: the same ones every time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from harness.error_analysis.classify import FINDINGS_FIRST
from harness.error_analysis.model import Error, ErrorClass
from harness.outcome import Status

PER_CLASS: Final = 4


def examples(errors: Sequence[Error], per_class: int = PER_CLASS) -> list[Error]:
    """Some errors of each class, critical findings first.

    Findings take turns, so that one frequent error does not hide the others; of each finding the
    studies come in the order of their ids, those with a usable report before those without. A study
    is shown once a class as long as others are left.
    """
    chosen: list[Error] = []
    for kind in ErrorClass:
        own = [error for error in errors if error.error_class is kind]
        for critical in (True, False):
            turns: dict[str, list[Error]] = defaultdict(list)
            for error in sorted(own, key=lambda one: (one.status != Status.OK, one.study_id)):
                if error.critical is critical:
                    turns[error.finding].append(error)
            chosen += _in_turn(turns, per_class - sum(one.error_class is kind for one in chosen), chosen)
    return chosen


def _in_turn(turns: dict[str, list[Error]], room: int, chosen: Sequence[Error]) -> list[Error]:
    shown = {error.study_id for error in chosen}
    picked: list[Error] = []
    queues = [turns[finding] for finding in FINDINGS_FIRST if turns.get(finding)]
    while queues and len(picked) < room:
        for queue in list(queues):
            if len(picked) == room:
                break
            place = next((k for k, error in enumerate(queue) if error.study_id not in shown), 0)
            error = queue.pop(place)
            shown.add(error.study_id)
            picked.append(error)
            if not queue:
                queues.remove(queue)
    return picked
