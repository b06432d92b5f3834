"""Dynamic batching: requests that come close together are worked on together. Standard library alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MOST: Final = 8
"""Items of one batch."""
LINGER_S: Final = 0.1
"""How long the first item of a batch waits for company."""


class WaitedTooLong(Exception):  # noqa: N818 - an answer, not a defect
    """An item's turn did not come in time; it was not worked on."""


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Answer]):
    item: Item
    kind: Hashable
    arrived: float
    future: asyncio.Future[Answer] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Batcher(Generic[Item, Answer]):
    """Collects items and has them worked on in batches; each gets its own answer.

    A free lane takes the item that waits longest, and with it those of the same kind, oldest first, as soon
    as there are `most` of them or the first has waited `linger_s`. Nothing is lost, worked on twice, or
    given another's answer; where the work on a batch raises, every item of it gets that exception.

    Args:
        work: a kind and its items -> their answers, in the same order.
        lanes: batches at a time.
        most: items of one batch; with 1, nothing lingers.
        linger_s: seconds that the first item of a batch waits for company.
        patience_s: seconds after which an item is not worked on any more.
    """

    def __init__(
        self,
        work: Callable[[Hashable, Sequence[Item]], Awaitable[Sequence[Answer]]],
        *,
        lanes: int = 1,
        most: int = MOST,
        linger_s: float = LINGER_S,
        patience_s: float = 30.0,
    ) -> None:
        self._work, self._most, self._linger_s, self._patience_s = work, most, linger_s, patience_s
        self._waiting: deque[_Waiting[Item, Answer]] = deque()
        self._changed = asyncio.Event()
        self._closing = False
        self._lanes = [asyncio.create_task(self._lane()) for _ in range(lanes)]

    @property
    def waiting(self) -> int:
        """Items whose turn has not come."""
        return len(self._waiting)

    async def submit(self, item: Item, kind: Hashable = None) -> Answer:
        """The answer to one item.

        Raises:
            WaitedTooLong: its turn did not come in time. RuntimeError: the batcher is closed.
        """
        if self._closing:
            raise RuntimeError("the batcher is closed")
        loop = asyncio.get_running_loop()
        entry: _Waiting[Item, Answer] = _Waiting(item, kind, loop.time())
        self._waiting.append(entry)
        self._changed.set()
        expiry = loop.call_later(self._patience_s, self._give_up, entry)
        try:
            return await entry.future
        finally:
            expiry.cancel()
            if entry in self._waiting:  # whoever asked went away
                self._waiting.remove(entry)

    async def close(self) -> None:
        """Works on everything that was submitted, then ends."""
        self._closing = True
        self._changed.set()
        await asyncio.gather(*self._lanes)

    def _give_up(self, entry: _Waiting[Item, Answer]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            if not entry.future.done():
                entry.future.set_exception(WaitedTooLong())

    async def _lane(self) -> None:
        while (batch := await self._next()) is not None:
            try:
                answers = await self._work(batch[0].kind, [entry.item for entry in batch])
                for entry, answer in zip(batch, answers, strict=True):
                    if not entry.future.done():
                        entry.future.set_result(answer)
            except Exception as error:
                for entry in batch:
                    if not entry.future.done():
                        entry.future.set_exception(error)

    async def _next(self) -> list[_Waiting[Item, Answer]] | None:
        """The next batch; None when closed and nothing is left."""
        loop = asyncio.get_running_loop()
        while True:
            left: float | None = None
            if self._waiting:
                first = self._waiting[0]
                batch = [entry for entry in self._waiting if entry.kind == first.kind][: self._most]
                left = first.arrived + self._linger_s - loop.time()
                if len(batch) == self._most or left <= 0 or self._closing:
                    for entry in batch:
                        self._waiting.remove(entry)
                    return batch
            elif self._closing:
                return None
            self._changed.clear()  # no other task runs between here and the wait
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                continue
