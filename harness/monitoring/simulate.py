"""Simulated production: a stream of phantom studies with one planted event, or none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from harness.data_files import data_path
from harness.errors import HarnessError
from harness.ledger import write_atomically
from harness.monitoring.judge import iso
from harness.phantom.render import render_scene
from harness.phantom.sampling import patient_visits
from harness.phantom.scene import Scene
from harness.report import FINDINGS, Finding

Event = Literal["none", "scanner", "recall", "surge", "latency"]
EVENTS: Final[tuple[Event, ...]] = ("none", "scanner", "recall", "surge", "latency")
START: Final = 1_767_225_600
"""2026-01-01T00:00:00Z."""
POOL: Final = 600
"""Scenes that studies are drawn from."""

SENSITIVITY, FALSE_CLAIMS = 0.98, 0.01
UNCONFIRMED, REJECTED, FAILED = 0.015, 0.04, 0.001
"""Of claims; of reports; of studies."""
READ: Final = 0.5
"""Share of studies that a radiologist reads, 2 to 20 hours later."""
FALLEN: Final = Finding.PLEURAL_EFFUSION
"""The finding whose recall falls by 6 points."""
SURGE: Final = 2.5
"""How many times likelier a scene with a pneumothorax becomes."""
CONTRAST: Final = 0.8
"""Of the new scanner, times the old one's; its noise is half as much again."""
SLOW: Final = 5.0
"""How many times longer a report takes for the 6 hours of the incident."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Scenes, the findings in them, and their embeddings before and after the scanner's change."""

    findings: list[frozenset[Finding]]
    embeddings: NDArray[np.float32]
    changed: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Plan:
    """A stream to simulate."""

    days: int
    per_day: float
    seed: int
    event: Event = "none"
    on_day: int = 14
    """The event begins at 09:00 of this day, counted from 0."""
    reference_days: int = 30

    @property
    def begins(self) -> float:
        """When the event begins, in seconds since 1970."""
        return START + 86400.0 * self.on_day + 9 * 3600


def make_pool(seed: int = 1, size: int = POOL) -> Pool:
    """Draws scenes and lets the tiny ViT see them; needs torch.

    Raises:
        HarnessError: torch or transformers is not installed.
    """
    try:
        from harness.candidates.vit import VitClassifier

        model = VitClassifier(data_path("checkpoints") / "phantom-vit")
        model.load()
    except ImportError:
        raise HarnessError('simulated embeddings need torch; pip install "harness[models]"') from None
    scenes = [next(iter(patient_visits(seed, patient))).scene for patient in range(size)]
    before = [_picture(scene, seed, place) for place, scene in enumerate(scenes)]
    after = [
        _picture(replace(scene, exposure=CONTRAST * scene.exposure, noise=1.5 * scene.noise), seed, place)
        for place, scene in enumerate(scenes)
    ]
    found = [frozenset(sign.finding for sign in scene.signs) for scene in scenes]
    return Pool(found, model.embeddings(before), model.embeddings(after))


def _picture(scene: Scene, seed: int, place: int) -> NDArray[np.float32]:
    frontal = replace(scene, views=tuple(view for view in scene.views if view.frontal))
    return render_scene(frontal, (seed, place), 128)[0].pixels.astype(np.float32) / np.float32(255)


def reference_records(plan: Plan, pool: Pool) -> list[dict[str, Any]]:
    """The records of the time before, without any event."""
    quiet = replace(plan, days=plan.reference_days, event="none", seed=plan.seed + 1_000_003)
    return list(stream_records(quiet, pool, START - 86400.0 * plan.reference_days, "r"))


def stream_records(
    plan: Plan, pool: Pool, start: float = START, prefix: str = "s"
) -> Iterator[dict[str, Any]]:
    """The records of a stream, in the order of time, as plain values."""
    rng = np.random.default_rng([plan.seed, 31])
    usual = np.full(len(pool.findings), 1 / len(pool.findings))
    surge = np.array([SURGE if Finding.PNEUMOTHORAX in found else 1.0 for found in pool.findings])
    surge /= surge.sum()
    records: list[tuple[float, dict[str, Any]]] = []
    times = start + 86400 * np.sort(rng.random(rng.poisson(plan.per_day * plan.days))) * plan.days
    for number, time in enumerate(times):
        after = plan.event != "none" and time >= plan.begins
        place = int(rng.choice(len(usual), p=surge if after and plan.event == "surge" else usual))
        slow = SLOW if after and plan.event == "latency" and time < plan.begins + 6 * 3600 else 1.0
        truth = pool.findings[place]
        report = _report(rng, truth, 0.06 if after and plan.event == "recall" else 0.0)
        claims = sorted(report)
        failed = rng.random() < FAILED
        latency = None if failed else round(slow * math.exp(rng.normal(math.log(6), 0.35)), 3)
        vectors = pool.changed if after and plan.event == "scanner" else pool.embeddings
        record: dict[str, Any] = {
            "study_id": f"{prefix}{number:07d}",
            "time": iso(time),
            "latency_s": latency,
            "queue_depth": int(rng.poisson(2 * slow**2)),
            "gpu_use": round(min(1.0, max(0.0, rng.normal(0.3 * slow**0.5, 0.05))), 3),
            "embedding": [round(float(value), 4) for value in vectors[place]],
        }
        if not failed:
            record["findings"] = claims
            record["detected"] = [name for name in claims if rng.random() >= UNCONFIRMED]
            record["rejected"] = bool(rng.random() < REJECTED)
        records.append((time, record))
        later = time + 3600 * rng.uniform(2, 20)
        if rng.random() < READ and later < start + 86400 * plan.days:
            reading = {
                "kind": "reading",
                "study_id": record["study_id"],
                "time": iso(later),
                "findings": [] if failed else claims,
                "reference": sorted(truth) or [Finding.NO_FINDING],
            }
            records.append((later, reading))
    for _, record in sorted(records, key=lambda one: one[0]):
        yield record


def _report(rng: np.random.Generator, truth: frozenset[Finding], lost: float) -> list[Finding]:
    said = []
    for finding in FINDINGS[1:]:
        seen = SENSITIVITY - (lost if finding is FALLEN else 0.0)
        if rng.random() < (seen if finding in truth else FALSE_CLAIMS):
            said.append(finding)
    return said or [Finding.NO_FINDING]


def write_stream(out: Path, plan: Plan, make: Callable[[], Pool]) -> None:
    """Writes reference.jsonl, production/DAY.jsonl and monitor.yaml, the example configuration.

    Raises:
        HarnessError: the folder exists already, or the numbers make no sense.
    """
    planted = plan.event != "none"
    if plan.days < 1 or plan.per_day < 1 or plan.seed < 0 or (planted and plan.on_day >= plan.days):
        raise HarnessError(f"needs days >= 1 (an event: more than {plan.on_day}), per-day >= 1, seed >= 0")
    if out.exists():
        raise HarnessError(f"{out}: exists already; name a new folder")
    pool = make()
    (out / "production").mkdir(parents=True)
    days: dict[str, list[dict[str, Any]]] = {}
    for record in stream_records(plan, pool):
        days.setdefault(record["time"][:10], []).append(record)
    _write(out / "reference.jsonl", reference_records(plan, pool))
    for day, records in days.items():
        _write(out / "production" / f"{day}.jsonl", records)
    example = data_path("suites") / "monitoring" / "production.yaml"
    # Its silence is no fault: what is simulated is past.
    config = example.read_text(encoding="utf-8").replace("stale_after_h: 3", "stale_after_h: null")
    write_atomically(out / "monitor.yaml", config.encode())


def _write(path: Path, records: list[dict[str, Any]]) -> None:
    write_atomically(path, "".join(json.dumps(record) + "\n" for record in records).encode())
