"""`harness score`: texts against texts, without a cohort."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.score import Pair, Scores


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "score",
        help="score texts against reference texts: values, intervals, signatures",
        description="Scores texts against references from CSV or JSONL files: two files joined by "
        "id, or two columns of one file. Every id must stand once in both files; a report that "
        'failed is a row with an empty text, and is scored as one. "-" reads standard input.',
        epilog="measures: bleu1 to bleu4, each with .coco[.ptb|.raw] or .sacrebleu[.13a|.none]; "
        "rougeL.google[.stem|.nostem], rougeL.coco[.ptb|.raw]; edit_distance[.ptb|.raw]; "
        "report_length; degenerate_output; attributes; and, by the rule-based labeler's labels of "
        "both texts, findings_f1, critical_sensitivity, hallucination_rate, negation_flips",
    )
    verb.add_argument("--hypotheses", type=Path, metavar="FILE", help="the texts to score")
    verb.add_argument("--references", type=Path, metavar="FILE", help="the texts to score them against")
    verb.add_argument(
        "--measures", default="bleu4.coco,rougeL.google", metavar="NAMES", help="default: %(default)s"
    )
    verb.add_argument("--id", metavar="COL", help="default: id or study_id; not needed within one file")
    verb.add_argument("--text", metavar="COL", help="text column of both files; default: text or report")
    verb.add_argument("--hypothesis", metavar="COL", help="text column of the hypotheses")
    verb.add_argument("--reference", metavar="COL", help="text column of the references")
    verb.add_argument(
        "--cluster",
        metavar="COL",
        help="column of the references that groups what belongs together, such as the patient; "
        "default: each text on its own",
    )
    verb.add_argument("--json", action="store_true", help="print a list of objects")
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Scores and prints."""
    from harness.score import score

    names = [name.strip() for name in options.measures.split(",") if name.strip()]
    found = score(_pairs(options), names)
    if options.json:
        import json

        print(json.dumps(found.as_json(), indent=1, allow_nan=False))
    else:
        _show(found)
    return 0


def _pairs(options: argparse.Namespace) -> Iterator[Pair]:
    from harness.errors import HarnessError
    from harness.score import Columns, beside, joined

    files = [path for path in (options.hypotheses, options.references) if path is not None]
    if not files:
        raise HarnessError("name the texts with --hypotheses FILE and --references FILE")
    if len(files) == 1:
        if options.hypothesis is None or options.reference is None:
            raise HarnessError(
                "one file needs --hypothesis COL and --reference COL; else name the other file with "
                + ("--references" if options.references is None else "--hypotheses")
            )
        columns = Columns(id=options.id, cluster=options.cluster)
        return beside(files[0], options.hypothesis, options.reference, columns)
    if files == [Path("-")] * 2:
        raise HarnessError("only one of the files can come from standard input")
    return joined(
        files[0],
        files[1],
        Columns(options.hypothesis or options.text, options.id),
        Columns(options.reference or options.text, options.id, options.cluster),
    )


def _show(found: Scores) -> None:
    from harness.score import CONFIDENCE, REPLICATES, SEED, shown_name

    rows = [("Measure", "Value", f"{CONFIDENCE:.0%} interval", "Counts")]
    for item in found.estimates:
        known = math.isfinite(item.low) and math.isfinite(item.high)
        interval = f"{item.low:.4f} to {item.high:.4f}" if known else f"none: {item.reason}"
        counts = "" if item.denominator is None else f"{item.numerator:,} / {item.denominator:,}"
        value = "–" if math.isnan(item.estimate) else f"{item.estimate:.4f}"
        rows.append((shown_name(item), value, interval, counts))
    widths = [max(len(row[place]) for row in rows if place != 2 or row[3]) for place in range(3)]
    for name, value, interval, counts in rows:
        print(f"{name:{widths[0]}}  {value:>{widths[1]}}  {interval:{widths[2]}}  {counts}".rstrip())
    print("\nSignatures")
    for measure, signature in {item.measure: item.signature for item in found.estimates}.items():
        print(f"  {measure:{widths[0]}}  {signature}")
    print(f"\n{found.studies:,} texts in {found.clusters:,} clusters; "
          f"bootstrap of clusters: {REPLICATES:,} replicates, seed {SEED}")  # fmt: skip
    if found.empty_hypotheses:
        print(f"{found.empty_hypotheses:,} hypotheses are empty: scored as failures, none left out")
    if found.empty_references:
        print(f"{found.empty_references:,} references are empty: counted, none left out")
