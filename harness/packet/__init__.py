"""What the sponsor states and no ledger can know: the packet file."""

from harness.packet.schema import Packet
from harness.packet.source import read_packet

__all__ = ["Packet", "read_packet"]
