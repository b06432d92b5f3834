"""What a cohort holds, before anything is judged on it."""

from harness.exploration.explore import explore, open_whole
from harness.exploration.model import Exploration, FindingCounts, Shares, Spread

__all__ = ["Exploration", "FindingCounts", "Shares", "Spread", "explore", "open_whole"]
