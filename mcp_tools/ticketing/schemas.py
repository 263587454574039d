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
TITLE: Schema = {"type": "string", "minLength": 1, "maxLength": 250, "pattern": r"^[^\r\n]*\S[^\r\n]*$"}
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
CREATED: Schema = {"type": "boolean", "description": "False: an equal call had made it before; nothing new was made."}
COMMENT: Schema = {
    "type": "object",
    "properties": {"id": TEXT, "author": TEXT, "body": TEXT, "created_at": TEXT},
    "required": ["id", "body"],
}


def tools(preset: Preset, values: Mapping[str, list[str]], *, durable: bool) -> list[Tool]:
    """The tools in a stable order. `durable`: what was made is remembered even if this process ends."""
    makes = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=durable, open_world_hint=True)
    reads = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
    changes = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
    desk = _Desk(preset, values)
    where = preset.title
    return [
        desk.tool(
            "add_comment",
            f"Add a comment to a ticket in {where}. Repeating the call does not add it twice.",
            {"id": desk.id, "body": BODY, "idempotency_key": KEY},
            ["id", "body"],
            _object({"id": TEXT, "ticket_id": TEXT, "url": TEXT, "created": CREATED}),
            makes,
        ),
        desk.tool(
            "open_ticket",
            f"Open a new ticket in {where}. Repeating the call does not open it twice.",
            {**desk.fields("open_ticket"), "idempotency_key": KEY},
            ["title"],
            _object({**TICKET, "created": CREATED}, required=["id", "url", "title", "status", "created"]),
            makes,
        ),
        desk.tool(
            "read_ticket",
            f"Read one ticket in {where}, with its comments (oldest first; of a long discussion not all).",
            {"id": desk.id},
            ["id"],
            _object(
                {**TICKET, "comments": {"type": "array", "items": COMMENT}},
                required=["id", "url", "title", "status", "comments"],
            ),
            reads,
        ),
        desk.tool(
            "search_tickets",
            f"Search tickets in {where} by words and fields; all given conditions must hold. Without any: the newest.",
            {
                "query": {"type": "string", "minLength": 1, "maxLength": 200, "description": "Words, all to be found."},
                **desk.fields("search_tickets"),
                "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 20},
                "page": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1},
            },
            [],
            _object(
                {
                    "tickets": {"type": "array", "items": _object(TICKET, required=["id", "url", "title", "status"])},
                    "total": {"type": ["integer", "null"]},
                    "page": {"type": "integer"},
                    "has_more": {"type": "boolean"},
                }
            ),
            reads,
        ),
        desk.tool(
            "update_ticket",
            f"Change a ticket in {where}. Only the fields you give are changed; give at least one.",
            {"id": desk.id, **desk.fields("update_ticket")},
            ["id"],
            _object(TICKET, required=["id", "url", "title", "status"]),
            changes,
        ),
    ]


class _Desk:
    """Schemas of one tracker's arguments."""

    def __init__(self, preset: Preset, values: Mapping[str, list[str]]) -> None:
        self._preset = preset
        self._values = values
        self.id: Schema = {
            "type": "string",
            "maxLength": 100,
            "pattern": f"^(?:{preset.id_pattern})$",
            "description": "The ticket's id, as search_tickets and open_ticket give it.",
        }

    def fields(self, tool: ToolName) -> dict[str, Schema]:
        shapes: dict[FieldName, Schema] = {
            "title": TITLE,
            "body": {**BODY, "description": "The ticket's text."},
            "status": self._choice("status"),
            "priority": self._choice("priority"),
            "labels": {"type": "array", "maxItems": 50, "uniqueItems": True, "items": self._choice("labels")},
            "assignee": {**self._choice("assignee"), "description": "Login name."},
        }
        return {name: shape for name, shape in shapes.items() if self._preset.takes(tool, name)}

    def tool(
        self,
        name: ToolName,
        description: str,
        properties: dict[str, Schema],
        required: list[str],
        output: Schema,
        annotations: ToolAnnotations,
    ) -> Tool:
        schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        if name == "update_ticket":
            schema["minProperties"] = 2
        return Tool(
            name=name, description=description, input_schema=schema, output_schema=output, annotations=annotations
        )

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
