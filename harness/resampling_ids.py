"""Stand-ins for patients, by which resampling weights are drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def resampling_ids(patients: Sequence[str], seed: int) -> list[str]:
    """A name for the patient of each study that tells nothing of its id: "00000", "00001", ...

    Weights are drawn by name; were they drawn by the id itself, nobody could draw them again without
    being told the ids. The numbers are ranks of the ids' keyed hashes: they depend neither on the order
    of the studies nor on the order of the ids.

    Args:
        patients: the patient of each study, length n.
        seed: the suite's.
    """
    key = seed.to_bytes(8, "little")

    def drawn(patient: str) -> tuple[bytes, str]:
        return hashlib.blake2b(
            patient.encode(), digest_size=16, key=key, person=b"resampling"
        ).digest(), patient

    ranks = {patient: f"{rank:08d}" for rank, patient in enumerate(sorted(set(patients), key=drawn))}
    return [ranks[patient] for patient in patients]
