"""From a request to its report: pictures, candidate, second reader, review. It knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import math
import tempfile
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from harness import __version__
from harness.candidates.base import Candidate, takes_batches
from harness.deployment.pictures import dicom_image
from harness.deployment.radiographs import Origin, check_radiograph
from harness.dicom import is_uid
from harness.errors import CohortError
from harness.outcome import Outcome, Status
from harness.report import Report
from harness.service.batching import LINGER_S, MOST, Batcher, WaitedTooLong
from harness.service.contract import FieldProblem, Health, ReportRequest
from harness.service.metrics import Metrics
from harness.service.pool import NoWorker, Pool
from harness.service.refusals import Refusal
from harness.service.review import reviewed
from harness.service.sources.base import ImageMissing, ImageSource, SourceFailure
from harness.study import Context, Image, Study

_FETCHERS: Final = 4
"""Pictures that are fetched and decoded at a time: each may take a gigabyte while it is."""
_REVIEWERS: Final = 2
_FETCH_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Answered:
    """A report that left, and when it was made."""

    report: Report
    issued: datetime


class _Asked:
    """A candidate behind a batcher and a pool."""

    def __init__(self, candidate: Candidate, workers: int, timeout_s: float, metrics: Metrics | None) -> None:
        self.pool = Pool(candidate, workers=workers, timeout_s=timeout_s)
        self.metrics = metrics
        self.pace_s = 1.0
        """A worker's seconds for one study, those that come after counting more."""
        self.threads = ThreadPoolExecutor(workers, thread_name_prefix=f"ask-{candidate.name}")
        self.batcher: Batcher[Study, Outcome]

    def open(self) -> None:
        self.batcher = Batcher(
            self._work,
            lanes=self.pool.size,
            most=MOST if takes_batches(self.pool.candidate) else 1,
            linger_s=LINGER_S,
            patience_s=self.pool.timeout_s,
        )

    async def _work(self, template: Hashable, studies: Sequence[Study]) -> list[Outcome]:
        began = time.monotonic()
        chosen = None if template is None else str(template)
        loop = asyncio.get_running_loop()
        outcomes = await loop.run_in_executor(self.threads, self.pool.ask, studies, chosen)
        taken = time.monotonic() - began
        self.pace_s += (1 - 0.9 ** len(studies)) * (taken / len(studies) - self.pace_s)
        if self.metrics is not None:
            self.metrics.batches.observe(len(studies))
            self.metrics.candidate.observe(taken)
        return outcomes

    async def close(self) -> None:
        await self.batcher.close()
        await asyncio.to_thread(self.pool.stop)
        self.threads.shutdown(wait=False)


class Service:
    """A candidate that answers requests.

    Args:
        candidate: who writes the reports.
        source: where pictures come from.
        second: a second reader, whose listed findings are held against the text; None: there is none.
        workers: processes of the candidate; the second reader has one.
        timeout_s: seconds for a report, from handing a study over; and for a study's turn to come.
        queue: requests that may be taken and not yet answered; further ones are refused.
    """

    def __init__(
        self,
        candidate: Candidate,
        source: ImageSource,
        *,
        second: Candidate | None = None,
        workers: int = 1,
        timeout_s: float = 30.0,
        queue: int = 64,
    ) -> None:
        self.candidate, self.source, self.queue = candidate, source, queue
        self.metrics = Metrics()
        self.taken = 0
        self.stopping = False
        self._first = _Asked(candidate, workers, timeout_s, self.metrics)
        self._second = None if second is None else _Asked(second, 1, timeout_s, None)
        self._fetchers = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="fetch")
        # Reports that are made do not wait behind pictures that come slowly.
        self._reviewers = ThreadPoolExecutor(_REVIEWERS, thread_name_prefix="review")
        self._scratch = tempfile.TemporaryDirectory(prefix="harness-serve-", ignore_cleanup_errors=True)
        self.metrics.taken.set_function(lambda: self.taken)
        self.metrics.workers.set_function(lambda: self._first.pool.up)

    def start(self) -> None:
        """Loads everything. Takes as long as the candidate does.

        Raises:
            HarnessError: the candidate, the second reader or the source cannot be used.
        """
        self.digest = self.candidate.digest()
        self.source.open()
        self._first.pool.start()
        if self._second is not None:
            self._second.pool.start()

    def open(self) -> None:
        """Begins to work; called on the event loop, after `start`."""
        for asked in self._each():
            asked.open()
        self.metrics.waiting.set_function(lambda: self._first.batcher.waiting)

    async def close(self) -> None:
        """Finishes what was taken, then ends the workers and removes every picture."""
        self.stopping = True
        while self.taken:  # some may be fetching their pictures still, and have no place in a queue yet
            await asyncio.sleep(0.02)
        for asked in self._each():
            await asked.close()
        self.end()

    def end(self) -> None:
        """Ends the workers at once and removes every picture."""
        for asked in self._each():
            asked.pool.stop()
        for threads in (self._fetchers, self._reviewers):
            threads.shutdown(wait=False, cancel_futures=True)
        self._scratch.cleanup()

    def health(self) -> Health:
        """How the service is."""
        pools = [asked.pool for asked in self._each()]
        state = "stopping" if self.stopping else "ready" if all(pool.up for pool in pools) else "failed"
        return Health(
            status=state,  # type: ignore[arg-type]
            candidate=self.candidate.name,
            candidate_digest=self.digest,
            harness=__version__,
            report_templates=list(self.candidate.templates),
        )

    async def answer(self, request: ReportRequest) -> Answered:
        """The report of one study.

        Raises:
            Refusal: there is none.
        """
        if self.stopping:
            raise Refusal("unavailable", "the service is shutting down", retry_after_s=10)
        template = request.report_template
        if template is not None and template not in self.candidate.templates:
            known = ", ".join(self.candidate.templates) or "none"
            raise Refusal(
                "unknown-template",
                f"leave report_template out, or name one that there is: {known}",
                errors=[FieldProblem(field="report_template", problem="unknown")],
            )
        if self.taken >= self.queue:
            raise Refusal("queue-full", "ask again later", retry_after_s=self._wait_s())
        self.taken += 1
        try:
            with tempfile.TemporaryDirectory(dir=self._scratch.name) as folder:
                return await self._answer(request, Path(folder))
        finally:
            self.taken -= 1

    async def _answer(self, request: ReportRequest, folder: Path) -> Answered:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        try:
            study = await asyncio.wait_for(
                loop.run_in_executor(self._fetchers, self._study, request, folder), _FETCH_S
            )
        except TimeoutError:
            raise Refusal(
                "image-source", "the pictures did not come in time", retry_after_s=self._wait_s()
            ) from None
        self.metrics.fetching.observe(time.monotonic() - began)
        second = asyncio.create_task(self._second_opinion(study))
        try:
            outcome = await self._first.batcher.submit(study, request.report_template)
        except (WaitedTooLong, NoWorker):
            raise Refusal(
                "unavailable", "its turn did not come in time; ask again later", retry_after_s=self._wait_s()
            ) from None
        except RuntimeError:
            raise Refusal("unavailable", "the service is shutting down", retry_after_s=10) from None
        finally:
            opinion = await second
        self.metrics.outcomes.labels(outcome.status.value).inc()
        if outcome.status is Status.LATE:
            raise Refusal("late", f"no report within {self._first.pool.timeout_s:g} s; its worker was ended")
        if outcome.report is None:
            raise Refusal("no-report", f"the candidate was asked; the outcome is: {outcome.status}")
        report = await loop.run_in_executor(
            self._reviewers, reviewed, outcome.report, request.confidence_threshold, opinion
        )
        if report.requires_radiologist_review:
            self.metrics.reviews.inc()
        return Answered(report, datetime.now(UTC))

    async def _second_opinion(self, study: Study) -> Outcome | None:
        if self._second is None:
            return None
        try:
            return await self._second.batcher.submit(study)
        except (WaitedTooLong, NoWorker, RuntimeError):
            return Outcome(study.study_id, Status.LATE, None, "", 0.0)

    def _study(self, request: ReportRequest, folder: Path) -> Study:
        """Fetches, checks and decodes. What the candidate gets is grey pixels and no DICOM header."""
        images: list[Image] = []
        origins: list[Origin] = []
        for number, wanted in enumerate(request.images):
            place = f"images.{number}"
            path = folder
            try:
                path = self.source.fetch(request.study_id, wanted, folder)
                origins.append(
                    check_radiograph(
                        path,
                        study_id=request.study_id,
                        series_uid=wanted.series_uid,
                        instance_uid=wanted.instance_uid,
                        view=wanted.view,
                    )
                )
                self._check_origins(request, origins)
                picture = folder / f"{number}.png"
                # Stored, not deflated: it is read once, by a process of this machine.
                dicom_image(path).save(picture, compress_level=0)
            except ImageMissing as error:
                raise Refusal("image-not-found", str(error), errors=_at(place, "not found")) from None
            except SourceFailure as error:
                raise Refusal(
                    "image-source", str(error), errors=_at(place, "not fetched"), retry_after_s=self._wait_s()
                ) from None
            except CohortError as error:
                reason = str(error).removeprefix(f"{path}: ")
                raise Refusal("unusable-image", f"{place}: {reason}", errors=_at(place, reason)) from None
            images.append(Image(picture, wanted.view))
        context = request.clinical_context
        return Study(
            request.study_id,
            tuple(images),
            Context(context.age, context.sex, context.indication, context.prior_studies),
        )

    def _check_origins(self, request: ReportRequest, origins: Sequence[Origin]) -> None:
        """Refuses what may be of two patients; the last of `origins` is new.

        Raises:
            Refusal: it may. SourceFailure: see there.
        """
        first, new, place = origins[0], origins[-1], f"images.{len(origins) - 1}"
        if new.study_uid != first.study_uid:
            problem = "is of another Study Instance UID than images.0"
            raise Refusal("identity-mismatch", f"{place}: {problem}", errors=_at(place, problem))
        if new.patient != first.patient:
            problem = "is of another Patient ID than images.0"
            raise Refusal("identity-mismatch", f"{place}: {problem}", errors=_at(place, problem))
        if len({origin.sex for origin in origins} - {None}) > 1:
            problem = "is of another patient's sex than an image before it"
            raise Refusal("identity-mismatch", f"{place}: {problem}", errors=_at(place, problem))
        if None not in (new.sex, request.clinical_context.sex) and new.sex != request.clinical_context.sex:
            problem = "contradicts the patient's sex in an image"
            raise Refusal(
                "identity-mismatch",
                f"clinical_context.sex {problem}; is the image this patient's?",
                errors=_at("clinical_context.sex", problem),
            )
        # By its header, a picture with such a number is of the study; so may another patient's be.
        number = request.study_id
        if len(origins) == 1 and not is_uid(number) and self.source.studies(number) != {first.study_uid}:
            problem = "is not the Accession Number or Study ID of this one study alone"
            raise Refusal(
                "identity-mismatch",
                f"study_id {problem}; ask by Study Instance UID",
                errors=_at("study_id", problem),
            )

    def _wait_s(self) -> int:
        """Seconds until about half of what was taken is done."""
        return min(60, max(1, math.ceil(self.taken / 2 * self._first.pace_s / self._first.pool.size)))

    def _each(self) -> list[_Asked]:
        return [asked for asked in (self._first, self._second) if asked is not None]


def _at(field: str, problem: str) -> list[FieldProblem]:
    return [FieldProblem(field=field, problem=problem)]
