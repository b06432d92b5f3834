"""What a signature looks like on the page: a box with role, name, date and meaning."""

from __future__ import annotations

import base64
import html
from datetime import datetime

from harness.data_files import data_path
from harness.errors import HarnessError

MM = 72 / 25.4
LEFT, BOTTOM, TOP, GAP = 18 * MM, 14 * MM, 36 * MM, 2 * MM
"""The band at the foot of the first page that documents keep free, in points."""


def box_of(place: int, page_width: float) -> tuple[int, int, int, int]:
    """The box of the first, second or third signature: left, bottom, right, top, in points."""
    width = (page_width - 2 * LEFT - 2 * GAP) / 3
    left = LEFT + place * (width + GAP)
    return round(left), round(BOTTOM), round(left + width), round(TOP)


def draw_box(
    size: tuple[int, int], role: str, name: str, moment: datetime, meaning: str, development: bool
) -> bytes:
    """One page of that size, in points, with embedded fonts, as PDF.

    Raises:
        HarnessError: the PDF engine is not installed.
    """
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError):
        raise HarnessError('the PDF engine is not installed; pip install "harness[packet]"') from None
    faces = "".join(
        f'@font-face {{ font-family: "Inter"; font-weight: {weight}; '
        f'src: url("data:font/woff2;base64,{_font(kind)}") format("woff2"); }}'
        for kind, weight in (("Regular", 400), ("SemiBold", 600))
    )
    note = '<p class="note">DEVELOPMENT KEY – not for submission</p>' if development else ""
    page = f"""<!doctype html><html lang="en"><title>Signature</title><style>{faces}
      @page {{ size: {size[0]}pt {size[1]}pt; margin: 0 }}
      body {{ margin: 0; padding: 3pt 4pt; height: {size[1] - 7}pt; overflow: hidden;
              border: 0.5pt solid #444;
              font: 400 6.5pt/1.25 "Inter"; color: #111 }}
      p {{ margin: 0; overflow-wrap: anywhere }} .who {{ font-weight: 600; font-size: 7.5pt }}
      .note {{ font-weight: 600; color: #9a1b1b }}</style>
      <p>Signed as {html.escape(role)} by</p><p class="who">{html.escape(name)}</p>
      <p>{moment:%Y-%m-%d %H:%M:%S} UTC</p>{note}<p>{html.escape(meaning)}</p></html>"""
    inside = URLFetcher(allowed_protocols={"data"})
    pdf: bytes = HTML(string=page, url_fetcher=inside).write_pdf()
    return pdf


def _font(kind: str) -> str:
    return base64.b64encode((data_path("reports") / "fonts" / f"Inter-{kind}.woff2").read_bytes()).decode()
