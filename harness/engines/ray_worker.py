"""What lives on a node of a Ray cluster: one worker process, as the local engine has them."""

from __future__ import annotations

import contextlib
import platform
import sys
from collections.abc import Sequence

from harness.candidates.base import Candidate
from harness.digests import code_digest
from harness.engines.local import Worker
from harness.engines.worker import READY
from harness.errors import HarnessError
from harness.outcome import Outcome
from harness.study import Study


class RayWorker:
    """An actor. Time limits and the death of a candidate are settled here, beside the candidate.

    What comes of a study is then the same as on one machine, and a lost actor or node is something
    else than a candidate that died: its studies are asked again.
    """

    def __init__(self, candidate: Candidate, code: str, digest: str, start_timeout_s: float) -> None:
        """Keeps what it is told.

        Args:
            candidate: who answers here.
            code: digest of the harness's code where the run was begun.
            digest: of the candidate there.
            start_timeout_s: for the candidate to load.
        """
        self._worker = Worker(candidate)
        self._code, self._digest, self._start_timeout_s = code, digest, start_timeout_s

    def start(self) -> str:
        """`READY`, or why this node cannot answer."""
        node = platform.node()
        if code_digest() != self._code:
            return f"node {node} has another version of the harness; install the same one everywhere"
        # A process started from here would import Ray's own main module, which it has no use for.
        with contextlib.suppress(AttributeError):
            del sys.modules["__main__"].__file__
        try:
            if self._worker.candidate.digest() != self._digest:
                return f"node {node} has other files of candidate {self._worker.candidate.name}"
            self._worker.start(self._start_timeout_s)
        except HarnessError as error:
            return f"node {node}: {error}"
        return READY

    def answer(self, studies: Sequence[Study], timeout_s: float) -> list[Outcome]:
        """One outcome a study, in their order.

        Raises:
            CandidateError: the candidate does not load again after it was late or died.
        """
        return [self._ask(study, timeout_s) for study in studies]

    def _ask(self, study: Study, timeout_s: float) -> Outcome:
        worker = self._worker
        if not worker.give(study, timeout_s):  # it died while it had nothing to do
            worker.restart(self._start_timeout_s)
            worker.give(study, timeout_s)
        outcome = worker.take(late=not worker.connection.poll(timeout_s))
        if worker.lost:
            worker.restart(self._start_timeout_s)
        return outcome

    def stop(self) -> None:
        """Ends the worker process, so that it does not outlive the actor."""
        self._worker.stop()
