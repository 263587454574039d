"""The tools that find files: list_directory, directory_tree, search_files, list_allowed_roots.

They turn arguments into calls of `listing` and `searching`, and what comes back into answers. What is in files is
`reading_tools`'s matter.
"""

from typing import Annotated

from mcp.types import CallToolResult, TextContent
from pydantic import Field

from mcp_tools.filesystem.answers import (
    AllowedRoot,
    AllowedRoots,
    DirectoryEntry,
    DirectoryPage,
    SearchHit,
    SearchOutcome,
    Tree,
    TreeEntry,
)
from mcp_tools.filesystem.listing import Order, Walk, entries
from mcp_tools.filesystem.name_patterns import NamePattern
from mcp_tools.filesystem.roots import Roots, decodable, visible
from mcp_tools.filesystem.searching import Query, search
from mcp_tools.filesystem.settings import FilesystemSettings
from mcp_tools.filesystem.workers import Workers, answer

DirectoryPath = Annotated[
    str, Field(description="Absolute inside an allowed root, or relative to the first root; '.' is that root.")
]
Excluded = Annotated[
    list[str], Field(max_length=50, description="Globs of names or paths to leave out, with all that is in them.")
]
_NOT_SOURCES = [".git", "node_modules", "__pycache__", ".venv"]


class FindingTools:
    """The tools as methods; a method's docstring is its description."""

    def __init__(self, roots: Roots, settings: FilesystemSettings, workers: Workers) -> None:
        self._roots = roots
        self._settings = settings
        self._workers = workers

    async def list_directory(
        self,
        path: DirectoryPath = ".",
        sort_by: Annotated[Order, Field(description="size: largest first; modified: newest first.")] = "name",
        offset: Annotated[int, Field(ge=0, description="Skip so many entries: next_offset of the page before.")] = 0,
        limit: Annotated[int, Field(ge=1, le=1_000, description="Most entries on a page.")] = 200,
    ) -> Annotated[CallToolResult, DirectoryPage]:
        """List a directory: names with type, size and time of the last change. Long directories come in pages."""
        page = await self._workers.run(self._page, path, sort_by, offset, limit)
        lines = [_entry_line(entry) for entry in page.entries] or ["(nothing here)"]
        if page.next_offset is not None:
            shown = f"{offset + 1}-{offset + len(page.entries)}"
            lines.append(f"[{shown} of {page.total}; go on with offset={page.next_offset}]")
        return answer([TextContent(type="text", text="\n".join(lines))], page)

    async def directory_tree(
        self,
        path: DirectoryPath = ".",
        depth: Annotated[int, Field(ge=1, le=50, description="How many levels to show.")] = 3,
        max_entries: Annotated[int, Field(ge=1, le=10_000)] = 500,
        exclude: Excluded = _NOT_SOURCES,
    ) -> Annotated[CallToolResult, Tree]:
        """Show what is below a directory as an indented tree. Symbolic links are shown, not followed."""
        tree = await self._workers.run(self._tree, path, depth, max_entries, exclude)
        lines = [f"{'  ' * entry.path.count('/')}{_tree_name(entry)}" for entry in tree.entries] or ["(nothing here)"]
        if tree.truncated:
            lines.append(f"[only the first {max_entries} entries; lower depth, exclude more or start further down]")
        if tree.unreadable:
            lines.append(f"[{tree.unreadable} directories could not be opened]")
        return answer([TextContent(type="text", text="\n".join(lines))], tree)

    async def search_files(
        self,
        path: DirectoryPath = ".",
        pattern: Annotated[
            str,
            Field(
                min_length=1,
                description="Glob: '*.py' fits names at any depth, 'src/**/*.{ts,tsx}' paths below the directory.",
            ),
        ] = "**",
        contains: Annotated[str, Field(max_length=10_000, description="Literal text to find in the files.")] = "",
        regex: Annotated[
            str, Field(max_length=2_000, description="Regular expression (Python) to find within a line.")
        ] = "",
        ignore_case: Annotated[bool, Field(description="For contains and regex.")] = False,
        max_results: Annotated[int, Field(ge=1, le=1_000)] = 100,
        exclude: Excluded = _NOT_SOURCES,
    ) -> Annotated[CallToolResult, SearchOutcome]:
        """Find files by name, or with contains or regex the lines in them, below a directory (or in one file).

        Binary files are skipped when content is searched, symbolic links are not followed. The search stops at
        max_results, or after some seconds, and says so.
        """
        query = Query(
            names=pattern,
            exclude=exclude,
            contains=contains,
            regex=regex,
            ignore_case=ignore_case,
            limit=max_results,
            seconds=self._settings.search_seconds,
        )
        outcome = await self._workers.run(self._search, path, query)
        lines = [_hit_line(hit) for hit in outcome.hits] or ["(nothing found)"]
        if outcome.stopped == "limit":
            lines.append(f"[stopped at {max_results} results: narrow pattern or path, or raise max_results]")
        if outcome.stopped == "time":
            lines.append(
                f"[stopped after {query.seconds:g} s, there may be more: narrow pattern or path, or simplify regex]"
            )
        if outcome.skipped:
            lines.append(f"[{outcome.skipped} binary or unreadable files or directories were skipped]")
        return answer([TextContent(type="text", text="\n".join(lines))], outcome)

    async def list_allowed_roots(self) -> Annotated[CallToolResult, AllowedRoots]:
        """Name the folders that these tools may touch, and whether they may change them."""
        roots = [
            AllowedRoot(
                path=decodable(root.path),
                relative_paths_start_here=number == 0,
                writable=not self._settings.read_only,
            )
            for number, root in enumerate(self._roots.roots)
        ]
        lines = [
            f"{visible(root.path)} ({'writable' if root.writable else 'read-only'}"
            f"{', relative paths start here' if root.relative_paths_start_here else ''})"
            for root in roots
        ]
        return answer([TextContent(type="text", text="\n".join(lines))], AllowedRoots(roots=roots))

    def _page(self, path: str, order: Order, offset: int, limit: int) -> DirectoryPage:
        place = self._roots.locate(path)
        page, total = entries(self._roots, place, order, offset, limit)
        return DirectoryPage(
            path=place.shown,
            entries=[
                DirectoryEntry(name=decodable(entry.name), type=entry.kind, size=entry.size, modified=entry.modified)
                for entry in page
            ],
            total=total,
            next_offset=offset + limit if offset + limit < total else None,
        )

    def _tree(self, path: str, depth: int, limit: int, exclude: list[str]) -> Tree:
        place = self._roots.locate(path)
        excluded = [NamePattern(pattern) for pattern in exclude]

        def wanted(found: str) -> bool:
            return not any(pattern.matches(found) for pattern in excluded)

        tree = Tree(path=place.shown, entries=[], truncated=False, unreadable=0)
        walk = Walk(roots=self._roots, start=place, enters=wanted, depth=depth)
        for found in walk.found():
            if not wanted(found.path):
                continue
            if len(tree.entries) == limit:
                tree.truncated = True
                break
            tree.entries.append(TreeEntry(path=decodable(found.path), type=found.kind))
        tree.unreadable = walk.unreadable
        return tree

    def _search(self, path: str, query: Query) -> SearchOutcome:
        place = self._roots.locate(path)
        outcome = search(self._roots, place, query)
        hits = [
            SearchHit(path=decodable(place.below(hit.path)), type=hit.kind, line=hit.line, text=hit.text or None)
            for hit in outcome.hits
        ]
        return SearchOutcome(hits=hits, files=outcome.files, skipped=outcome.skipped, stopped=outcome.stopped or None)


def _entry_line(entry: DirectoryEntry) -> str:
    size = "" if entry.size is None else f"{entry.size} bytes"
    name = visible(entry.name) + ("/" if entry.type == "directory" else "")
    return "  ".join(part for part in (name, entry.type, size, entry.modified) if part)


def _tree_name(entry: TreeEntry) -> str:
    name = visible(entry.path.rsplit("/", 1)[-1])
    return name + {"directory": "/", "symlink": " (symlink)", "special": " (special)"}.get(entry.type, "")


def _hit_line(hit: SearchHit) -> str:
    if hit.line is None:
        return visible(hit.path) + ("/" if hit.type == "directory" else "")
    return f"{visible(hit.path)}:{hit.line}: {hit.text or ''}"
