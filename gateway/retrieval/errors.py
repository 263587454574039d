"""Every error retrieval raises on purpose. The message is written for the person who must act on it."""


class RetrievalError(Exception):
    """The knowledge base could not do what was asked."""


class UnknownKnowledgeBase(RetrievalError):
    """There is no knowledge base with this id."""


class UnknownFile(RetrievalError):
    """The knowledge base holds no such file, or could not read it."""


class InvalidFolder(RetrievalError):
    """The folder to ingest is not a folder that can be read."""


class InvalidName(RetrievalError):
    """A knowledge base id is 1-64 letters, digits, `_`, `-` or `.`, and starts with a letter or digit."""


class UnsupportedFile(RetrievalError):
    """The text of this file cannot be read. The message is the reason, without the file's name."""


class ModelMissing(RetrievalError):
    """The embedder's files are not there."""


class IndexUnavailable(RetrievalError):
    """The index cannot be read or written: disk full, damaged, made by a newer version, or busy for too long."""


class IngestFailed(RetrievalError):
    """The ingesting process ended without a report. What it had finished is kept; ingest again to go on."""
