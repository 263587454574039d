"""Whether a knowledge base already shows its folder as it is: a look at sizes and times, nothing is read or loaded.

It spares the common case, a start with nothing changed, the worker process.
"""

from pathlib import Path

from gateway.retrieval.catalog import FileRow, errors_told, open_catalog
from gateway.retrieval.errors import UnknownKnowledgeBase
from gateway.retrieval.folder import FoundFile, open_folder, scan
from gateway.retrieval.model_files import PIPELINE
from gateway.retrieval.records import IngestReport


def is_same(file: FoundFile, row: FileRow | None) -> bool:
    """Whether the index holds this version of the file. A file that could not be opened is tried again."""
    if row is None or row.pipeline != PIPELINE or (row.size, row.mtime_ns) != (file.size, file.mtime_ns):
        return False
    return row.error == file.problem if file.problem else bool(row.sha256)


def report_if_synced(data: Path, name: str, folder: Path, max_file_bytes: int) -> IngestReport | None:
    """The report of an ingest that would find nothing to do, None if there is something. Blocks.

    Raises `InvalidFolder`, `IndexUnavailable`.
    """
    root = open_folder(folder)
    with errors_told():
        catalog = open_catalog(data)
        if catalog is None:
            return None
        try:
            shelf = catalog.shelf(name)
            if shelf.folder != str(root) or shelf.synced_at is None:
                return None
            files = scan(root, max_file_bytes)
            rows = catalog.files(shelf.id)
            if len(rows) != len(files) or not all(is_same(file, rows.get(file.path)) for file in files):
                return None
            skipped = catalog.skipped(shelf.id)
            return IngestReport(knowledge_base=name, unchanged=len(files) - len(skipped), skipped=skipped)
        except UnknownKnowledgeBase:
            return None
        finally:
            catalog.close()
