"""`harness watch`: the first hours after a switch, keep or roll back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.staging.watch import Watch

DESCRIPTION = """\
Watches the version that was just switched on, and decides by declared rules. Rolled back: shown to be
above a limit, or silent. Kept: at the end of the window, shown to be below every limit. Anything between
is held for a person, and it says why. Looks every few minutes; all looks together keep to one declared
rate of false rollbacks. Every look and decision goes into a hash-chained log.

  harness watch suites/staging/watch.yaml --stream outcomes.jsonl --follow 60 \\
    --registry registry --model report-generator --alias production --act

STREAM holds a JSON line (or Parquet row) a study:
  {"study_id": "s1", "time": "2026-01-05T08:15:02Z", "version": "4", "status": "ok", "latency_s": 6.1,
   "hallucination": false}                     status: ok, failed, late, rejected
and one a reading: {"kind": "reading", "study_id": "s1", "time": "...", "critical_missed": false}
(true: a critical finding is there, and the report missed it; false: it is there, and the report has all;
null: nothing critical is there, and the study does not count. Or "reference": the findings that are
there; in Parquet, where null cannot be told from nothing, [] stands for it). Of several records of a
study the worse counts; one that belongs to no study or time may be a bad one. Once begun, a stream
that is missing or was cut is silence. Records of `harness monitor` with a version will do too.
"""


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "watch",
        help="the first hours after a switch: keep the new version, or roll back",
        description=DESCRIPTION,
        epilog="exit codes: 0 keep; 1 roll back (with --act: done, or told why not); 2 bad declaration, "
        "stream or alias; 3 hold, or the window is not over",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("config", type=Path, help="such as suites/staging/watch.yaml")
    verb.add_argument("--stream", type=Path, required=True, metavar="PATH", help="file or folder of outcomes")
    verb.add_argument("--out", type=Path, metavar="DIR", help="default: STREAM-watch beside STREAM")
    verb.add_argument("--follow", type=float, metavar="SECONDS", help="look so often until it is decided")
    verb.add_argument("--registry", metavar="URI", help="MLflow registry; default as harness promote")
    verb.add_argument("--model", metavar="NAME", help="registered model whose alias is at stake")
    verb.add_argument("--alias", default="production")
    verb.add_argument(
        "--act", dest="move", action="store_true", help="move the alias back where that is decided"
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Watches."""
    import time

    from harness.errors import HarnessError, RegistryUnreachable
    from harness.staging.watch import EXIT, Watch

    if options.follow is not None and not options.follow > 0:
        raise HarnessError("--follow must be above 0 seconds")
    if options.move and not options.model:
        raise HarnessError("--act needs --model NAME: which registered model's alias may be moved?")
    out = options.out or options.stream.with_name(f"{options.stream.stem}-watch")
    # Once begun, a stream that is gone is silence, whether a timer gives the command or it follows.
    patient = options.follow is not None or (out / "log.jsonl").exists()
    if not patient and not options.stream.exists():
        raise HarnessError(f"{options.stream}: no such file or folder; nothing to watch")
    with Watch.opened(options.config, options.stream, out, patient) as watch:
        alias = None
        if options.model:
            from harness.registry import Registry
            from harness.staging.rollback import Alias

            alias = Alias(Registry(options.registry), options.model, options.alias)
            if watch.decision is None:
                try:
                    alias.check(watch)
                except RegistryUnreachable as error:
                    print(f"Registry: {error}; watching all the same")
        while True:
            watch.advance(time.time())
            told, done = _settle(watch, alias, options.move)
            if options.follow is None or (watch.decision is not None and done):
                break
            time.sleep(options.follow)
        _show(watch, told)
        print(f"{'Log':8} {watch.log.path}")
        return EXIT[watch.decision["decision"]] if watch.decision else 3


def _settle(watch: Watch, alias: Any, move: bool) -> tuple[str, bool]:
    """What is said of the alias, and whether nothing remains to be done."""
    from harness.errors import RegistryConflict, RegistryUnreachable
    from harness.staging.rollback import roll_back

    if watch.decision is None or watch.decision["decision"] != "roll back":
        return "", True
    if alias is None or not move:
        where = alias.shown if alias else "the alias"
        return f"Nothing was moved: with --model and --act, {where} would go to {watch.config.blue}.", True
    try:
        return f"{roll_back(watch, alias)}.", True
    except (RegistryUnreachable, RegistryConflict) as error:
        return f"NOT MOVED: {error}. Give the same command again.", False


def _show(watch: Watch, told: str) -> None:
    from rich.table import Table

    from harness.cli.terminal import output

    console, config, look = output(), watch.config, watch.last
    if look is not None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("Rule", "Bad studies", "Share", "At least", "At most", "Limit", "State"):
            table.add_column(name, justify="left" if name in ("Rule", "State") else "right")
        style = {"within": "green", "beyond": "bold red"}
        for rule, found in zip(config.rules, look["rules"], strict=True):
            shares = [
                "–" if found[key] is None else f"{found[key]:.2%}" for key in ("value", "bound", "upper")
            ]
            name = f"latency above {rule.above:g} s" if rule.measure == "latency" else rule.measure
            table.add_row(
                name, f"{found['bad']:,} / {found['n']:,}", *shares, f"{rule.limit:.2%}",
                f"[{style.get(found['state'], 'bold yellow')}]{found['state']}",
            )  # fmt: skip
        console.print(table)
        console.print(
            f"\nLook {look['number']} of {config.looks}, at {look['at']}: {look['studies']:,} studies of "
            f"version {config.green}, silent for {look['silent_min']:g} min. At most "
            f"{config.false_rollbacks:.2%} of versions at every limit are rolled back, and "
            f"{1 - config.keep_confidence:.2%} of those at any one are kept.",
            markup=False, style="dim",
        )  # fmt: skip
    if watch.lost is not None:
        console.print(f"No stream since {watch.lost['at']}: {watch.lost['why']}", markup=False)
    for kind, count in sorted(watch.faults.counts.items()):
        places = ", ".join(watch.faults.places[kind])
        console.print(f"Stream: {kind}: {count:,}, such as {places}", markup=False)
    decision = watch.decision
    for line in decision["why"] if decision else []:
        console.print(f"Why: {line}", markup=False)
    if told:
        console.print(told, markup=False)
    word = decision["decision"].upper() if decision else "NOT DECIDED: the window is not over"
    shade = {"KEEP": "bold green", "ROLL BACK": "bold red"}.get(word, "bold yellow")
    console.print(f"Decision: [{shade}]{word}")
