"""A training of a second: a recipe, and all that `train_two_stage` takes."""

from harness.cohorts.phantom import PhantomCohort
from harness.training.config import TrainingConfig
from harness.training.dataset import ReportDataset
from harness.training.run import build

LANGUAGE = {
    "model_type": "llama",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}


def recipe(vit, **changes):
    """A configuration as read from a file, with some fields changed."""
    values = {
        "name": "tiny",
        "seed": 5,
        "data": {"cohort": "phantom:unused"},
        "model": {
            "vision": str(vit),
            "language": LANGUAGE,
            "settings": {"projector_hidden": 12, "views": ("frontal",), "detections_in_prompt": True},
        },
        "language_pretraining": {"vocabulary": 320, "epochs": 1, "learning_rate": 0.01},
        "projector": {"epochs": 1, "learning_rate": 0.01},
        "joint": {"epochs": 2, "learning_rate": 0.01},
        "optimiser": {"batch": 8, "precision": "float32", "weight_decay": 0.01},
        "instructions": {"standard": 1.0, "brief": 1.0, "by-region": 1.0, "question": 1.0},
        "save_every": 3,
    }
    return TrainingConfig.model_validate({**values, **changes})


class Desk:
    """Everything `train_two_stage` takes, made anew each time."""

    def __init__(self, root, vit, **changes):
        self.config = recipe(vit, **changes)
        learn = PhantomCohort(root, "train")
        self.model, self.processor = build(self.config, learn)
        self.train = ReportDataset(learn, self.processor, self.config.instructions, self.config.seed)
        self.validation = ReportDataset(PhantomCohort(root, "validate"), self.processor, seed=5)

    @property
    def parts(self):
        return self.model, self.train, self.validation, self.config
