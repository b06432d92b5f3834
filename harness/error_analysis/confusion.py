"""Which finding was said instead of a critical one."""

from __future__ import annotations

import numpy as np

from harness.error_analysis.material import Material
from harness.error_analysis.model import ConfusionRow
from harness.measures.base import asserted
from harness.measures.hallucination_rate import CLAIMS
from harness.report import CRITICAL, INDEX, Finding


def confusion(material: Material) -> tuple[ConfusionRow, ...]:
    """One row a critical finding; see `ConfusionRow` for what a cell counts."""
    failed = material.failed
    normal = asserted(material.candidate_labels, "positive")[:, INDEX[Finding.NO_FINDING]]
    any_instead = material.unsupported.any(axis=1)
    rows = []
    for finding in CRITICAL:
        own = CLAIMS.index(finding)
        positive, missed = material.present[:, own], material.missed[:, own]
        answered = missed & ~failed
        silent = answered & ~any_instead
        reported: dict[Finding, int] = {
            other: int((missed & material.unsupported[:, column]).sum())
            for column, other in enumerate(CLAIMS)
        }
        reported[finding] = int((positive & ~missed).sum())
        rows.append(
            ConfusionRow(
                finding=finding,
                positives=int(positive.sum()),
                detected=reported[finding],
                said_instead=int((answered & any_instead).sum()),
                called_normal=int((silent & normal).sum()),
                nothing_instead=int((silent & ~normal).sum()),
                no_report=int(np.count_nonzero(missed & failed)),
                reported=reported,
            )
        )
    return tuple(rows)
