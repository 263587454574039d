"""What an ingest is asked to do, and its form on the way to the worker process."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest:
    """What to ingest where; `data` is the folder of the index, `model` that of the embedder.

    `max_file_bytes` is the largest file to read, `max_file_seconds` the most processor time for it; `threads` embed at
    once.
    """

    data: Path
    knowledge_base: str
    folder: Path
    model: Path
    max_file_bytes: int
    max_file_seconds: int
    threads: int

    def to_json(self) -> str:
        """One line; paths become absolute."""
        return json.dumps(
            {
                "data": str(self.data.absolute()),
                "knowledge_base": self.knowledge_base,
                "folder": str(self.folder.expanduser().absolute()),
                "model": str(self.model.absolute()),
                "max_file_bytes": self.max_file_bytes,
                "max_file_seconds": self.max_file_seconds,
                "threads": self.threads,
            }
        )

    @classmethod
    def from_json(cls, line: str) -> Self:
        """The other way round."""
        values = cast(dict[str, Any], json.loads(line))
        paths = {name: Path(values.pop(name)) for name in ("data", "folder", "model")}
        return cls(**paths, **values)
