"""Which attributes a report must give when it says that a finding is there, and why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from harness.report import Finding


class Required(NamedTuple):
    """Attributes without which the description of a finding is incomplete."""

    laterality: bool
    severity: bool
    reason: str


REQUIRED: Final[Mapping[Finding, Required]] = MappingProxyType(
    {
        Finding.PNEUMOTHORAX: Required(True, True, "side and size decide on drainage, and on which side"),
        Finding.FRACTURE: Required(True, False, "the side is where the patient is examined and treated"),
        Finding.LUNG_LESION: Required(True, False, "follow-up and biopsy need the place"),
        Finding.PLEURAL_EFFUSION: Required(True, True, "side and amount decide on drainage"),
        Finding.LUNG_OPACITY: Required(True, False, "a later picture is compared at the same place"),
        Finding.CONSOLIDATION: Required(True, False, "a later picture is compared at the same place"),
        Finding.PNEUMONIA: Required(True, False, "resolution is checked at the same place"),
        Finding.ATELECTASIS: Required(True, False, "physiotherapy and bronchoscopy need the side"),
        Finding.PLEURAL_OTHER: Required(True, False, "a later picture is compared at the same place"),
        Finding.EDEMA: Required(False, True, "treatment and its success are judged by the degree"),
    }
)
"""Findings that are not here need none: the heart and the mediastinum have no side, and their degree
changes nothing at once; a device is described by its kind. An attribute counts as left out only where
the reference states it: what the radiologist could not or did not tell is asked of no report."""

NOTHING: Final = Required(False, False, "")


def required(finding: Finding) -> Required:
    """What a finding needs."""
    return REQUIRED.get(finding, NOTHING)
