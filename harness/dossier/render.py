"""Model to HTML to PDF. The renderer fetches nothing: fonts and pictures are in the page."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from harness.data_files import data_path
from harness.dossier.model import build_model
from harness.errors import HarnessError
from harness.evidence import Attachment
from harness.ledger import write_atomically

COMMON: Final = "style.css"
"""The style sheet of everything that is printed."""
FACES = (("Regular", 400, "normal"), ("SemiBold", 600, "normal"), ("Italic", 400, "italic"))


def write_dossier(run: Path, out: Path) -> list[Path]:
    """Writes dossier.html and dossier.pdf of a run; returns their paths.

    Raises:
        LedgerError: the run is incomplete or damaged.
        HarnessError: the PDF engine is not installed, or lacks its native library.
    """
    html = render_html(build_model(run))
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "dossier.pdf", out / "dossier.html"]
    write_atomically(paths[1], html.encode())
    write_atomically(paths[0], render_pdf(html))
    return paths


def render_html(model: Mapping[str, Any]) -> str:
    """The whole page, self-contained; every value from the ledger is escaped."""
    return render_template("dossier.html.j2", model)


def render_template(name: str, model: Mapping[str, Any], styles: Sequence[str] = (COMMON,)) -> str:
    """A page of `reports/`, self-contained; every value of the model is escaped.

    Args:
        name: the template's file.
        model: what it prints.
        styles: style sheets of `reports/`, in order.

    Raises:
        HarnessError: the PDF engine is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise _not_installed() from None
    environment = Environment(
        loader=FileSystemLoader(data_path("reports")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = Markup  # plots are made here and escape their own texts
    style = "".join((data_path("reports") / sheet).read_text(encoding="utf-8") for sheet in styles)
    page = environment.get_template(name)
    return page.render(**model, style=Markup(_faces() + style))  # noqa: S704 - our own style sheet


def render_pdf(html: str, attached: Sequence[Attachment] = (), taken: datetime | None = None) -> bytes:
    """The page as tagged PDF/A-3a (ISO 19005-3), marked as PDF/UA-1 too (ISO 14289-1).

    Args:
        html: the page.
        attached: files to put inside.
        taken: the date that these bear; None where there are none.

    Raises:
        HarnessError: the PDF engine is not installed, or lacks its native library.
    """
    try:
        from weasyprint import HTML
        from weasyprint import Attachment as File
        from weasyprint.urls import URLFetcher
    except ImportError:
        raise _not_installed() from None
    except OSError as error:
        raise HarnessError(
            f"the PDF engine lacks a native library ({error}); on Debian or Ubuntu: "
            "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
        ) from None
    inside = URLFetcher(allowed_protocols={"data"})
    files = [
        File(
            string=item.content,
            name=item.name,
            description=item.description,
            relationship=item.relationship,
            created=taken,
            modified=taken,
        )
        for item in attached
    ]
    # The identifier is the page's own digest: chance has no place in it.
    identifier = hashlib.sha256(html.encode()).digest()[:16]
    page = HTML(string=html, url_fetcher=inside)
    with _undated_fonts():
        pdf: bytes = page.write_pdf(
            pdf_variant="pdf/a-3a", pdf_tags=True, pdf_identifier=identifier, attachments=files
        )
    return pdf


@contextmanager
def _undated_fonts() -> Iterator[None]:
    """The same bytes at any time: where HarfBuzz's subsetter is missing, fontTools dates what it cuts."""
    name = "SOURCE_DATE_EPOCH"
    if name in os.environ:
        yield
        return
    os.environ[name] = "0"
    try:
        yield
    finally:
        del os.environ[name]


def _not_installed() -> HarnessError:
    return HarnessError('the PDF engine is not installed; pip install "harness[pdf]"')


def _faces() -> str:
    rules = []
    for name, weight, slant in FACES:
        path = data_path("reports") / "fonts" / f"Inter-{name}.woff2"
        try:
            font = path.read_bytes()
        except OSError:
            raise HarnessError(f"{path}: the pages' font is missing; install harness again") from None
        encoded = base64.b64encode(font).decode()
        rules.append(
            f'@font-face {{ font-family: "Inter"; font-weight: {weight}; font-style: {slant}; '
            f'src: url("data:font/woff2;base64,{encoded}") format("woff2"); }}\n'
        )
    return "".join(rules)
