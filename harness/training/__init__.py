"""Training of the multimodal model: two stages, from any cohort, resumable at any step.

Training reads references, as candidates never may: it stands above cohorts and candidates both.
"""

from harness.training.config import TrainingConfig, read_training_config
from harness.training.dataset import ReportDataset
from harness.training.history import History
from harness.training.loop import train_two_stage

__all__ = ["History", "ReportDataset", "TrainingConfig", "read_training_config", "train_two_stage"]
