"""`harness promote`: a candidate that passed goes to staging or production in the model registry."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.cli.gate import EVIDENCE

DESCRIPTION = """\
Decides a promotion anew from all its evidence, as harness gate --policy does, and carries it out if it is
PASS: registers the candidate's files as a version, attaches the dossier and the decision, and moves the
alias staging or production to it. What is in production is what the candidate must not be worse than.

The registry is a folder with a SQLite file, or an MLflow server: --registry, or MLFLOW_REGISTRY_URI or
MLFLOW_TRACKING_URI. The dossier holds report texts and pictures: use a registry that may keep those.

Killed or cut off at any point, the alias is where it was or where it should be; the same command goes on.
Of two promotions at once one wins and the other is told. Afterwards: --candidate models:/NAME@production.
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "promote",
        help="move staging or production to a candidate that passed, in the model registry",
        description=DESCRIPTION,
        epilog="exit codes: 0 promoted; 1 a condition failed; 2 bad usage, policy or candidate; 3 something "
        "was not evaluated, somebody else moved the alias, or the registry does not answer",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("run", type=Path, metavar="RUN", help="the candidate's run of the regulatory suite")
    verb.add_argument("--to", required=True, choices=("staging", "production"), help="the alias to move")
    verb.add_argument(
        "--policy", type=Path, metavar="YAML", help="promotion policy; default: suites/promotion.yaml"
    )
    for name, (kind, told) in EVIDENCE.items():
        verb.add_argument(f"--{name}", type=Path, metavar=kind, help=told)
    verb.add_argument(
        "--shadow", type=Path, metavar="DIR", help="what harness shadow wrote; production asks for it"
    )
    verb.add_argument(
        "--candidate", metavar="KIND[:PATH]", help="where the candidate is now; default: where it was judged"
    )
    verb.add_argument("--name", help="the registered model; default: report-generator")
    verb.add_argument("--registry", metavar="URI", help="folder or MLflow URI; default: the folder registry")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Promotes."""
    from harness.cli.gate import show_promotion
    from harness.data_files import data_path
    from harness.promotion import read_policy
    from harness.promotion.promote import promote, propose
    from harness.registry import Registry
    from harness.status import Status

    registry = Registry(options.registry)
    proposal = propose(
        registry,
        options.run,
        read_policy(options.policy or data_path("suites") / "promotion.yaml"),
        options.to,
        name=options.name,
        candidate=options.candidate,
        shadow=options.shadow,
        pieces={name: getattr(options, name) for name in EVIDENCE},
    )
    show_promotion(proposal.promotion)
    if proposal.promotion.status is not Status.PASS:
        for item in proposal.promotion.conditions:
            if item.counted is not Status.PASS:
                print(f"{item.id}: {item.reason}")
        print(f"\nNot promoted: {options.to} stays at {_at(proposal.expected)}")
        return proposal.promotion.status.exit_code
    done = promote(registry, proposal)
    print(f"Registered   {done.version.reference}, candidate sha256 {done.version.candidate}")
    print(f"Evidence     {done.place}, dossier sha256 {done.dossier}")
    print(f"{options.to:12} {_at(done.previous)} -> version {done.version.version}")
    print(f"Log          {registry.store.folder / 'moves.jsonl'}")
    print(f"Use it       --candidate models:/{proposal.name}@{options.to}")
    return 0


def _at(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"
