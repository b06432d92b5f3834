import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.service.batching import Batcher, WaitedTooLong


class Work:
    """Answers with the item itself; remembers its batches; waits until it is let go."""

    def __init__(self, gated=False):
        self.batches = []
        self.gate = asyncio.Event()
        if not gated:
            self.gate.set()
        self.running = self.most_running = 0

    async def __call__(self, kind, items):
        self.batches.append((kind, list(items)))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        await self.gate.wait()
        await asyncio.sleep(0)
        self.running -= 1
        if "bad" in items:
            raise ValueError("bad batch")
        return [(kind, item) for item in items]


def test_what_comes_together_is_worked_on_together():
    async def go():
        work = Work()
        batcher = Batcher(work, most=8, linger_s=0.05)
        answers = await asyncio.gather(*(batcher.submit(number) for number in range(5)))
        await batcher.close()
        return work.batches, answers

    batches, answers = asyncio.run(go())
    assert batches == [(None, [0, 1, 2, 3, 4])]
    assert answers == [(None, number) for number in range(5)]


def test_a_full_batch_does_not_wait():
    async def go():
        work = Work()
        batcher = Batcher(work, most=4, linger_s=3600)
        answers = await asyncio.wait_for(asyncio.gather(*(batcher.submit(n) for n in range(8))), 60)
        await batcher.close()
        return work.batches, answers

    batches, answers = asyncio.run(go())
    assert [items for _, items in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert [item for _, item in answers] == list(range(8))


def test_a_lone_item_waits_no_longer_than_it_lingers():
    async def go():
        batcher = Batcher(Work(), most=8, linger_s=0.01)
        answer = await asyncio.wait_for(batcher.submit("one"), 60)
        await batcher.close()
        return answer

    assert asyncio.run(go()) == (None, "one")


def test_kinds_are_not_mixed():
    async def go():
        work = Work()
        batcher = Batcher(work, most=8, linger_s=0.02)
        await asyncio.gather(*(batcher.submit(n, "even" if n % 2 == 0 else "odd") for n in range(6)))
        await batcher.close()
        return work.batches

    assert asyncio.run(go()) == [("even", [0, 2, 4]), ("odd", [1, 3, 5])]


def test_no_more_batches_at_a_time_than_lanes():
    async def go():
        work = Work()
        batcher = Batcher(work, lanes=3, most=1)
        await asyncio.gather(*(batcher.submit(number) for number in range(20)))
        await batcher.close()
        return work

    work = asyncio.run(go())
    assert work.most_running == 3
    assert sorted(item for _, items in work.batches for item in items) == list(range(20))


def test_a_batch_that_fails_fails_alone():
    async def go():
        batcher = Batcher(Work(), most=2, linger_s=0.01)
        answers = await asyncio.gather(
            *(batcher.submit(item) for item in ("bad", "with it", "after")), return_exceptions=True
        )
        await batcher.close()
        return answers

    first, second, third = asyncio.run(go())
    assert isinstance(first, ValueError)
    assert isinstance(second, ValueError)
    assert third == (None, "after")


def test_whoever_waits_too_long_is_not_worked_on():
    async def go():
        work = Work(gated=True)
        batcher = Batcher(work, most=1, patience_s=0.05)
        first = asyncio.create_task(batcher.submit("first"))
        await asyncio.sleep(0)
        with pytest.raises(WaitedTooLong):
            await batcher.submit("second")
        assert batcher.waiting == 0
        work.gate.set()
        answer = await first  # it was being worked on: patience is for the queue alone
        await batcher.close()
        return work.batches, answer

    batches, answer = asyncio.run(go())
    assert batches == [(None, ["first"])]
    assert answer == (None, "first")


def test_whoever_went_away_is_not_worked_on():
    async def go():
        work = Work(gated=True)
        batcher = Batcher(work, most=1)
        first, second, third = (asyncio.create_task(batcher.submit(n)) for n in range(3))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.sleep(0)
        work.gate.set()
        answers = await first, await third
        await batcher.close()
        return work.batches, answers

    batches, answers = asyncio.run(go())
    assert [items for _, items in batches] == [[0], [2]]
    assert answers == ((None, 0), (None, 2))


def test_closing_finishes_what_was_taken_and_takes_no_more():
    async def go():
        work = Work(gated=True)
        batcher = Batcher(work, most=2, linger_s=3600)
        tasks = [asyncio.create_task(batcher.submit(number)) for number in range(5)]
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError, match="closed"):
            await batcher.submit(9)
        work.gate.set()
        await closing
        return [await task for task in tasks]

    assert asyncio.run(go()) == [(None, number) for number in range(5)]


@settings(deadline=None, max_examples=30)
@given(
    arrivals=st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), min_size=1, max_size=40),
    lanes=st.integers(1, 3),
    most=st.integers(1, 8),
)
def test_nothing_is_lost_doubled_or_exchanged(arrivals, lanes, most):
    async def go():
        work = Work()
        batcher = Batcher(work, lanes=lanes, most=most, linger_s=0.001)
        tasks = []
        for number, (pause, kind) in enumerate(arrivals):
            tasks.append(asyncio.create_task(batcher.submit(number, kind)))
            for _ in range(pause):
                await asyncio.sleep(0)
        answers = [await task for task in tasks]
        await batcher.close()
        return work, answers

    work, answers = asyncio.run(go())
    assert answers == [(kind, number) for number, (_, kind) in enumerate(arrivals)]
    assert all(len(items) <= most for _, items in work.batches)
    assert sorted(item for _, items in work.batches for item in items) == list(range(len(arrivals)))
