"""The packet: every document as HTML and PDF, with its evidence beside and inside it."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from harness.dossier.cells import Cells
from harness.dossier.documents import DOCUMENTS
from harness.dossier.packet_model import build_packet_model
from harness.dossier.render import render_pdf, render_template
from harness.errors import HarnessError
from harness.evidence import Attachment, attachments, collect, seal
from harness.ledger import write_atomically
from harness.packet import read_packet
from harness.printed import Numbers

PROCESSES = 2


def write_packet(run: Path, packet_path: Path, out: Path, *, public: bool = False) -> list[Path]:
    """Writes a packet into a folder; returns the paths of its documents, the index first.

    Two renders of one ledger and one packet file give the same bytes: dates are the log's.

    Args:
        run: folder of a complete run.
        packet_path: the packet file.
        out: folder to write to; must be new, empty, or hold an earlier packet that nobody has signed.
        public: without report texts and pictures, small cells suppressed.

    Raises:
        PacketError: the packet file cannot be used.
        LedgerError: the run is incomplete or damaged, or nothing can be written.
        HarnessError: the folder holds something else or a signed packet; the PDF engine or its
            fonts are missing.
    """
    if out.exists() and any(out.iterdir()) and not (out / "manifest.json").exists():
        raise HarnessError(f"{out}: is not empty and holds no packet; name a new folder")
    # A signature's /ByteRange is never compressed (ISO 32000-2, 12.8.1).
    if signed := [path.name for path in sorted(out.glob("*.pdf")) if b"/ByteRange" in path.read_bytes()]:
        raise HarnessError(f"{out}: {signed[0]} is signed, and is not overwritten; name a new folder")
    packet = read_packet(packet_path)
    model = build_packet_model(run, packet, packet_path.parent, public)
    numbers = Numbers(model["results"], model["analyses"])
    pages = render_documents(model, numbers)
    evidence = collect(
        run,
        packet_path.read_bytes(),
        numbers.records,
        analyses=model["analyses"],
        results=model["results"] if public else None,
        public=public,
    )
    (out / "evidence").mkdir(parents=True, exist_ok=True)
    for path in [*out.glob("*.pdf"), *out.glob("*.html"), *(out / "evidence").iterdir()]:
        path.unlink()
    for name, content in evidence.items():
        write_atomically(out / "evidence" / name, content)
    for name, html in pages.items():
        write_atomically(out / f"{name}.html", html.encode())
    taken = datetime.fromisoformat(model["finished"]).replace(microsecond=0)
    attached = attachments(evidence)
    jobs = [(pages[item.name], out / f"{item.name}.pdf", attached, taken) for item in DOCUMENTS]
    # Longest first, so that the processes end together.
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        list(pool.map(_write_pdf, *zip(*sorted(jobs, key=lambda job: -len(job[0])), strict=True)))
    seal(out, run, public=public)
    return [out / "index.html", *(out / f"{item.name}.pdf" for item in DOCUMENTS)]


def render_documents(model: dict[str, Any], numbers: Numbers) -> dict[str, str]:
    """Name -> page of every document and of the index; enters every number they print."""
    cells = Cells(numbers)
    pages = {}
    for document in DOCUMENTS:
        numbers.document = document.name
        template = f"packet/{document.name}.html.j2"
        pages[document.name] = render_template(template, {**model, "doc": document, "c": cells})
    pages["index"] = render_template("packet/index.html.j2", model)
    return pages


def _write_pdf(html: str, path: Path, attached: list[Attachment], taken: datetime) -> None:
    write_atomically(path, render_pdf(html, attached, taken))
