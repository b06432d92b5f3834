"""The evidence of a packet: what is attached, sealed, signed, and checked again."""

from harness.evidence.collect import Attachment, attachments, collect
from harness.evidence.rows import Evidence, open_evidence
from harness.evidence.seal import seal

__all__ = ["Attachment", "Evidence", "attachments", "collect", "open_evidence", "seal"]
