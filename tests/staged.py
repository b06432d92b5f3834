"""Declarations and streams of staging, small."""

import json
from datetime import UTC, datetime

import yaml

FOUR = ("Pneumothorax", "Fracture", "Lung Lesion", "Pleural Effusion")
START = 1_767_571_200  # 2026-01-05T00:00:00Z
SHADOW = {
    "name": "test",
    "version": 1,
    "start": "2026-01-05T00:00:00Z",
    "hours": 4,
    "readings_h": 1,
    "production": {"version": "3", "candidate": "a" * 64},
    "shadow": {"version": "4", "candidate": "b" * 64},
    "measures": [
        *({"measure": "critical_sensitivity", "value": one, "margin": 0.05} for one in FOUR),
        {"measure": "failure_rate", "margin": 0.05},
    ],
    "planned_positives": 800,
    "looks": [0.25, 0.5, 0.75],
}
WATCH = {
    "name": "test",
    "version": 1,
    "start": "2026-01-05T00:00:00Z",
    "hours": 2,
    "green": "2",
    "blue": "1",
    "false_rollbacks": 0.01,
    "rules": [
        {"measure": "failure_rate", "above": 0.03, "needs": 50},
        {"measure": "latency", "quantile": 0.97, "above": 30, "needs": 50},
        {"measure": "critical_misses", "above": 0.05, "needs": 10, "otherwise": "hold"},
    ],
}


def at(minutes):
    return datetime.fromtimestamp(START + 60 * minutes, UTC).isoformat()


def pair(number, minutes, production=FOUR, shadow=FOUR, **other):
    def side(version, findings):
        return {
            "version": version,
            "findings": None if findings is None else list(findings),
            "latency_s": 5.0,
        }

    return {
        "study_id": f"SMITH-{number}",
        "patient_id": f"p{number}",
        "time": at(minutes),
        "production": side("3", production),
        "shadow": side("4", shadow),
    } | other


def reading(number, minutes, reference=FOUR):
    return {
        "kind": "reading",
        "study_id": f"SMITH-{number}",
        "time": at(minutes),
        "reference": list(reference),
    }


def clocks(minutes):
    return [{"kind": "clock", "time": at(minutes + n)} for n in range(5)]


def deployment(count=220, missed=0, end=True):
    """Pairs a minute apart, each read at once, with all four critical findings; in every so many the new
    model alone misses the pneumothorax."""
    found = []
    for n in range(count):
        said = FOUR[1:] if missed and n % missed == 0 else FOUR
        found += [pair(n, n, shadow=said), reading(n, n + 0.5)]
    return found + (clocks(400) if end else [])


def outcome(number, minutes, **other):
    return {
        "study_id": f"JONES-{number}",
        "time": at(minutes),
        "version": "2",
        "status": "ok",
        "latency_s": 6.0,
    } | other


def read(number, minutes, missed=False, **other):
    return {
        "kind": "reading",
        "study_id": f"JONES-{number}",
        "time": at(minutes),
        "critical_missed": missed,
    } | other


def outcomes(minutes=122.0, per_minute=3, **changed):
    """Steady outcomes; every fifth is read; in one of ten of these nothing critical is there, and in none
    was it missed."""
    found = []
    for n in range(round(minutes * per_minute)):
        found.append(outcome(n, n / per_minute, **changed))
        if n % 5 == 0:
            found.append(read(n, n / per_minute + 0.01, None if n % 50 == 0 else False))
    return found


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def declare(folder, declaration, records, **changed):
    """The paths of a declaration and of a stream of one file."""
    folder.mkdir(parents=True, exist_ok=True)
    config, stream = folder / "declared.yaml", folder / "stream.jsonl"
    config.write_text(yaml.safe_dump(declaration | changed))
    stream.write_text(lines(records))
    return config, stream


def log(folder):
    """A log without what differs from one time of day to another."""
    varying = ("time", "previous", "digest", "look", "seq")
    return [
        {key: value for key, value in json.loads(line).items() if key not in varying}
        for line in (folder / "log.jsonl").read_text().splitlines()
    ]
