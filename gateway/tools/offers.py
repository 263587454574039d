"""A tool as a model is offered it, and one call of it. A tool that fails is a result, never an exception."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from gateway.agents.spec import ToolGrant
from gateway.items import Text, ToolCall, ToolResult, new_id
from gateway.json_schema.meter import CannotCheck
from gateway.json_schema.schema import Schema
from gateway.ports import ToolSpec
from gateway.tools.link import CallFailed, ListedTool
from gateway.tools.narrow import narrow
from gateway.tools.upstream import Upstream

logger = logging.getLogger(__name__)

MAX_DESCRIPTION = 8192
"""Characters of a tool's description that a model is shown."""


async def called(
    upstream: Upstream, spec: ToolSpec, call: ToolCall, arguments: dict[str, Any], patience: float, caller: str = ""
) -> ToolResult:
    """What the tool says. A failure says what happened and whether the tool may have run."""
    try:
        answer = await upstream.call(spec.tool, arguments, patience, caller)
    except CallFailed as fault:
        logger.warning("%s.%s failed: %s", spec.server, spec.tool, fault)
        return failure(call, explained(spec, fault))
    structured = dict(answer.structured) if spec.type == "file_search" else {}
    return ToolResult(
        id=new_id("fco"),
        call_id=call.call_id,
        content=answer.content,
        is_error=answer.is_error,
        type=spec.type,
        structured=structured,
    )


def made_spec(name: str, server: str, grant: ToolGrant, tool: ListedTool) -> ToolSpec:
    """The tool as its server describes it, overruled and narrowed by the grant."""
    read_only, destructive, open_world = tool.read_only, tool.destructive, tool.open_world
    if grant.effect is not None:
        read_only, destructive = grant.effect == "read", grant.effect == "destructive"
        open_world = open_world or grant.effect == "external"
    schema: dict[str, Any] = {"properties": {}, **tool.schema, "type": "object"}
    return ToolSpec(
        name=name,
        description=tool.description[:MAX_DESCRIPTION],
        schema=narrow(schema, with_required(grant, schema)) if grant.args else schema,
        server=server,
        tool=tool.name,
        type=grant.type,
        read_only=read_only,
        destructive=destructive,
        idempotent=tool.idempotent if grant.idempotent is None else grant.idempotent,
        open_world=open_world,
        per_run=grant.per_run,
        asks=grant.asks,
        approval_timeout=grant.approval_timeout,
        fixed=fixed_by(grant, schema),
    )


def fixed_by(grant: ToolGrant, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the tool for which the grant leaves one value, or has one for a model that names none."""
    own, wanted = table(schema.get("properties")), table(grant.args.get("properties"))
    shapes = {name: table(shape) for name, shape in wanted.items() if name in own}
    given = {name: shape["default"] for name, shape in shapes.items() if "default" in shape}
    return given | {name: shape["const"] for name, shape in shapes.items() if "const" in shape}


def with_required(grant: ToolGrant, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The grant's `args`, which also require each argument that they narrow: one that is left out would be whatever the
    server takes for it, such as everything. What has a value here is filled in, and the tool's own default may fit."""
    own, wanted, fixed = table(schema.get("properties")), table(grant.args.get("properties")), fixed_by(grant, schema)
    chosen = [name for name in wanted if name in own and name not in fixed]
    escaping = [name for name in chosen if not fits_default(own[name], wanted[name])]
    required = cast("list[str]", grant.args.get("required", []))
    return {**grant.args, "required": [*required, *(name for name in escaping if name not in required)]}


def fits_default(own: object, shape: object) -> bool:
    if "default" not in table(own):
        return False
    try:
        return not Schema(table(shape)).problems(table(own)["default"])
    except CannotCheck:
        return False


def table(value: object) -> Mapping[str, Any]:
    """What a schema says where there may be an object."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def explained(spec: ToolSpec, failure: CallFailed) -> str:
    what = f"The call failed: tool server {spec.server!r}: {failure}."
    if not failure.ran:
        return f"{what} The tool was not run."
    if spec.read_only or spec.idempotent:
        return f"{what} It is safe to call it again."
    return (
        f"{what} The outcome is unknown: the tool may or may not have taken effect. "
        "Check whether it did before you call it again."
    )


def failure(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(id=new_id("fco"), call_id=call.call_id, content=(Text(text=text),), is_error=True)
