"""From verdict to production: what a promotion asks, what it is decided on, and the decision."""

from harness.promotion.decide import Promotion, decide
from harness.promotion.evidence import Evidence, gather
from harness.promotion.policy import PolicyFile, read_policy

__all__ = ["Evidence", "PolicyFile", "Promotion", "decide", "gather", "read_policy"]
