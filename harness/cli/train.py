"""`harness train`: a configuration -> a checkpoint of the multimodal model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "train",
        help="train the multimodal model from a configuration",
        description="Trains the multimodal model in two stages. Given again, it goes on where it "
        "stopped. On several GPUs: accelerate launch -m harness train --config C",
    )
    verb.add_argument(
        "--config", type=Path, required=True, metavar="C", help="such as fixtures/training/phantom.yaml"
    )
    verb.add_argument(
        "--cohort", metavar="KIND:PATH", help="learn from this cohort instead of the configuration's"
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="training folder; default: runs/training/NAME")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Trains, and prints where the checkpoint is."""
    from harness.cli.terminal import progress
    from harness.training.config import read_training_config
    from harness.training.run import train

    config = read_training_config(options.config)
    if options.cohort is not None:
        data = config.data.model_copy(update={"cohort": options.cohort, "phantom": None})
        config = config.model_copy(update={"data": data})
    folder = options.out or Path("runs/training") / config.name
    with progress() as show:
        done = train(config, folder, show, lambda text: print(text, flush=True))
    print(f"\nCheckpoint   {done.checkpoint}")
    print(f"Digest       sha256 {done.digest}")
    print(f"Kept         epoch {done.history.kept} of the joint stage, report loss "
          f"{done.kept.validation_report_loss:.4f}")  # fmt: skip
    print(f"Time         {done.seconds:,.0f} s, {done.cpu_seconds:,.0f} s of processor time")
    print(f"History      {folder / 'history.svg'}")
    print(f"Next         harness run suites/phantom.yaml --candidate multimodal:{done.checkpoint} ...")
    return 0
