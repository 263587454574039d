"""Reads the text of one PDF in a process of its own: PDF on standard input, JSON on standard output.

PDFs come from anywhere and PDFium is native code: here a crash or an endless loop costs one file, not the ingest.
`read_pdf` is the caller's side; the rest runs in the child.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, TypedDict, cast

from gateway.retrieval.errors import UnsupportedFile

_SECONDS = 300
_BOOT = "import sys; sys.path.append(sys.argv[1]); from gateway.retrieval.pdf_text import main; main()"
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
    """The text of a PDF. Raises `UnsupportedFile` with the reason. Takes a process start (0.1 s) and blocks."""
    command = [sys.executable, "-P", "-c", _BOOT, str(Path(__file__).resolve().parents[2])]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnsupportedFile(f"reading this PDF took longer than {_SECONDS} s") from error
    if done.returncode:
        raise UnsupportedFile(f"reading this PDF crashed the PDF reader (exit code {done.returncode})")
    answer = cast(dict[str, Any], json.loads(done.stdout))
    if "error" in answer:
        raise UnsupportedFile(str(answer["error"]))
    return cast(PdfText, answer)


def _extract(data: bytes) -> PdfText:
    # PDFium's binding has no type stubs; everything of it stays in this function.
    pdfium: Any = importlib.import_module("pypdfium2")
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


def main() -> None:
    """The child's side."""
    pdfium: Any = importlib.import_module("pypdfium2")
    try:
        answer: PdfText | dict[str, str] = _extract(sys.stdin.buffer.read())
    except pdfium.PdfiumError as error:
        locked = "password" in str(error).lower()
        answer = {"error": "it is protected by a password" if locked else f"not a readable PDF: {error}"}
    sys.stdout.buffer.write(json.dumps(answer).encode("utf-8", "replace"))
