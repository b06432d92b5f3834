"""Stand-ins for patients, by which resampling weights are drawn."""

from __future__ import annotations

import hashlib

import pyarrow as pa


def resampling_ids(cases: pa.Table, seed: int) -> list[str]:
    """A name for the patient of each study that tells nothing of its id: "00000000", "00000001", ...

    Weights are drawn by name; were they drawn by the id itself, nobody could draw them again without
    being told the ids. The numbers are ranks of the ids' keyed hashes: they depend neither on the order
    of the studies nor on the order of the ids.

    Args:
        cases: a ledger's table; where it has a column `cluster` (the evidence of a packet, which names
            no patient), that is what this function gave.
        seed: the suite's.
    """
    if "cluster" in cases.column_names:
        given: list[str] = cases.column("cluster").to_pylist()
        return given
    patients = cases.column("patient_id").to_pylist()
    key = seed.to_bytes(8, "little")

    def drawn(patient: str) -> tuple[bytes, str]:
        digest = hashlib.blake2b(patient.encode(), digest_size=16, key=key, person=b"resampling").digest()
        return digest, patient

    ranks = {patient: f"{rank:08d}" for rank, patient in enumerate(sorted(set(patients), key=drawn))}
    return [ranks[patient] for patient in patients]
