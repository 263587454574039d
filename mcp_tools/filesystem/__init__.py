"""The `filesystem` tool server: read, write, find and edit files under folders that its settings allow, nothing else.

A whole MCP server of its own, over any transport: `python -m mcp_tools.filesystem --root DIR` speaks stdio. The
folders are fixed when it is made; no client can widen them. It needs POSIX (openat and its family).
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp.server import CacheHint, MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations

from mcp_tools.filesystem.beneath import Beneath, best_beneath
from mcp_tools.filesystem.finding_tools import FindingTools
from mcp_tools.filesystem.reading_tools import ReadingTools
from mcp_tools.filesystem.roots import Roots
from mcp_tools.filesystem.settings import FilesystemSettings, parse_settings
from mcp_tools.filesystem.workers import Workers
from mcp_tools.filesystem.writing_tools import WritingTools

ToolBody = Callable[..., Awaitable[CallToolResult]]


def create_server(settings: Mapping[str, Any], *, beneath: Beneath | None = None) -> MCPServer:
    """Make the server. `settings` has `roots` and what else `FilesystemSettings` lists; `SettingsError` if not usable.

    `beneath` is how paths are kept below a root; by default the best that the operating system has. Tools that the
    settings do not allow are not offered at all.
    """
    parsed = parse_settings(settings)
    roots, workers = Roots(parsed.roots, beneath or best_beneath()), Workers()
    return MCPServer(
        "filesystem",
        title="Files",
        version="0.1.0",
        instructions=_instructions(parsed),
        tools=_tools(roots, parsed, workers),
        cache_hints={"tools/list": CacheHint(ttl_ms=300_000, scope="private")},
    )


def _tools(roots: Roots, settings: FilesystemSettings, workers: Workers) -> list[Tool]:
    reading = ReadingTools(roots, settings, workers)
    finding = FindingTools(roots, settings, workers)
    tools = [
        _tool(reading.read_text_file, "Read a text file", _changes_nothing()),
        _tool(reading.read_multiple_files, "Read several text files", _changes_nothing()),
        _tool(reading.read_media_file, "Read an image or sound", _changes_nothing()),
        _tool(reading.get_file_info, "Describe a file", _changes_nothing()),
        _tool(finding.list_directory, "List a directory", _changes_nothing()),
        _tool(finding.directory_tree, "Show a directory tree", _changes_nothing()),
        _tool(finding.search_files, "Search files", _changes_nothing()),
        _tool(finding.list_allowed_roots, "List the allowed folders", _changes_nothing()),
    ]
    if settings.read_only:
        return tools
    writing = WritingTools(roots, settings, workers)
    tools += [
        _tool(writing.write_file, "Write a file", _changes(destructive=True, idempotent=True)),
        # Not idempotent: the second time the old text is gone, or new text that contains it grows again.
        _tool(writing.edit_file, "Edit a file", _changes(destructive=True, idempotent=False)),
        _tool(writing.create_directory, "Create a directory", _changes(destructive=False, idempotent=True)),
        _tool(writing.move_file, "Move or rename", _changes(destructive=True, idempotent=False)),
    ]
    if settings.allow_delete:
        tools.append(_tool(writing.delete_file, "Delete a file", _changes(destructive=True, idempotent=True)))
    return tools


def _tool(body: ToolBody, title: str, annotations: ToolAnnotations) -> Tool:
    """A tool that refuses arguments it does not know: a misspelt `expected_sha256` must not be passed over."""
    tool = Tool.from_function(body, title=title, description=inspect.getdoc(body), annotations=annotations)
    arguments = tool.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    tool.parameters = arguments.model_json_schema(by_alias=True)
    return tool


def _changes_nothing() -> ToolAnnotations:
    return ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


def _changes(*, destructive: bool, idempotent: bool) -> ToolAnnotations:
    return ToolAnnotations(
        read_only_hint=False, destructive_hint=destructive, idempotent_hint=idempotent, open_world_hint=False
    )


def _instructions(settings: FilesystemSettings) -> str:
    text = (
        "Works with files under the folders that list_allowed_roots names. Paths are relative to the first of them "
        "or absolute inside any. Long answers are cut and say how to go on."
    )
    return text + (" Nothing can be changed." if settings.read_only else "")
