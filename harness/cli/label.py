"""`harness label`: report texts to CheXpert labels, or a labeler against people's labels."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from harness.annotators.accuracy import Accuracy


def add(verbs: Any) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "label",
        help="label report texts for the 14 CheXpert findings, or measure a labeler",
        description="Labels texts from a CSV or JSONL file (- reads standard input) and writes "
        "CheXpert's own CSV: the id, then the 14 findings; 1 positive, 0 negative, -1 uncertain, blank "
        "not mentioned. With --against, shows how often the labeler agrees with people instead.",
    )
    verb.add_argument("file", type=Path, metavar="FILE", help="reports: .csv, .jsonl, either with .gz, or -")
    verb.add_argument("--id", required=True, metavar="COL", help="column that names each report")
    verb.add_argument(
        "--text", required=True, action="append", metavar="COL", help="column of text; may be given again"
    )
    verb.add_argument("--labeler", default="rules", metavar="NAME", help="default: rules")
    verb.add_argument(
        "--out", type=Path, metavar="FILE", help="where the labels go; default: standard output"
    )
    verb.add_argument(
        "--jsonl", action="store_true", help="write JSON lines, with evidence, laterality and severity"
    )
    verb.add_argument(
        "--against",
        type=Path,
        metavar="LABELS",
        help="people's labels of these reports: the same id, and CheXpert's columns or some of them",
    )
    verb.add_argument(
        "--accuracy", type=Path, metavar="FILE", help="with --against: write the figures as JSON"
    )
    verb.add_argument(
        "--source", default="", metavar="WORDS", help="with --accuracy: what was labelled and by whom"
    )
    verb.set_defaults(act=act)


def act(options: argparse.Namespace) -> int:
    """Labels, and compares if asked to."""
    from harness.errors import HarnessError
    from harness.labels import open_labeler, read_texts, write_csv, write_jsonl

    if options.against is None and options.accuracy is not None:
        raise HarnessError("--accuracy needs --against LABELS")
    labeler = open_labeler(options.labeler)
    rows = read_texts(options.file, options.id, options.text)
    write = write_jsonl if options.jsonl else write_csv
    if options.against is not None:
        return _against(options, labeler, rows)
    first = list(islice(rows, 1))  # bad input is told before anything is written
    with _output(options.out) as stream:
        write(stream, options.id, labeler, chain(first, rows))
    return 0


def _against(options: argparse.Namespace, labeler: Any, rows: Any) -> int:
    from harness.errors import HarnessError
    from harness.labels import compare, write_csv, write_jsonl

    if str(options.file) == "-":
        raise HarnessError("--against needs a file, not standard input: its digest is kept with the figures")
    rows = list(rows)
    accuracy = compare(options.file, options.against, options.id, options.text, labeler, rows, options.source)
    if options.out is not None:
        with _output(options.out) as stream:
            (write_jsonl if options.jsonl else write_csv)(stream, options.id, labeler, iter(rows))
    if options.accuracy is not None:
        import json

        with _output(options.accuracy) as stream:
            stream.write(json.dumps(accuracy.as_json(), indent=1, allow_nan=False) + "\n")
    show(accuracy)
    return 0


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there whole or not at all."""
    from harness.errors import HarnessError

    if path is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        part.replace(path)
    except OSError as error:
        raise HarnessError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def show(accuracy: Accuracy) -> None:
    """Prints the figures, with uncertain labels as positive and as negative."""
    plain = accuracy.as_json()
    print(f"{plain['labeler']} against people's labels of {plain['reports']:,} reports "
          f"({' + '.join(plain['sections'])})")  # fmt: skip
    for policy, part in plain["uncertain"].items():
        print(f"\nUncertain labels count as {policy}")
        print(f"{'Finding':27}{'TP':>5}{'FP':>5}{'FN':>5}{'TN':>7}  {'Sensitivity':20}{'Specificity':20}"
              f"{'Precision':20}{'F1':20}".rstrip())  # fmt: skip
        for finding, row in part["findings"].items():
            rates = "".join(
                f"{_shown(row[name]):20}" for name in ("sensitivity", "specificity", "precision", "f1")
            )
            counts = f"{row['tp']:5}{row['fp']:5}{row['fn']:5}{row['tn']:7}"
            print(f"{finding:27}{counts}  {rates}".rstrip())
        macro = part["macro_f1"]
        print("Macro F1".ljust(27) + ("undefined: a finding has no F1" if macro is None else f"{macro:.3f}"))


def _shown(rate: dict[str, Any]) -> str:
    if rate["value"] is None:
        return "0/0"
    if rate["low"] is None:
        return f"{rate['value']:.3f}"
    return f"{rate['value']:.3f} {rate['low']:.3f}-{rate['high']:.3f}"
