"""The same key, the same answer: what is asked twice is made once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from harness.service.refusals import Refusal

Answer = TypeVar("Answer")

KEPT_S: Final = 3600.0
MOST_KEPT: Final = 10_000


@dataclass(slots=True)
class _Kept(Generic[Answer]):
    fingerprint: str
    since: float
    answer: asyncio.Future[Answer]


class Remembered(Generic[Answer]):
    """Answers by idempotency key, in this process's memory, for an hour.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Kept[Answer]] = OrderedDict()

    async def once(
        self, key: str, fingerprint: str, make: Callable[[], Awaitable[Answer]]
    ) -> tuple[Answer, bool]:
        """The key's answer, and whether it was made for an earlier request.

        A second request that comes while the first is worked on waits for the same answer. What was
        refused before the candidate was asked is not kept.

        Args:
            key: the client's.
            fingerprint: of the request.
            make: makes the answer.

        Raises:
            Refusal: that of `make`; or the key was used for another request.
        """
        self._forget()
        kept = self._kept.get(key)
        if kept is not None:
            if kept.fingerprint != fingerprint:
                raise Refusal("key-reused", "use a new Idempotency-Key for another request")
            return await asyncio.shield(kept.answer), True
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait for it
        self._kept[key] = _Kept(fingerprint, self._clock(), future)
        try:
            answer = await make()
        except BaseException as error:
            if not (isinstance(error, Refusal) and error.asked):
                del self._kept[key]
            future.set_exception(
                error
                if isinstance(error, Exception)
                else Refusal("unavailable", "ask again", retry_after_s=1)
            )
            raise
        future.set_result(answer)
        return answer, False

    def _forget(self) -> None:
        now = self._clock()
        for key, kept in list(self._kept.items()):
            old = now - kept.since > KEPT_S or len(self._kept) > MOST_KEPT
            if not old:
                break
            if kept.answer.done():
                del self._kept[key]
