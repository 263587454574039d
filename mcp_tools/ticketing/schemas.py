"""What the model sees: names, descriptions, JSON Schemas and annotations of the five tools, for one tracker.

The shapes are the same for every tracker. Which of `status`, `priority`, `labels` and `assignee` a tool takes, and
their values, are the tracker's.
"""

from collections.abc import Mapping
from typing import Any

from mcp.types import Tool, ToolAnnotations

from mcp_tools.ticketing.preset import FieldName, Preset, ToolName

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
# One line with something in it. The blanks before it exclude what may follow, so there is one way to match.
TITLE: Schema = {"type": "string", "minLength": 1, "maxLength": 250, "pattern": r"^[^\S\r\n]*\S[^\r\n]*$"}
BODY: Schema = {"type": "string", "minLength": 1, "maxLength": 60_000, "pattern": r"\S"}
KEY: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "description": "Optional. Calls with the same key make one thing only. Without a key, the same arguments "
    "count as the same call for a while; a new key makes another one all the same.",
}
TICKET: Mapping[str, Schema] = {
    "id": TEXT,
    "url": {"type": "string", "description": "Page of the ticket, for people."},
    "title": TEXT,
    "status": {"type": ["string", "null"], "description": "In the tracker's own words; null if not read back."},
    "body": TEXT,
    "priority": TEXT,
    "labels": {"type": "array", "items": TEXT},
    "assignee": TEXT,
    "author": TEXT,
    "created_at": {"type": "string", "description": "ISO 8601"},
    "updated_at": {"type": "string", "description": "ISO 8601"},
    "comment_count": {"type": "integer"},
}
ALWAYS = ["id", "url", "title", "status"]
CREATED: Schema = {"type": "boolean", "description": "False: an equal call had made it before; nothing new was made."}
COMMENT: Schema = {
    "type": "object",
    "properties": {"id": TEXT, "author": TEXT, "body": TEXT, "created_at": TEXT},
    "required": ["id", "body"],
}


OPENED = {**TICKET, "created": CREATED}
READ = {**TICKET, "comments": {"type": "array", "items": COMMENT}}
QUERY: Schema = {"type": "string", "minLength": 1, "maxLength": 200, "description": "Words, all to be found."}
READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)


def tools(preset: Preset, values: Mapping[str, list[str]], *, durable: bool) -> list[Tool]:
    """The tools in a stable order. `durable`: what was made is remembered even if this process ends."""
    makes = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=durable, open_world_hint=True)
    desk = _Desk(preset, values)
    return [desk.add_comment(makes), desk.open_ticket(makes), desk.read(), desk.search(), desk.update()]


class _Desk:
    """The tools of one tracker."""

    def __init__(self, preset: Preset, values: Mapping[str, list[str]]) -> None:
        self._preset = preset
        self._values = values
        self._where = preset.title
        self._id: Schema = {
            "type": "string",
            "maxLength": 100,
            "pattern": f"^(?:{preset.id_pattern})$",
            "description": "The ticket's id, as search_tickets and open_ticket give it.",
        }

    def add_comment(self, makes: ToolAnnotations) -> Tool:
        return Tool(
            name="add_comment",
            description=f"Add a comment to a ticket in {self._where}. Repeating the call does not add it twice.",
            input_schema=_object({"id": self._id, "body": BODY, "idempotency_key": KEY}, ["id", "body"]),
            output_schema=_object({"id": TEXT, "ticket_id": TEXT, "url": TEXT, "created": CREATED}),
            annotations=makes,
        )

    def open_ticket(self, makes: ToolAnnotations) -> Tool:
        # A title alone leaves the person who gets the ticket to guess.
        required = ["title", *(["body"] if self._preset.takes("open_ticket", "body") else [])]
        return Tool(
            name="open_ticket",
            description=f"Open a new ticket in {self._where}. Repeating the call does not open it twice.",
            input_schema=_object({**self._fields("open_ticket"), "idempotency_key": KEY}, required),
            output_schema=_object(OPENED, [*ALWAYS, "created"]),
            annotations=makes,
        )

    def read(self) -> Tool:
        return Tool(
            name="read_ticket",
            description=f"Read one ticket in {self._where}, with its comments, oldest first (of very many, a part).",
            input_schema=_object({"id": self._id}),
            output_schema=_object(READ, [*ALWAYS, "comments"]),
            annotations=READS,
        )

    def search(self) -> Tool:
        conditions = {
            "query": QUERY,
            **self._fields("search_tickets"),
            "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 20},
            "page": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1},
        }
        found = {
            "tickets": {"type": "array", "items": _object(TICKET, ALWAYS)},
            "total": {"type": ["integer", "null"]},
            "page": {"type": "integer"},
            "has_more": {"type": "boolean"},
        }
        return Tool(
            name="search_tickets",
            description=f"Search tickets in {self._where} by words and fields; all given conditions must hold.",
            input_schema=_object(conditions, []),
            output_schema=_object(found),
            annotations=READS,
        )

    def update(self) -> Tool:
        changes = _object({"id": self._id, **self._fields("update_ticket")}, ["id"])
        return Tool(
            name="update_ticket",
            description=f"Change a ticket in {self._where}. Only the fields you give are changed; give at least one.",
            input_schema={**changes, "minProperties": 2},
            output_schema=_object(TICKET, ALWAYS),
            annotations=CHANGES,
        )

    def _fields(self, tool: ToolName) -> dict[str, Schema]:
        shapes: dict[FieldName, Schema] = {
            "title": TITLE,
            "body": {**BODY, "description": "The ticket's text."},
            "status": self._choice("status"),
            "priority": self._choice("priority"),
            "labels": {"type": "array", "maxItems": 50, "uniqueItems": True, "items": self._choice("labels")},
            "assignee": {**self._choice("assignee"), "description": "Login name."},
        }
        return {name: shape for name, shape in shapes.items() if self._preset.takes(tool, name)}

    def _choice(self, name: FieldName) -> Schema:
        offered = self._preset.fields.get(name)
        values = self._values.get(name) or (offered.values if offered else [])
        return {"type": "string", "enum": values} if values else {"type": "string", "minLength": 1, "maxLength": 100}


def _object(properties: Mapping[str, Schema], required: list[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }
