"""The loop of a worker process: takes studies from a pipe, puts answers into it."""

from __future__ import annotations

import os
import resource
import sys
import time
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from pydantic import ValidationError

from harness.candidates.base import Candidate, takes_batches
from harness.candidates.timing import Stopwatch
from harness.engines.frames import write
from harness.errors import CandidateError, HarnessError
from harness.outcome import Status
from harness.report import Report
from harness.study import Study

READY: Final = "ready"
REPORT_LIMIT: Final = 1 << 20
"""Bytes of the longest report, as JSON; one has some thousand."""

Answer = tuple[Status, str, str]
"""Status, the report as JSON or "", the error's type and place or ""."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Studies that are asked for together."""

    studies: tuple[Study, ...]
    template: str | None = None
    """A manner of reporting, see `Candidate.with_template`; None: the candidate's own."""


def serve(candidate: Candidate, connection: Connection) -> None:
    """Prepares the candidate, says `READY` or what is wrong, then answers until the pipe closes."""
    # One thread a worker: sums come out in one order, so that the same study gives the same bytes
    # on any number of workers.
    os.environ.update({"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"})
    os.dup2(sys.stderr.fileno(), 1)  # what a candidate prints must not mix with results
    try:
        candidate.prepare()
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(1)
    except HarnessError as error:
        write(connection, str(error))
        return
    except Exception as error:
        write(connection, f"{type(error).__name__}: {error} ({_place(error)})")
        return
    write(connection, READY)
    while True:
        try:
            asked: Study | Batch = connection.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        if isinstance(asked, Batch):
            write(connection, _answers(candidate, asked))
            continue
        with Stopwatch().running() as watch:
            answer = _answer(candidate, asked)
        finished = time.monotonic()
        write(connection, (*answer, {**watch.account(), **_memory()}, finished))


def _memory() -> dict[str, Any]:
    """The most memory that this process has held so far, and the GPU that torch put the model on."""
    unit = 1 if sys.platform == "darwin" else 1024
    told: dict[str, Any] = {"host_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        place = torch.cuda.current_device()
        peak = torch.cuda.max_memory_reserved(place)
        if peak:
            told |= {"gpu_peak_bytes": peak, "gpu": torch.cuda.get_device_name(place)}
    return told


def _answers(candidate: Candidate, batch: Batch) -> list[Answer]:
    try:
        chosen = candidate if batch.template is None else candidate.with_template(batch.template)
    except Exception as error:
        return [(Status.RAISED, "", f"{type(error).__name__} at {_place(error)}")] * len(batch.studies)
    try:
        if len(batch.studies) > 1 and takes_batches(chosen):
            reports = chosen.reports(batch.studies)
            if len(reports) == len(batch.studies):
                return [_written(report) for report in reports]
    except Exception:  # noqa: S110 - it is told of the study that raises it when that is asked for alone
        pass
    return [_answer(chosen, study) for study in batch.studies]


def _answer(candidate: Candidate, study: Study) -> Answer:
    try:
        report = candidate.report(study)
    except ValidationError as error:
        return Status.INVALID, "", f"ValidationError at {_place(error)}"
    except CandidateError as error:
        return Status.MISSING, "", f"CandidateError at {_place(error)}"
    except TimeoutError as error:  # a candidate that waits for another machine says so itself
        return Status.LATE, "", f"{type(error).__name__} at {_place(error)}"
    except Exception as error:
        return Status.RAISED, "", f"{type(error).__name__} at {_place(error)}"
    return _written(report)


def _written(report: Report) -> Answer:
    if not isinstance(report, Report):
        return Status.INVALID, "", f"answered {type(report).__name__}, not Report"
    # `model_copy` and `model_construct` check nothing, so what arrives is checked here, where it fails
    # alone. What pydantic says of a value quotes it; neither its warnings nor its messages go further.
    try:
        written = report.model_dump_json(warnings=False)
        if len(written.encode()) > REPORT_LIMIT:
            return Status.INVALID, "", f"more than {REPORT_LIMIT} bytes as JSON"
        empty = not Report.model_validate_json(written).text.strip()
    except ValidationError as error:
        places = {str(part) for detail in error.errors(include_input=False) for part in detail["loc"][:1]}
        fields = ", ".join(sorted(places & Report.model_fields.keys()))
        return Status.INVALID, "", f"ValidationError: {fields or 'not a report'}"
    except Exception as error:  # text that no encoding can carry, such as a lone surrogate
        return Status.INVALID, "", f"{type(error).__name__}: not writable as JSON"
    return (Status.EMPTY, "", "") if empty else (Status.OK, written, "")


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "?"
