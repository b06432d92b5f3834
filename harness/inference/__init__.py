"""Statistics that the verdict rests on: intervals, bounds, resampling, planning.

Usable on its own with NumPy and SciPy. Arrays are NumPy; results are small frozen dataclasses that
name their method.
"""

from harness.inference.bootstrap import bca_interval, bootstrap_totals, bootstrap_weights
from harness.inference.clustered import clustered_proportion_interval, design_effect
from harness.inference.planning import positives_needed
from harness.inference.proportions import proportion_interval
from harness.inference.quantiles import quantile_interval
from harness.inference.results import Interval

__all__ = [
    "Interval",
    "bca_interval",
    "bootstrap_totals",
    "bootstrap_weights",
    "clustered_proportion_interval",
    "design_effect",
    "positives_needed",
    "proportion_interval",
    "quantile_interval",
]
