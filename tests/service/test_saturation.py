"""More requests than the service takes: each is answered once or told to come again, also when it ends."""

import asyncio
import re
import signal
from collections import Counter

import pytest

pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("pydicom")
pytest.importorskip("torch")

import httpx

from dicom_phantoms import DicomPhantoms
from harness.candidates.http.requests import request_of
from harness.service.contract import PATH
from serve_process import started

pytestmark = pytest.mark.slow

STUDIES, QUEUE, CLIENTS = 12, 10, 24


@pytest.fixture(scope="module")
def place(tmp_path_factory, service_root):
    return DicomPhantoms(service_root, tmp_path_factory.mktemp("dicom") / "dicom")


class Crowd:
    """Clients that ask for the studies of a cohort, and write down every answer."""

    def __init__(self, url, cohort):
        self.url = url
        self.asked = [request_of(cohort[number].study) for number in range(STUDIES)]
        self.answers, self.refusals = {}, []

    async def ask(self, client, number):
        """One request for the study of that number; its status."""
        asked = self.asked[number % STUDIES]
        answer = await client.post(
            self.url + PATH.format(study_id=asked.study_id),
            content=asked.model_dump_json(exclude_none=True),
            headers={"content-type": "application/json"},
        )
        if answer.status_code == 200:
            assert answer.headers["x-study-id"] == asked.study_id
            report = answer.json()
            assert report["report_id"] == f"multimodal-{asked.study_id}"
            assert number not in self.answers
            self.answers[number] = (asked.study_id, report["findings_text"], report["impression"])
        else:
            assert answer.json()["type"] == "urn:harness:problem:queue-full"
            self.refusals.append(int(answer.headers["retry-after"]))
        return answer.status_code

    async def until_answered(self, numbers):
        """Everybody comes again as often as it takes."""
        left = list(numbers)
        async with self.client() as client:

            async def one():
                while left:
                    number = left.pop()
                    while await self.ask(client, number) != 200:
                        await asyncio.sleep(self.refusals[-1])

            await asyncio.gather(*(one() for _ in range(CLIENTS)))

    @staticmethod
    def client():
        return httpx.AsyncClient(timeout=120, trust_env=False, limits=httpx.Limits(max_connections=CLIENTS))


def counted(url):
    """The service's own count of what it did."""
    text = httpx.get(f"{url}/metrics", timeout=60, trust_env=False).text
    return {name: float(value) for name, value in re.findall(r"^harness_service_(\S+) (\S+)$", text, re.M)}


def logged(log):
    """Status -> requests for a report, of the log."""
    return Counter(int(status) for status in re.findall(rf"POST {re.escape(PATH)} (\d+) ", log.read_text()))


def test_saturated_and_ended(place, tmp_path):
    log = tmp_path / "log"
    options = ("--images", f"folder:{place.dicom}", "--queue", str(QUEUE), "--timeout", "60")
    with started(*options, candidate="multimodal", log=log) as (process, url):
        crowd = Crowd(url, place)
        alone = Crowd(url, place)
        asyncio.run(asks_in_turn(alone))

        numbers = range(4 * STUDIES)
        asyncio.run(crowd.until_answered(numbers))
        told = counted(url)
        assert set(crowd.answers) == set(numbers)  # each once: `ask` refuses a second answer
        assert crowd.refusals  # it was saturated
        assert all(1 <= seconds <= 60 for seconds in crowd.refusals)
        for number, answer in crowd.answers.items():  # nobody got another's report
            assert answer == alone.answers[number % STUDIES]
        worked_on = len(crowd.answers) + len(alone.answers)
        assert told['outcomes_total{status="ok"}'] == told["batch_studies_sum"] == worked_on
        assert told['requests_total{status="200"}'] == worked_on
        assert told['requests_total{status="429"}'] == len(crowd.refusals)
        assert told["batch_studies_count"] < worked_on  # they were worked on together
        assert told["taken"] == told["waiting"] == 0

        last = Crowd(url, place)
        found = asyncio.run(ended_in_the_middle(last, process))
        assert process.wait(60) == 0
    counts = Counter(found)
    assert set(counts) <= {200, 429, "cut"}
    assert counts[200] == len(last.answers) >= QUEUE  # the queue was full, and all of it is answered
    assert counts[429] == len(last.refusals)
    for number, answer in last.answers.items():
        assert answer == alone.answers[number % STUDIES]
    # Nothing was worked on that nobody got, and nobody got anything that was not.
    assert logged(log) == {200: worked_on + counts[200], 429: len(crowd.refusals) + counts[429]}
    assert "Traceback" not in log.read_text()


async def asks_in_turn(crowd):
    async with crowd.client() as client:
        for number in range(STUDIES):
            assert await crowd.ask(client, number) == 200


async def ended_in_the_middle(crowd, process):
    """What everybody gets where the process is told to end while its queue is full."""

    async def one(client, number):
        try:
            return await crowd.ask(client, number)
        except httpx.TransportError:  # it came when nothing was taken any more
            return "cut"

    async with crowd.client() as client:
        asking = [asyncio.create_task(one(client, number)) for number in range(CLIENTS)]
        while not crowd.refusals:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        return await asyncio.gather(*asking)
