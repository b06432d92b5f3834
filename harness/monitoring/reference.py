"""What production is compared with: records of the time in which the model was validated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError
from harness.monitoring.counts import count
from harness.monitoring.records import Faults, Record, parse
from harness.monitoring.stream import Stream


@dataclass(frozen=True, eq=False)
class Reference:
    """The reference, read."""

    counts: Counter[str]
    hours: float
    """From the first report to the last: how fast studies come."""
    embeddings: NDArray[np.float64]
    """Shape (n, dimensions); (0, 0) where there are none."""

    @property
    def dimensions(self) -> int | None:
        """Of an embedding; None where there are none."""
        return self.embeddings.shape[1] if len(self.embeddings) else None


def read_reference(path: Path, ignore: tuple[str, ...] = ()) -> Reference:
    """Reads the records of the reference, in the stream's own form.

    Raises:
        HarnessError: it is missing, holds no report, or is faulty in any way: what everything is
            compared with must be whole.
    """
    faults, records, seen = Faults(), list[Record](), set[bytes]()
    stream = Stream(path)
    for place, value in stream.lines(faults):
        record = parse(value, place, faults, known=ignore)
        if record is None:
            continue
        if record.key in seen:
            faults.add("duplicate", place)
        seen.add(record.key)
        records.append(record)
    if stream.waiting:
        raise HarnessError(f"{path}: its last line has no end; is it still being written?")
    if faults.counts:
        kind, count_of = faults.counts.most_common(1)[0]
        raise HarnessError(
            f"{path}: {sum(faults.counts.values()):,} faults, most often: {kind} ({count_of:,}, first at "
            f"{faults.places[kind][0]}); a reference must have none"
        )
    times = [record.time for record in records if not record.reading]
    if not times:
        raise HarnessError(f"{path}: holds no report; a reference needs records of validation")
    vectors = [record.embedding for record in records if record.embedding is not None]
    if len({len(vector) for vector in vectors}) > 1:
        raise HarnessError(f"{path}: embeddings of different lengths; all must come from one encoder")
    return Reference(
        counts=count(records),
        hours=(max(times) - min(times)) / 3600,
        embeddings=np.stack(vectors) if vectors else np.zeros((0, 0)),
    )
