"""Packet files: YAML to `Packet`, with every problem at its place."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from harness.errors import PacketError, SuiteError
from harness.packet.schema import Packet
from harness.schema_errors import explain_all
from harness.yaml_source import Source, read_yaml


def read_packet(path: Path) -> Packet:
    """Reads and checks a packet file.

    A criterion, measure or value that the run's suite does not have is no error: what rests on it is
    open, unverified or NOT EVALUATED, and says so.

    Raises:
        PacketError: with every problem found, each as `file:line:column: key: what and remedy`.
    """
    try:
        source = read_yaml(path)
    except SuiteError as error:
        raise PacketError(error.problems) from None
    if not isinstance(source.data, dict):
        raise PacketError([source.problem((), "a packet is a mapping with device, intended_use, study, ...")])
    try:
        packet = Packet.model_validate(source.data)
    except ValidationError as error:
        raise PacketError(explain_all(source, error, Packet, ("at_least", "at_most"))) from None
    problems = _leading_nowhere(packet, source)
    if problems:
        raise PacketError(problems)
    return packet


def _leading_nowhere(packet: Packet, source: Source) -> list[str]:
    """Ids that stand twice, and requirements of hazards that are not there."""
    problems = []
    for part in ("hazards", "requirements", "modifications"):
        ids = [item.id for item in getattr(packet, part) or ()]
        for index, name in enumerate(ids):
            if name in ids[:index]:
                problems.append(source.problem((part, index, "id"), f"{name} stands twice; ids must differ"))
    hazards = [item.id for item in packet.hazards or ()]
    for index, item in enumerate(packet.requirements or ()):
        for place, name in enumerate(item.hazards):
            if name not in hazards:
                told = f"{name} is no hazard of this packet (there: {', '.join(hazards) or 'none'})"
                problems.append(source.problem(("requirements", index, "hazards", place), told))
    return problems
