"""A small packet of two documents, for tests of what seals, signs and checks it."""

from datetime import UTC, datetime
from pathlib import Path

from harness.evidence import attachments, collect, seal
from harness.ledger import Ledger
from harness.printed import Numbers

SUITE = """\
name: small
version: 1
cohort: {split: test, studies: 60}
inference: {replicates: 200, seed: 1}
execution: {timeout_s: 20}
measures: [critical_sensitivity, hallucination_rate, failure_rate, findings_f1, bleu4, degenerate_output]
slices: [sex]
criteria:
  - {id: sensitivity, measure: critical_sensitivity, value: pooled, above: 0.5}
  - {id: failures, measure: failure_rate, below: 0.3}
"""

PACKET = (
    b"device: {name: Example reader, version: '1.0', manufacturer: Example Works, description: An example.}\n"
)
WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENTS = ("01-one", "02-two")


def cell(record):
    return f'<td data-number="{record["id"]}">{record["text"]}</td>'


def pages(numbers):
    """Document name -> HTML that prints every estimate and the counts of the whole cohort."""
    html = {}
    for document in DOCUMENTS:
        numbers.document, numbers.section = document, "endpoints"
        lines = []
        for item in numbers.results["estimates"]:
            if item["slice"] is None:
                source = {"kind": "estimate", **{key: item[key] for key in ("measure", "value", "slice")}}
                cells = [
                    cell(numbers.number({**source, "field": field}, form))
                    for field, form in (("estimate", "fixed4"), ("low", "fixed4"), ("denominator", "count"))
                ]
                lines.append(f"<tr><th>{item['measure']}</th>{''.join(cells)}</tr>")
        count = numbers.number({"kind": "results", "path": ["flow", "judged"]}, "count")
        html[document] = (
            f'<!doctype html><html lang="en"><title>{document}</title><body><h1>Numbers</h1><table>'
            f"{''.join(lines)}<tr>{cell(count)}</tr></table><p>Verdict: FAIL<br>as decided</p></body></html>"
        )
    return html


def render(html: str, evidence) -> bytes:
    from weasyprint import HTML, Attachment

    return HTML(string=html).write_pdf(
        pdf_variant="pdf/a-3u",
        attachments=[
            Attachment(
                string=item.content,
                name=item.name,
                description=item.description,
                relationship=item.relationship,
                created=WRITTEN,
                modified=WRITTEN,
            )
            for item in attachments(evidence)
        ],
    )


def make_packet(run: Path, out: Path, *, packet=PACKET, analyses=None, results=None, public=False) -> Path:
    shown = results or Ledger(run).results()
    numbers = Numbers(shown, analyses or {})
    html = pages(numbers)
    evidence = collect(run, packet, numbers.records, analyses=analyses, results=results, public=public)
    (out / "evidence").mkdir(parents=True)
    for name, content in evidence.items():
        (out / "evidence" / name).write_bytes(content)
    for document, page in html.items():
        (out / f"{document}.html").write_text(page, encoding="utf-8")
        (out / f"{document}.pdf").write_bytes(render(page, evidence))
    seal(out, run, public=public)
    return out
