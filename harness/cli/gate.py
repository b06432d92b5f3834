"""`harness gate`: the verdict of a run, or its promotion by a policy, as an exit code and files for CI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.promotion import Promotion

DESCRIPTION = """\
Checks the run's evidence, derives the verdict again from its rows, prints it, and writes verdict.json,
junit.xml and summary.md.

With --policy: may the candidate be promoted? RUN must be of the policy's regulatory suite; beside it
stand the runs that the policy asks for. All evidence is checked and derived again, and all of it must
be about the one candidate. Writes promotion.json, .md, .xml (JUnit) and .txt (annotations).
"""
EVIDENCE = {
    "production": ("RUN", "the model in production, on the same suite and studies"),
    "parity": ("DIR", "what harness parity wrote"),
    "latency": ("RUN", "what harness latency wrote, on the target device"),
    "fairness": ("RUN", "the candidate's run of the fairness suite"),
    "packet": ("DIR", "a packet of RUN, to be verified too"),
}


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "gate",
        help="let a run pass or block it, alone or by a promotion policy: exit code 0, 1 or 3",
        description=DESCRIPTION,
        epilog="exit codes: 0 passed; 1 a criterion or condition failed; 2 bad usage, policy or suite; "
        "3 something was not evaluated: missing, damaged, or too few studies",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("run", type=Path, metavar="RUN", help="run folder")
    verb.add_argument("--policy", type=Path, metavar="YAML", help="promotion policy: suites/promotion.yaml")
    for name, (kind, told) in EVIDENCE.items():
        verb.add_argument(f"--{name}", type=Path, metavar=kind, help=f"with --policy: {told}")
    verb.add_argument("--out", type=Path, metavar="DIR", help="where to write; default: RUN/gate")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Gates a run."""
    from harness.cli.terminal import show_verdict
    from harness.errors import HarnessError
    from harness.gate import judge, write_summaries

    out = options.out or options.run / "gate"
    if options.policy is not None:
        return _promotion(options, out)
    if given := [name for name in EVIDENCE if getattr(options, name) is not None]:
        raise HarnessError(f"--{given[0]} goes with --policy; see harness gate --help")
    results, verdict = judge(options.run)
    paths = write_summaries(out, results, verdict)
    show_verdict(results)
    print()
    for path in paths:
        print(f"{path.stem:8} {path}")
    return verdict.status.exit_code


def _promotion(options: argparse.Namespace, out: Path) -> int:
    import os
    from datetime import UTC, datetime

    from harness.promotion import decide, gather, read_policy
    from harness.promotion.outputs import annotation_lines, write_promotion

    policy = read_policy(options.policy)
    evidence = gather(policy, options.run, **{name: getattr(options, name) for name in EVIDENCE})
    promotion = decide(policy, evidence, datetime.now(UTC).date())
    paths = write_promotion(out, promotion, policy)
    show_promotion(promotion)
    for line in annotation_lines(promotion, policy, github=os.environ.get("GITHUB_ACTIONS") == "true"):
        print(line)
    print()
    for path in paths:
        print(f"{path.suffix[1:].upper():8} {path}")
    return promotion.status.exit_code


def show_promotion(promotion: Promotion) -> None:
    """Prints the conditions and the whole."""
    from rich.table import Table

    from harness.cli.terminal import STYLE, output

    console = output()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Condition", overflow="fold")
    table.add_column("Verdict")
    for item in promotion.conditions:
        style = "bold yellow" if item.word in ("WAIVED", "STATED") else STYLE[item.status]
        table.add_row(item.id, f"[{style}]{item.word}")
    console.print(table)
    console.print(f"\nPromotion: [{STYLE[promotion.status]}]{promotion.headline}\n")
