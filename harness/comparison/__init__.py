"""Two candidates compared: on the same studies, or on two randomised arms."""

from harness.comparison.arms import arm_of
from harness.comparison.decide import Comparison, compare

__all__ = ["Comparison", "arm_of", "compare"]
