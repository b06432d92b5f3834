"""What an engine is: where candidates answer and annotators read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from harness.candidates.base import Candidate
from harness.outcome import Outcome
from harness.study import Study

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Does a run's work somewhere, in whatever order; what is written depends on neither.

    The caller hands over the studies that are not yet in its ledger and writes down what comes, so an
    engine keeps nothing: whatever dies, what was written is not asked again.
    """

    def ask(
        self,
        candidate: Candidate,
        studies: Iterable[Study],
        *,
        timeout_s: float,
        start_timeout_s: float,
    ) -> Iterator[Outcome]:
        """One outcome a study, in any order.

        Args:
            candidate: who is asked.
            studies: taken one by one, as there is somebody to answer.
            timeout_s: of one study; later is `Status.LATE`.
            start_timeout_s: for a candidate to load.

        Raises:
            CandidateError: the candidate cannot be prepared at all.
            EngineError: there is nowhere to run it.
        """

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], *, heavy: bool) -> Iterator[Result]:
        """`work` of every item, in order, with few of them held.

        Args:
            work: a pure function that can be pickled.
            items: taken as they are needed.
            heavy: it holds a model; one on a machine or GPU is enough.

        Raises:
            HarnessError: as `work`. EngineError: the workers failed.
        """
