"""The command line: one file a verb; errors without tracebacks; exit codes that mean one thing."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from harness import __version__
from harness.cli import (
    ab,
    check,
    compare,
    conformance,
    cost,
    dossier,
    errors,
    explore,
    export,
    gate,
    label,
    latency,
    lock,
    monitor,
    parity,
    phantom,
    plan,
    promote,
    report,
    run,
    score,
    serve,
    shadow,
    sign,
    suite,
    train,
    verify,
    watch,
)

VERBS = (
    run,
    gate,
    promote,
    compare,
    report,
    errors,
    dossier,
    sign,
    verify,
    explore,
    check,
    plan,
    label,
    lock,
    score,
    train,
    export,
    parity,
    latency,
    serve,
    conformance,
    ab,
    shadow,
    watch,
    monitor,
    cost,
    suite,
    phantom,
)

EPILOG = """\
exit codes:
  0    PASS, or the command did what it was asked
  1    a criterion failed
  2    bad usage, suite, cohort or candidate
  3    not evaluated or incomplete
  130  interrupted
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="harness",
        description="Evaluates and validates automated radiology report generation.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"harness {__version__}")
    verbs = root.add_subparsers(dest="verb", metavar="VERB", required=True)
    for module in VERBS:
        module.add(verbs)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    options = parser().parse_args(arguments)
    from harness.errors import HarnessError

    try:
        code: int = options.act(options)
        sys.stdout.flush()
        return code
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("harness: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away, as in `harness ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell says of a program that SIGPIPE ended; no verdict's code
    except Exception as error:
        # A defect of ours. 1 would say that a criterion failed, and 0 that all is well. Where it was and of
        # which type is told; its message may quote a report.
        traceback.print_tb(error.__traceback__)
        print(type(error).__name__, file=sys.stderr)
        print("harness: internal error; nothing was decided", file=sys.stderr)
        return 3
