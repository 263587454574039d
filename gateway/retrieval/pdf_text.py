"""The text of a PDF. PDFium is native code: only the process that `reading` starts may call this."""

import importlib
from typing import Any, TypedDict

from gateway.retrieval.errors import UnsupportedFile

# PDFium marks a hyphen that only broke a word at the line's end with U+FFFE (older versions: U+0002).
_BREAKS = {0xFFFE: None, 0x02: None, 0x00: None}


class OutlineEntry(TypedDict):
    """A bookmark: `level` counts from 0, `page` from 0."""

    level: int
    page: int
    title: str


class PdfText(TypedDict):
    """The text of each page, and the document's own outline, if it has one."""

    pages: list[str]
    outline: list[OutlineEntry]


def read_pdf(data: bytes) -> PdfText:
    """The text of a PDF. Raises `UnsupportedFile` with the reason."""
    pdfium: Any = importlib.import_module("pypdfium2")
    try:
        return _extract(pdfium, data)
    except pdfium.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise UnsupportedFile("it is protected by a password" if locked else f"not a readable PDF: {error}") from None


def _extract(pdfium: Any, data: bytes) -> PdfText:
    # PDFium's binding has no type stubs.
    document = pdfium.PdfDocument(data)
    pages: list[str] = []
    for page in document:
        text = page.get_textpage()
        pages.append(str(text.get_text_bounded()).translate(_BREAKS).replace("\r\n", "\n"))
        text.close()
        page.close()
    outline: list[OutlineEntry] = []
    for entry in document.get_toc():
        target = entry.get_dest()
        number = target.get_index() if target is not None else None
        if number is not None:
            outline.append({"level": int(entry.level), "page": int(number), "title": str(entry.get_title()).strip()})
    document.close()
    return {"pages": pages, "outline": outline}
