import asyncio

import pytest

from harness.service.idempotency import KEPT_S, Remembered
from harness.service.refusals import Refusal


class Maker:
    def __init__(self, *answers):
        self.answers, self.made = list(answers), 0

    async def __call__(self):
        self.made += 1
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def test_once():
    async def go():
        kept, make = Remembered(), Maker("one", "two")
        return [await kept.once("k", "f", make) for _ in range(3)], make.made

    answers, made = asyncio.run(go())
    assert answers == [("one", False), ("one", True), ("one", True)]
    assert made == 1


def test_while_the_first_is_still_at_work():
    async def go():
        kept, make = Remembered(), Maker("one", "two")
        return await asyncio.gather(*(kept.once("k", "f", make) for _ in range(5))), make.made

    answers, made = asyncio.run(go())
    assert {answer for answer, _ in answers} == {"one"}
    assert sum(not replay for _, replay in answers) == 1
    assert made == 1


def test_a_key_of_another_request():
    async def go():
        kept, make = Remembered(), Maker("one")
        await kept.once("k", "f", make)
        with pytest.raises(Refusal) as caught:
            await kept.once("k", "g", make)
        return caught.value.status

    assert asyncio.run(go()) == 422


@pytest.mark.parametrize(
    ("kind", "made"), [("no-report", 1), ("late", 1), ("queue-full", 2), ("unavailable", 2)]
)
def test_a_refusal_is_kept_if_the_candidate_was_asked(kind, made):
    async def go():
        kept, make = Remembered(), Maker(Refusal(kind, "x"), "two")
        with pytest.raises(Refusal):
            await kept.once("k", "f", make)
        try:
            answer = await kept.once("k", "f", make)
        except Refusal as refusal:
            return make.made, refusal.kind
        return make.made, answer

    assert asyncio.run(go()) == (made, kind if made == 1 else ("two", False))


def test_one_who_goes_away_does_not_take_the_answer_along():
    async def go():
        kept, make = Remembered(), Maker("one", "two")
        first = asyncio.create_task(kept.once("k", "f", make))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(kept.once("k", "f", make))
        other = asyncio.create_task(kept.once("k", "f", make))
        await asyncio.sleep(0)
        other.cancel()
        return (await first)[0], (await waiting)[0], make.made

    assert asyncio.run(go()) == ("one", "one", 1)


def test_forgotten_after_an_hour():
    async def go():
        now = [0.0]
        kept, make = Remembered(lambda: now[0]), Maker("one", "two")
        first = await kept.once("k", "f", make)
        now[0] = KEPT_S + 1
        return first, await kept.once("k", "f", make)

    assert asyncio.run(go()) == (("one", False), ("two", False))
