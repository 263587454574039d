"""The agent document: what may stand in `agents/<name>.yaml`, in its short and its full form.

Only the shape is here; `load.py` reads files, fills in `{{env.X}}` and makes the `AgentSpec`. Keys of the full form
that this release does not have are named, so that they are refused honestly and never silently ignored.
"""

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self, cast, get_args

from jsonschema import Draft202012Validator, SchemaError
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from gateway.agents.problems import Unsupported
from gateway.agents.spec import CONTEXT, EVERYTHING, Asks, Context, Effect
from gateway.agents.variables import VARIABLE

DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(s|m|h|d)")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TOOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\.\S.{0,254}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Validation context: the memory strategies that there are, and whether `{{env.X}}` are not filled in yet.

    A string with such a variable may still become anything.
    """

    memories: Collection[str] = (EVERYTHING,)
    template: bool = False


def seconds(duration: str) -> float:
    """`90s`, `2m`, `1.5h` or `7d` in seconds. Raises `ValueError`."""
    if not (found := DURATION.fullmatch(duration)):
        raise ValueError("write a duration such as 120s, 5m, 2h or 7d")
    return float(found[1]) * SECONDS[found[2]]


def open_template(value: str, info: ValidationInfo) -> bool:
    return checks_of(info).template and VARIABLE.search(value) is not None


def checks_of(info: ValidationInfo) -> Checks:
    return info.context if isinstance(info.context, Checks) else Checks()


def _duration(value: object, info: ValidationInfo) -> str:
    text = value if isinstance(value, str) else ""
    if not open_template(text, info) and seconds(text) <= 0:
        raise ValueError("must be longer than zero")
    return text


def _name(value: str, info: ValidationInfo) -> str:
    if not open_template(value, info) and not NAME.fullmatch(value):
        raise ValueError("a name is 1 to 64 letters, digits, `.`, `_` or `-`, and begins with a letter or digit")
    return value


def _tool(value: str, info: ValidationInfo) -> str:
    if not open_template(value, info) and not TOOL.fullmatch(value):
        raise ValueError("name a tool as `server.tool`, or `server.*` for all tools of a server")
    return value


def _model(value: str) -> str:
    if not value or value != value.strip():
        raise ValueError("name a model, such as openai/gpt-4o-mini")
    return value


def _memory(value: object, info: ValidationInfo) -> str:
    if not isinstance(value, str):
        raise ValueError("is not supported by this release of Homeport")
    known = checks_of(info).memories
    if value not in known and not open_template(value, info):
        raise ValueError(f"there is no strategy named `{value}`: there are {', '.join(sorted(known))}")
    return value


def _schema(value: dict[str, Any]) -> dict[str, Any]:
    try:
        Draft202012Validator.check_schema(value)
    except SchemaError as error:
        where = ".".join(str(step) for step in error.absolute_path)
        raise ValueError(f"is not a JSON Schema: {where + ': ' if where else ''}{error.message}") from error
    _refuse_references(value)
    return value


def _refuse_references(value: object) -> None:
    """Raises for references, which would lead elsewhere once the schema is laid over another."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            _refuse_references(item)
    if not isinstance(value, dict):
        return
    for key, item in cast("dict[str, object]", value).items():
        if key in ("$ref", "$dynamicRef", "$id", "$defs", "definitions"):
            raise ValueError(f"`{key}` cannot be used in a schema that is laid over another: write it out")
        _refuse_references(item)


def _long_model(value: object) -> object:
    return {"primary": value} if isinstance(value, str) else value


def _long_tool(value: object) -> object:
    return {"tool": value} if isinstance(value, str) else value


def _long_approval(value: object) -> object:
    return {"when": value} if isinstance(value, str) else value


def _asks(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str) and value not in get_args(Asks):
        raise ValueError("write always, never or destructive: this release of Homeport evaluates no expressions here")
    return value


ModelId = Annotated[str, AfterValidator(_model)]
Count = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    """A mapping of the document: other keys are refused, and values are not converted (`"12"` is no number)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Params(_Table):
    """Sampling options, in the words of `ports.ModelCall.options`. What is left out is the provider's default."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_output_tokens: Count | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    response_format: dict[str, Any] | None = None


class ModelTable(_Table):
    primary: ModelId
    params: Params = Params()
    fallbacks: list[ModelId] = []
    requires: Unsupported = None


class PromptFile(_Table):
    file: str = Field(description="A text file beside the document, inside the agents folder.")


class GrantLimits(_Table):
    per_run: Count | None = Field(default=None, description="The most calls of this tool in one run.")
    per_day: Unsupported = None


class ApprovalTable(_Table):
    """When a person must approve a call before it runs, and what becomes of a question that nobody answers."""

    when: Annotated[Asks, BeforeValidator(_asks)] = Field(
        default="always", description="destructive: if the tool, or the grant's `effect`, says that it destroys."
    )
    timeout: Annotated[str, BeforeValidator(_duration)] = Field(
        default="7d", description="How long the question may be answered: 120s, 5m, 2h, 7d."
    )
    on_timeout: Literal["deny"] = "deny"


class GrantTable(_Table):
    tool: Annotated[str, AfterValidator(_tool)]
    effect: Effect | None = None
    idempotent: bool | None = None
    args: Annotated[dict[str, Any], AfterValidator(_schema)] = Field(
        default={},
        description="A JSON Schema laid over the tool's own. It can only narrow what is allowed. An argument with a "
        "`const` has that value also when the model leaves it out.",
    )
    limits: GrantLimits = GrantLimits()
    approval: Annotated[ApprovalTable, BeforeValidator(_long_approval, json_schema_input_type=Asks | ApprovalTable)] = (
        ApprovalTable(when="never")
    )


class LimitsTable(_Table):
    max_steps: Annotated[int, Field(ge=1, le=1000, description="The most model calls of one run.")] = 12
    max_tokens: Count | None = Field(default=None, description="The most output tokens of one run.")
    deadline: Annotated[str, BeforeValidator(_duration)] | None = Field(
        default=None, description="The most time one run may take: 120s, 5m, 2h, 7d."
    )
    max_cost_usd: Unsupported = None


class SemanticTable(_Table):
    top_k: Annotated[int, Field(ge=1, le=100, description="The most older exchanges that are shown.")] = 6


class SummaryTable(_Table):
    at: Annotated[float, Field(gt=0, le=1, description="The part of the budget from which on it is made.")] = 0.75


class KeepTable(_Table):
    """One thing that is kept: exactly one of the keys."""

    last: Count | None = Field(default=None, description="The newest so many exchanges.")
    semantic: SemanticTable | None = Field(default=None, description="Older exchanges that fit the newest question.")
    summary: SummaryTable | None = Field(default=None, description="Of what is older, by the agent's own model.")


def _one_kept(value: KeepTable) -> KeepTable:
    if len(kinds_of(value)) != 1:
        raise ValueError("an entry is one of `last`, `semantic` and `summary`")
    return value


def kinds_of(kept: KeepTable) -> list[str]:
    return [name for name in KeepTable.model_fields if getattr(kept, name) is not None]


def _kept(value: list[KeepTable]) -> list[KeepTable]:
    kinds = [kind for kept in value for kind in kinds_of(kept)]
    if again := [kind for place, kind in enumerate(kinds) if kind in kinds[:place]]:
        raise ValueError(f"`{again[0]}` is listed twice")
    if "semantic" in kinds and "last" not in kinds:
        raise ValueError("`semantic` needs a `last`: it looks among what is older")
    return value


class ContextTable(_Table):
    """What the model gets to see of the conversation."""

    budget_tokens: Count | None = Field(
        default=None, description="The most it is shown of the conversation, instructions left out."
    )
    keep: Annotated[list[Annotated[KeepTable, AfterValidator(_one_kept)]], AfterValidator(_kept)] = Field(
        default=[], description="What of it comes first; with nothing here it is the newest that fits."
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.budget_tokens is None and any(kept.summary for kept in self.keep):
            raise ValueError("`summary` needs `budget_tokens`: it is made when a part of these is used up")
        return self

    def spec(self) -> Context:
        last = next((kept.last for kept in self.keep if kept.last), None)
        semantic = next((kept.semantic for kept in self.keep if kept.semantic), None)
        summary = next((kept.summary for kept in self.keep if kept.summary), None)
        return Context(
            budget_tokens=self.budget_tokens,
            last=last,
            top_k=semantic.top_k if semantic else 0,
            summary_at=summary.at if summary else None,
        )


class Document(_Table):
    """One agent: what it is told, which model drives it, and what it may use."""

    name: Annotated[str, AfterValidator(_name)] | None = Field(
        default=None, description="What clients write as `model`; the file's own name when left out."
    )
    labels: dict[str, str] = {}
    description: str = ""
    instructions: str | PromptFile = ""
    model: Annotated[ModelTable, BeforeValidator(_long_model, json_schema_input_type=str | ModelTable)] = Field(
        description="A LiteLLM model id such as openai/gpt-4o-mini, or a table."
    )
    tools: list[Annotated[GrantTable, BeforeValidator(_long_tool, json_schema_input_type=str | GrantTable)]] = Field(
        default=[], description="All this agent may use: `server.tool` or `server.*`. Nothing else is ever offered."
    )
    limits: LimitsTable = LimitsTable()
    env: list[Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]] = Field(
        default=[], description="Environment variables that `{{env.NAME}}` may name in any string."
    )
    memory: Annotated[str, BeforeValidator(_memory)] = Field(
        default=EVERYTHING, description="What the model gets to see of the conversation: the name of a strategy."
    )
    context: ContextTable | None = Field(default=None, description="What the model gets to see, in detail.")
    agents: Unsupported = None
    governance: Unsupported = None


def agent_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of an agent document, for editors to complete and check while typing."""
    schema = Document.model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Homeport agent",
    }


def duration(written: str) -> float | str:
    """In seconds; with a variable in it, as written."""
    return written if VARIABLE.search(written) else seconds(written)


def content(document: Document, instructions: str) -> dict[str, Any]:
    """What the content digest covers: the document with every default visible and the prompt file's text in place.

    The name, the labels and the values of environment variables are left out; `{{env.X}}` stands as written. `tools`
    and `env` are sets, hence sorted; durations are in seconds.
    """
    deadline = document.limits.deadline
    tools = [
        {
            "tool": grant.tool,
            "effect": grant.effect,
            "idempotent": grant.idempotent,
            "args": grant.args,
            "limits": {"per_run": grant.limits.per_run},
            "approval": {
                "when": grant.approval.when,
                "timeout": duration(grant.approval.timeout),
                "on_timeout": grant.approval.on_timeout,
            },
        }
        for grant in sorted(document.tools, key=lambda grant: grant.tool)
    ]
    return {
        "description": document.description,
        "instructions": instructions,
        "model": {
            "primary": document.model.primary,
            "params": document.model.params.model_dump(exclude_none=True),
            "fallbacks": document.model.fallbacks,
        },
        "tools": tools,
        "limits": {
            "max_steps": document.limits.max_steps,
            "max_tokens": document.limits.max_tokens,
            "deadline": None if deadline is None else duration(deadline),
        },
        "memory": CONTEXT if document.context else document.memory,
        "context": asdict(document.context.spec()) if document.context else None,
        "env": sorted(set(document.env)),
    }
