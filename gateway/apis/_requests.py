"""What the bodies of Chat Completions and Responses have in common, and what it becomes in a Turn."""

import re
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, Field

from gateway.apis._body import StrictModel
from gateway.errors import InvalidRequest
from gateway.json_schema.fault import schema_fault
from gateway.ports import ToolSpec


def writable(value: dict[str, Any]) -> dict[str, Any]:
    """The object itself. Raises ValueError for what could be read but not be written again: a number of 65 bits."""
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(writable)]
"""A part of a body that is passed on as it came."""


class Function(StrictModel):
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class FunctionName(StrictModel):
    name: str


class JsonSchema(StrictModel):
    name: str | None = None
    description: str | None = None
    schema_: JsonObject | None = Field(None, alias="schema")
    strict: bool | None = None


class Obfuscation(StrictModel):
    """Obfuscation is padding against observers of encrypted traffic; none is made."""

    include_obfuscation: bool | None = None


class StreamOptions(Obfuscation):
    include_usage: bool | None = None


class ModerationMode(StrictModel):
    mode: Literal["score", "block"]


class ModerationPolicy(StrictModel):
    input: ModerationMode | None = None
    output: ModerationMode | None = None


class Moderation(StrictModel):
    model: str
    policy: ModerationPolicy | None = None


class PromptCacheOptions(StrictModel):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None


Choice = Literal["none", "auto", "required"]
FormatType = Literal["text", "json_object", "json_schema"]
SCHEMA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_schema(schema: JsonSchema | None, where: str) -> None:
    """The JSON schema of a format, which stands at `where`. Raises InvalidRequest for one without its name or without
    itself."""
    if schema is None:
        raise missing(where)
    if schema.name is None:
        raise missing(f"{where}.name")
    if not SCHEMA_NAME.fullmatch(schema.name):
        raise InvalidRequest(
            f"Invalid '{where}.name': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$', of at most 64 characters.",
            param=f"{where}.name",
            code="invalid_value",
        )
    if schema.schema_ is None:
        raise missing(f"{where}.schema")


def missing(where: str) -> InvalidRequest:
    return InvalidRequest(f"Missing required parameter: '{where}'.", param=where, code="missing_required_parameter")


def to_tool(function: Function) -> ToolSpec:
    return ToolSpec(
        name=function.name,
        description=function.description or "",
        schema=function.parameters or {"type": "object", "properties": {}},
        strict=function.strict,
    )


def to_choice(choice: Choice | FunctionName) -> str | dict[str, str]:
    """`tool_choice` in the vocabulary of `ModelCall.options`."""
    return {"name": choice.name} if isinstance(choice, FunctionName) else choice


def to_format(type: FormatType, schema: JsonSchema | None, where: str) -> dict[str, Any]:
    """`response_format` in the vocabulary of `ModelCall.options`. Raises InvalidRequest for a strict schema, the one at
    `where`, that answers cannot be checked against."""
    if type != "json_schema" or schema is None:
        return {"type": type}
    if schema.strict and (fault := schema_fault(schema.schema_ or {})):
        name = schema.name or "answer"
        raise InvalidRequest(
            f"Invalid schema for response_format '{name}': {fault}.", param=where, code="invalid_json_schema"
        )
    described = {"description": schema.description} if schema.description else {}
    named = {"type": type, "name": schema.name or "answer", "schema": schema.schema_ or {}, "strict": schema.strict}
    return {**named, **described}
