"""Statistics that the verdict rests on: intervals, bounds, resampling, tests, planning.

Usable on its own with NumPy and SciPy. Arrays are NumPy; results are small frozen dataclasses that
name their method.
"""

from harness.inference.bootstrap import Bootstrap, BootstrapDistribution, bootstrap_interval
from harness.inference.bootstrap_intervals import bca_interval
from harness.inference.bounded_mean import bounded_mean_interval
from harness.inference.clustered import clustered_proportion_interval, design_effect
from harness.inference.clustered_differences import (
    clustered_paired_difference_interval,
    square_and_add,
)
from harness.inference.differences import difference_interval, paired_difference_interval
from harness.inference.group_sequential import crossing_probabilities, spending_boundaries
from harness.inference.mcnemar import clustered_mcnemar_test, mcnemar_test
from harness.inference.multiplicity import adjust_p_values, holm_step_down
from harness.inference.non_inferiority import (
    PairedMeans,
    PairedProportions,
    UnpairedMeans,
    UnpairedProportions,
    equivalence_test,
    non_inferiority_test,
)
from harness.inference.paired import paired_t_test, signed_rank_test
from harness.inference.permutation import permutation_test, randomisation_test
from harness.inference.planning import (
    positives_needed,
    power,
    power_mcnemar,
    power_non_inferiority,
    power_paired_t,
    power_sensitivity,
)
from harness.inference.proportions import proportion_interval
from harness.inference.quantiles import quantile_interval
from harness.inference.resampling_weights import bootstrap_weights
from harness.inference.results import Interval, Intervals, TestResult, TestResults
from harness.inference.rogan_gladen import rogan_gladen
from harness.inference.trend import trend_test

__all__ = [
    "Bootstrap",
    "BootstrapDistribution",
    "Interval",
    "Intervals",
    "PairedMeans",
    "PairedProportions",
    "TestResult",
    "TestResults",
    "UnpairedMeans",
    "UnpairedProportions",
    "adjust_p_values",
    "bca_interval",
    "bootstrap_interval",
    "bootstrap_weights",
    "bounded_mean_interval",
    "clustered_mcnemar_test",
    "clustered_paired_difference_interval",
    "clustered_proportion_interval",
    "crossing_probabilities",
    "design_effect",
    "difference_interval",
    "equivalence_test",
    "holm_step_down",
    "mcnemar_test",
    "non_inferiority_test",
    "paired_difference_interval",
    "paired_t_test",
    "permutation_test",
    "positives_needed",
    "power",
    "power_mcnemar",
    "power_non_inferiority",
    "power_paired_t",
    "power_sensitivity",
    "proportion_interval",
    "quantile_interval",
    "randomisation_test",
    "rogan_gladen",
    "signed_rank_test",
    "spending_boundaries",
    "square_and_add",
    "trend_test",
]
