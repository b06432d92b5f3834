"""`harness export`: a checkpoint as a package that runs without torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Makes a package of a multimodal checkpoint: ONNX graphs, tokenizer, manifest with digests, card.

  harness export CHECKPOINT --out PACKAGE
  harness parity PACKAGE --against CHECKPOINT --cohort C --out DIR
  harness run SUITE --candidate onnx:PACKAGE --cohort C --out RUN

The language model's weights become INT8 (dynamic quantisation), the vision graph is written in FP16
for GPUs and FP32 for processors. An earlier package in the same place is replaced.
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "export",
        help="make a checkpoint a package for onnxruntime",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="folder of a multimodal checkpoint")
    verb.add_argument("--out", required=True, type=Path, metavar="PACKAGE", help="folder of the package")
    verb.add_argument(
        "--vision", choices=("both", "fp16", "fp32"), default="both",
        help="precision of the vision graph; default: both, and what suits the provider is run",
    )  # fmt: skip
    verb.add_argument(
        "--language", choices=("int8", "fp32"), default="int8",
        help="precision of the language model's weights; default: int8",
    )  # fmt: skip
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Exports a checkpoint."""
    from rich.table import Table

    from harness.candidates.multimodal.model import RadiologyMultimodalModel
    from harness.cli.terminal import output
    from harness.deployment import DeploymentConfig, prepare_for_deployment

    model = RadiologyMultimodalModel.from_pretrained(options.checkpoint)
    manifest = prepare_for_deployment(
        model,
        DeploymentConfig(
            checkpoint=options.checkpoint, out=options.out, vision=options.vision, language=options.language
        ),
    )
    console = output()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("File", "Precision", "Size, MB", "From torch", "Why"):
        table.add_column(
            name, justify="right" if name in ("Size, MB", "From torch") else "left", overflow="fold"
        )
    for part, graph in [*(("vision", item) for item in manifest.vision), ("language", manifest.language)]:
        apart = f"{manifest.deviation[part]:.1e}" if graph.precision == "fp32" else "see parity"
        table.add_row(graph.file, graph.precision, f"{graph.size / 1e6:.2f}", apart, graph.why)
    console.print(table)
    console.print(f"\nPackage      {options.out}", markup=False, soft_wrap=True)
    console.print(f"Digest       sha256 {manifest.digest()}", markup=False)
    console.print(
        f"Next         harness parity {options.out} --against {options.checkpoint} --cohort C --out DIR",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    return 0
