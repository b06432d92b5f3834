"""A packet's pages against its evidence: printed numbers, and the files inside the PDFs."""

from __future__ import annotations

import io
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, LedgerError


def check_html(folder: Path, numbers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether each HTML page prints the numbers of the register, element by element."""
    found = []
    for document, records in _by_document(numbers).items():
        path = folder / f"{document}.html"
        try:
            page = _Numbers(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            found.append(f"{path}: cannot be read")
            continue
        for name, record in records.items():
            if name not in page.printed:
                found.append(f"{path}: {name} ({_place(record)}) is not on the page")
            found += [
                f"{path}:{line}: {name} ({_place(record)}) prints {text}, numbers.json says {record['text']}"
                for line, text in page.printed.get(name, [])
                if text != record["text"]
            ]
        strangers = sorted(set(page.printed) - set(records))
        found += [f"{path}:{page.printed[name][0][0]}: {name} is not in numbers.json" for name in strangers]
    return found


def check_pdf(path: Path, records: Sequence[Mapping[str, Any]], evidence: Path) -> list[str]:
    """Whether a PDF holds the evidence as it lies beside it, and prints each number as often as it must.

    A page's text has no element names: what is compared is how often each text stands on the pages.

    Raises:
        LedgerError: it cannot be read as a PDF.
        HarnessError: pypdf is not installed.
    """
    try:
        from pypdf import PdfReader
    except ImportError:
        raise HarnessError('pypdf is not installed; pip install "harness[packet]"') from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(path.read_bytes()))
        inside = {name: contents[-1] for name, contents in reader.attachments.items()}
        text = "".join("".join(page.extract_text().split()) for page in reader.pages)
    except Exception as error:  # noqa: BLE001, RUF100 - a damaged PDF fails in ever new ways
        raise LedgerError(f"{path}: cannot be read as a PDF ({type(error).__name__})") from None
    found = []
    beside = {item.name: item.read_bytes() for item in sorted(evidence.iterdir())}
    for name in sorted({*inside, *beside}):
        if name not in inside:
            found.append(f"{path}: does not hold {name}, which lies in {evidence}")
        elif name not in beside:
            found.append(f"{path}: holds {name}, which is not in {evidence}")
        elif inside[name] != beside[name]:
            found.append(
                f"{evidence / name}: {_where(beside[name], inside[name])} differs from the copy in {path}"
            )
    wanted = Counter("".join(str(record["text"]).split()) for record in records)
    for number, times in sorted(wanted.items()):
        if (there := text.count(number)) < times:
            found.append(f"{path}: prints {number} {there} times, numbers.json has it {times} times")
    return found


def _by_document(numbers: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    documents: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for record in numbers:
        documents[str(record["document"])][str(record["id"])] = record
    return documents


def _place(record: Mapping[str, Any]) -> str:
    return f"{record['section']}: {' '.join(str(part) for part in record['source'].values())}"


def _where(one: bytes, other: bytes) -> str:
    """The first byte at which two files differ, and its line."""
    place = next(
        (k for k, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )
    line = one.count(b"\n", 0, place) + 1
    return f"byte {place:,} (line {line:,})"


class _Numbers(HTMLParser):
    """The text of every element that has `data-number`, with its line."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.printed: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._open: list[tuple[str, str, int, int, list[str]]] = []
        self._depth = 0
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._depth += 1
        name = dict(attrs).get("data-number")
        if name:
            self._open.append((name, tag, self._depth, self.getpos()[0], []))
        if tag in ("br", "col", "hr", "img", "input", "link", "meta", "wbr"):
            self.handle_endtag(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of SVG without content."""

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][1:3] == (tag, self._depth):
            name, _, _, line, text = self._open.pop()
            self.printed[name].append((line, "".join(text).strip()))
        self._depth -= 1

    def handle_data(self, data: str) -> None:
        for item in self._open:
            item[4].append(data)
