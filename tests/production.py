"""Small production streams for tests, without pictures."""

import json
import random
from datetime import UTC, datetime

import numpy as np
import yaml

from harness.chain import Chain

START = 1_767_225_600  # 2026-01-01T00:00:00Z


def at(hours):
    return datetime.fromtimestamp(START + 3600 * hours, UTC).isoformat()


def report(study, hours, **other):
    return {
        "study_id": study,
        "time": at(hours),
        "latency_s": 5.0,
        "findings": ["Cardiomegaly"],
        "detected": ["Cardiomegaly"],
        "rejected": False,
    } | other


def reading(study, hours, findings=("Pneumothorax",), reference=("Pneumothorax",)):
    return {
        "kind": "reading",
        "study_id": study,
        "time": at(hours),
        "findings": list(findings),
        "reference": list(reference),
    }


def steady(hours, per_hour=12, seed=0, prefix="s", first=0.0, dimensions=4, **changed):
    """Reports, and a reading of every second one an hour later, in the order of time."""
    rng = np.random.default_rng(seed)
    records = []
    for number in range(round(hours * per_hour)):
        when = first + (number + 0.5) / per_hour
        said = ["Pneumothorax"] if rng.random() < 0.2 else ["No Finding"]
        records.append(
            (
                when,
                report(
                    f"{prefix}{number}", when, findings=said, detected=said,
                    latency_s=round(float(rng.lognormal(1.8, 0.3)), 3), queue_depth=1, gpu_use=0.25,
                    embedding=[round(float(x), 4) for x in rng.normal(size=dimensions)],
                ) | changed,
            )
        )  # fmt: skip
        if number % 2 and when + 1 < first + hours:
            records.append((when + 1, reading(f"{prefix}{number}", when + 1, said, said)))
    return [record for _, record in sorted(records, key=lambda one: one[0])]


CONFIG = {
    "name": "test",
    "version": 1,
    "stream": {"path": "production", "lateness_min": 10, "stale_after_h": None},
    "reference": "reference.jsonl",
    "out": "monitor",
    "window_h": 1,
    "period_h": 6,
    "false_alarms_per_month": 5.0,
    "rules": [
        {"id": "p99", "measure": "latency", "above": 30, "over_h": 1, "action": "scale up"},
        {
            "id": "hallucination",
            "measure": "hallucination_rate",
            "above": 0.05,
            "over_h": 6,
            "action": "pause automated reports, require co-sign",
        },
        {"id": "missed", "measure": "critical_sensitivity", "below": 0.95, "over_h": 24, "action": "page"},
    ],
    "data_drift": {"sample": 40, "null_windows": 300, "permutations": 200, "consecutive": 1},
    "label_drift": {"psi": 0.1},
    "detection": {"margin": 0.05},
    "concept_drift": {"findings": ["Pneumothorax"], "over_h": 24},
    "cusum": [{"finding": "Pneumothorax", "of": "claimed", "times": 3, "action": "ask why"}],
}


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def folder(root, records, config=None, reference=None):
    """A folder with a reference, a stream of one file, and a configuration; returns the latter's path."""
    (root / "production").mkdir(parents=True)
    (root / "production" / "a.jsonl").write_text(lines(records))
    given = steady(48, seed=9, prefix="r", first=-48) if reference is None else reference
    (root / "reference.jsonl").write_text(lines(given))
    path = root / "monitor.yaml"
    path.write_text(yaml.safe_dump(CONFIG | (config or {})))
    return path


def entries(root):
    """The windows of a monitor's log, without what differs from one time of day to another."""
    found = []
    for line in (root / "monitor" / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["event"] == "window":
            found.append({k: v for k, v in entry.items() if k not in ("time", "previous", "digest", "seq")})
    return found


class Crash(BaseException):
    """What no code of the harness catches: as if the process had been killed there."""


def crashes_at_entries(monkeypatch, advance, places):
    """Kills a monitor now and then as it enters a window, until it is through; how often it died."""
    append, crashes, rng = Chain.append, 0, random.Random(repr(places))

    def failing(self, event, **facts):
        if event != "window" or rng.random() > 0.3:
            return append(self, event, **facts)
        place = rng.choice(places)
        if place == "after the entry":
            append(self, event, **facts)
        elif place == "half an entry":
            with self.path.open("ab") as stream:
                stream.write(b'{"seq": 17, "event": "win')
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(Chain, "append", failing)
        for _ in range(200):
            try:
                advance()
            except Crash:
                crashes += 1
            else:
                return crashes
    raise AssertionError("it never got through")
