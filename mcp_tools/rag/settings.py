"""What a rag server is told when it is made: where its index is and which folders it reads. Nothing is read here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

KnowledgeBaseId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class SettingsError(ValueError):
    """The rag server's settings are not usable. The message names each key at fault."""


class FolderSettings(BaseModel):
    """One knowledge base that is kept up to date with a folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path = Field(description="The folder with Markdown, text, HTML and PDF files.")


class RagSettings(BaseModel):
    """All settings with their defaults. Sizes are bytes, times seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(description="The folder of the index; several programs may share it.")
    knowledge_bases: dict[KnowledgeBaseId, FolderSettings] = Field(
        default_factory=dict[str, FolderSettings], description="Folders to keep up to date, by knowledge base id."
    )
    ingest_roots: tuple[Path, ...] = Field(
        default=(), description="Folders below which the model may ingest; without any it is not offered the tool."
    )
    refresh_seconds: float = Field(
        default=60.0, ge=0, description="A search this long after the last look at its folder starts another look."
    )
    max_file_bytes: int = Field(default=50 * 2**20, ge=1024, le=2**30, description="Larger files are skipped.")


def parse_settings(settings: Mapping[str, Any]) -> RagSettings:
    """Check `settings`. Raises `SettingsError` with each key that is wrong or unknown."""
    try:
        return RagSettings.model_validate(dict(settings))
    except ValidationError as error:
        problems: list[str] = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                problems.append(f"unknown key {key!r}; known keys: {', '.join(RagSettings.model_fields)}")
            elif problem["type"] == "missing":
                problems.append(f"{key!r} is missing")
            else:
                problems.append(f"{key}: {problem['msg']}")
        raise SettingsError("rag settings: " + "; ".join(problems)) from None
