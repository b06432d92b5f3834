"""One line of a production stream: what is taken from it, and what is wrong with it."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from harness.report import FINDINGS, PARENTS, Finding

FIELDS: Final = frozenset(
    {
        "kind", "study_id", "time", "latency_s", "findings", "detected", "reference", "rejected",
        "queue_depth", "gpu_use", "embedding",
    }
)  # fmt: skip
_NAMES: Final = {str(finding): finding for finding in FINDINGS}
_FIELD_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
FAULTS_SHOWN: Final = 3
"""Places that are kept of each kind of fault."""
NOT_JSON, NO_RECORD, NO_STUDY = "not JSON", "not a record", "no usable study_id"
NO_TIME, NO_KIND = "no usable time (ISO 8601 with a zone)", "unknown kind"
UNPLACED: Final = frozenset({NOT_JSON, NO_RECORD, NO_STUDY, NO_TIME, NO_KIND})
"""Faults that leave a whole record out: of which study, when, or what it was is not known."""


@dataclass(slots=True)
class Place:
    """Where a record stands: the name of its file, the byte (or row) it begins at, and its line."""

    file: str
    offset: int
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Record:
    """A report that the model wrote, or a radiologist's reading of one."""

    key: bytes
    """8 bytes of SHA-256 over kind and study id: to tell duplicates, without the id."""
    time: float
    """Seconds since 1970, of the event."""
    place: Place
    reading: bool
    """Whether it is a radiologist's reading of a study that was reported before."""
    findings: frozenset[Finding] | None = None
    """What the report's text says is there; for a reading, what the report had said."""
    detected: frozenset[Finding] | None = None
    """What the detection head confirms."""
    reference: frozenset[Finding] | None = None
    """What the radiologist says is there."""
    latency_s: float | None = None
    """Infinite where no report came."""
    rejected: bool | None = None
    queue_depth: float | None = None
    gpu_use: float | None = None
    embedding: NDArray[np.float64] | None = None
    content: bytes = b""
    """8 bytes of SHA-256 over what is judged, but the embedding: tells a repeat from a contradiction."""

    @property
    def unconfirmed(self) -> int:
        """Claims that the detection head does not confirm; a wider one is confirmed by a narrower."""
        if self.findings is None or self.detected is None:
            return 0
        wider = {PARENTS[finding] for finding in self.detected if finding in PARENTS}
        return len(self.claims - self.detected - wider)

    @property
    def claims(self) -> frozenset[Finding]:
        """Findings, without No Finding."""
        return (self.findings or frozenset()) - {Finding.NO_FINDING}


@dataclass(slots=True)
class Faults:
    """What was wrong with the stream: counts by kind, and the first places of each."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)
    unplaced: int = 0
    """Records left out whole; `take` leaves it as it is."""

    def add(self, kind: str, place: Place) -> None:
        """Counts one."""
        self.counts[kind] += 1
        self.unplaced += kind in UNPLACED
        shown = self.places.setdefault(kind, [])
        if len(shown) < FAULTS_SHOWN:
            shown.append(str(place))

    def take(self) -> dict[str, dict[str, Any]]:
        """Kind -> count and places, as plain values; begins anew."""
        told = {
            kind: {"count": count, "places": self.places[kind]} for kind, count in sorted(self.counts.items())
        }
        self.counts, self.places = Counter(), {}
        return told


def parse(
    value: Any, place: Place, faults: Faults, dimensions: int | None = None, known: Iterable[str] = ()
) -> Record | None:
    """A record from the plain values of one line; None, and counted, where it cannot be placed in time.

    A field that is wrong or missing is counted and left out, and the rest of the record is used; but a
    latency that is none counts as a report that never came, and an answer to `rejected` that is none as a
    rejection. Messages name fields, never their contents.

    Args:
        value: what the line holds.
        place: where it stands.
        faults: is added to.
        dimensions: of embeddings; others are not usable.
        known: further fields that are nobody's fault.
    """
    begun = header(value, place, faults, ("report", "reading"))
    if begun is None:
        return None
    kind, study, time = begun
    for name in value.keys() - FIELDS - set(known):
        plain = isinstance(name, str) and _FIELD_NAME.fullmatch(name)
        faults.add(f"unknown field {name if plain else '(unprintable)'}", place)
    reading = kind == "reading"
    record = Record(
        key=hashlib.sha256(f"{kind}\0{study}".encode()).digest()[:8], time=time, place=place, reading=reading
    )

    def read(name: str, convert: Any, needed: bool = True, otherwise: Any = None) -> Any:
        if value.get(name) is None:
            if needed:
                faults.add(f"{name} missing", place)
            return None
        try:
            return convert(value[name])
        except (TypeError, ValueError, OverflowError) as error:
            faults.add(f"{name} {error if isinstance(error, UnusableError) else 'not usable'}", place)
            return otherwise

    if reading:
        record.findings = read("findings", findings_of)
        record.reference = read("reference", findings_of)
        record.content = _content(record)
        return record
    if "latency_s" in value and value["latency_s"] is None:
        record.latency_s = math.inf  # no report came
    else:
        record.latency_s = read("latency_s", amount, otherwise=math.inf)
    failed = record.latency_s == math.inf
    record.findings = read("findings", findings_of, needed=not failed)
    record.detected = read("detected", findings_of, needed=False)
    record.rejected = read("rejected", flag, needed=False, otherwise=True)
    record.queue_depth = read("queue_depth", amount, needed=False)
    record.gpu_use = read("gpu_use", _share, needed=False)
    record.embedding = read("embedding", lambda vector: _vector(vector, dimensions), needed=False)
    record.content = _content(record)
    return record


def _content(record: Record) -> bytes:
    named = [
        None if found is None else sorted(found)
        for found in (record.findings, record.detected, record.reference)
    ]
    return hashlib.sha256(repr((record.latency_s, record.rejected, *named)).encode()).digest()[:8]


def header(
    value: Any, place: Place, faults: Faults, kinds: Sequence[str], bare_kinds: Sequence[str] = ()
) -> tuple[str, str, float] | None:
    """Kind, study and time of a record; None, and counted, where one of them cannot be used.

    Args:
        value: what the line holds.
        place: where it stands.
        faults: is added to.
        kinds: that there may be; the first where none is named.
        bare_kinds: kinds that are of no study, whose study is "".
    """
    if not isinstance(value, Mapping):
        faults.add(NO_RECORD, place)
        return None
    kind, study, time = value.get("kind", kinds[0]), value.get("study_id"), moment(value.get("time"))
    bare = isinstance(kind, str) and kind in bare_kinds
    if not bare and (not isinstance(study, str | int) or isinstance(study, bool) or study == ""):
        faults.add(NO_STUDY, place)
        return None
    if time is None:
        faults.add(NO_TIME, place)
        return None
    if not isinstance(kind, str) or kind not in kinds:
        faults.add(NO_KIND, place)
        return None
    return kind, "" if bare else str(study), time


class UnusableError(ValueError):
    """Says what is wrong in words that hold nothing of the value."""


def moment(value: Any) -> float | None:
    """Seconds since 1970 of an ISO 8601 time with a zone; None where it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    # A time without a zone may be off by hours: no guess is made.
    if not isinstance(value, datetime) or value.tzinfo is None:
        return None
    seconds = value.timestamp()
    return seconds if 0 < seconds < 1e11 else None


def findings_of(value: Any) -> frozenset[Finding]:
    """Findings by their names.

    Raises:
        UnusableError: no list of the 14 names.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise UnusableError("is no list of findings")
    names = list(value)
    if any(not isinstance(name, str) or name not in _NAMES for name in names):
        raise UnusableError("holds a name that is none of the 14")
    return frozenset(_NAMES[name] for name in names)


def amount(value: Any) -> float:
    """A number, 0 or more.

    Raises:
        UnusableError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise UnusableError("is no number, 0 or more")
    return float(value)


def _share(value: Any) -> float:
    share = amount(value)
    if share > 1:
        raise UnusableError("is no share from 0 to 1")
    return share


def flag(value: Any) -> bool:
    """True or false.

    Raises:
        UnusableError: it is neither.
    """
    if not isinstance(value, bool):
        raise UnusableError("is not true or false")
    return value


def _vector(value: Any, dimensions: int | None) -> NDArray[np.float64]:
    vector = np.asarray(value, dtype=np.float64)
    if vector.ndim != 1 or not len(vector):
        raise UnusableError("is no list of numbers")
    if not np.isfinite(vector).all():
        raise UnusableError("holds NaN or infinity")
    if dimensions is not None and len(vector) != dimensions:
        raise UnusableError(f"has not the {dimensions} numbers of the reference")
    return vector
