"""The programs for which `homeport mcp config` knows how they start a tool server."""

from enum import StrEnum


class Host(StrEnum):
    """A program that starts tool servers."""

    CLAUDE = "claude"
    CURSOR = "cursor"
    VSCODE = "vscode"
