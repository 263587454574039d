"""What a filesystem server is told when it is made: the folders it may touch and its limits.

Not the place where files are read: see `roots`.
"""

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator


class SettingsError(ValueError):
    """The filesystem server's settings are not usable. The message names each key at fault."""


class FilesystemSettings(BaseModel):
    """All settings with their defaults. Sizes are bytes, times seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roots: tuple[str, ...] = Field(min_length=1, description="Folders the tools may touch; nothing else is reachable.")
    read_only: bool = Field(default=False, description="Offer only the tools that change nothing.")
    allow_delete: bool = Field(default=False, description="Offer delete_file.")
    max_read_bytes: int = Field(default=262_144, ge=1_024, le=64 * 2**20, description="Most text one answer holds.")
    max_media_bytes: int = Field(default=5_000_000, ge=1_024, le=64 * 2**20, description="Largest media file read.")
    max_write_bytes: int = Field(default=16 * 2**20, ge=1_024, le=2**30, description="Largest file written or edited.")
    search_seconds: float = Field(default=20.0, gt=0, le=600, description="When a search stops with what it has.")

    @field_validator("roots", mode="after")
    @classmethod
    def _are_separate_folders(cls, roots: tuple[str, ...]) -> tuple[str, ...]:
        seen: list[str] = []
        for root in roots:
            if not os.path.isdir(root):
                raise ValueError(f"{root!r} is not an existing folder")
            real = os.path.realpath(root)
            for other in seen:
                if os.path.commonpath([real, other]) in (real, other):
                    raise ValueError(f"{root!r} overlaps another root; name only the outer folder")
            seen.append(real)
        return roots


def parse_settings(settings: Mapping[str, Any]) -> FilesystemSettings:
    """Check `settings`. Raises `SettingsError` with one line for each key that is wrong or unknown."""
    try:
        return FilesystemSettings.model_validate(dict(settings))
    except ValidationError as error:
        known = ", ".join(FilesystemSettings.model_fields)
        lines: list[str] = []
        for problem in error.errors():
            key = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                lines.append(f"unknown key {key!r}; known keys: {known}")
            elif problem["type"] == "missing":
                lines.append(f"{key!r} is missing")
            else:
                lines.append(f"{key}: {problem['msg'].removeprefix('Value error, ')}")
        raise SettingsError("filesystem settings: " + "; ".join(lines)) from None
