"""Simulated trials for the tests of harness.ab, from fixtures/simulate_ratings.py."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.ab.design import read_design
from harness.ab.ratings import Ratings, read_ratings

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "fixtures"))

from simulate_ratings import Truth, simulate, write_csv  # noqa: E402

PAIRED = read_design(ROOT / "suites/clinical/paired.yaml")
RANDOMISED = read_design(ROOT / "suites/clinical/randomised.yaml")


def smaller(design, studies, margin):
    """A design that so few studies decide: every critical finding has this margin."""
    own = {finding: part.model_copy(update={"margin": margin})
           for finding, part in design.critical_findings.items()}  # fmt: skip
    return design.model_copy(update={"planned_studies": studies, "critical_findings": own})


TRIAL = smaller(PAIRED, 1000, 0.15)
DEALT = smaller(RANDOMISED, 5000, 0.25)

__all__ = [
    "DEALT", "PAIRED", "RANDOMISED", "ROOT", "TRIAL", "Truth", "exported", "reordered", "simulate", "smaller",
    "trial", "write_csv",
]  # fmt: skip


def exported(folder, rows, design):
    """Rows as they come back from a CSV file."""
    path = folder / "ratings.csv"
    write_csv(path, rows)
    return read_ratings(path, design)


def trial(folder, design, studies, seed=0, truth=None, readers=10):
    """One simulated trial."""
    return exported(folder, simulate(design, studies, seed, truth, readers), design)


def reordered(ratings: Ratings, order) -> Ratings:
    """The same rows in another order."""
    fields = {}
    for name in ratings.__dataclass_fields__:
        value = getattr(ratings, name)
        if isinstance(value, np.ndarray):
            fields[name] = value[order]
        elif isinstance(value, tuple):
            fields[name] = tuple(value[place] for place in order)
    return replace(ratings, **fields)
