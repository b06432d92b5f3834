"""`harness check`: is a suite file right?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "check",
        help="check a suite file and say what it needs",
        description="Names every problem of a suite file, or says how many positives its criteria need.",
    )
    verb.add_argument("suite", type=Path)
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Checks a suite."""
    from harness.inference import positives_needed
    from harness.latency.plan import wants
    from harness.latency.suite import is_latency_suite, read_latency_suite
    from harness.promotion.policy import is_policy, read_policy
    from harness.suite import read_suite

    if is_latency_suite(options.suite):
        asked = read_latency_suite(options.suite)
        print(f"{options.suite}: latency suite {asked.name}, version {asked.version}, is well formed")
        print(f"sha256 {asked.digest()}\n")
        for line in wants(asked):
            print(line)
        return 0
    if is_policy(options.suite):
        policy = read_policy(options.suite)
        asked_for = policy.asked
        print(f"{options.suite}: policy {asked_for.name}, version {asked_for.version}, is well formed")
        print(f"sha256 {policy.digest}\n")
        for waiver in asked_for.waivers:
            print(f"waiver of {waiver.condition} by {waiver.by}, {waiver.granted} to {waiver.expires}")
        return 0
    suite = read_suite(options.suite)
    print(f"{options.suite}: suite {suite.name}, version {suite.version}, is well formed")
    print(f"sha256 {suite.digest()}\n")
    measures = suite.build_measures()
    print("Measures")
    for key, measure in measures.items():
        print(f"  {key:22} {measure.signature()}")
    print("\nCriteria, decided on one-sided bounds; trials needed are of distinct patients")
    for item in suite.criteria:
        confidence = item.confidence or suite.inference.confidence
        sign = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<="}[item.comparison]
        need = ""
        if item.value in measures[item.measure].proportions:
            # A rate that must lie below t needs what its complement needs to lie above 1 - t.
            floor = item.threshold if item.side == "lower" else 1 - item.threshold
            counts = [positives_needed(floor, errors, confidence) for errors in (0, 1, 2)]
            need = f"  needs {counts[0]:,}, {counts[1]:,}, {counts[2]:,} trials for 0, 1, 2 errors"
        group = f" [{item.slice}]" if item.slice else ""
        if item.over:
            group = f", {item.statistic} of {', '.join(item.over)}"
            need = f"  groups of fewer than {item.minimum_trials} trials are not evaluated"
        name = f"{item.measure}.{item.value}{group}"
        print(f"  {item.id:26} {name:42} {sign} {item.threshold:<6g} at {confidence:.0%}{need}")
    return 0
