"""The body of POST /v1/responses. Unknown fields are ignored: OpenAI adds some every month."""

from typing import Annotated, Any, Literal, cast

from pydantic import AliasChoices, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from gateway.apis._body import LARGEST, MOST_ITEMS, MOST_TOOLS, Several, StrictModel
from gateway.apis._include import Included
from gateway.apis._requests import FormatType, JsonObject, JsonSchema, Moderation, Obfuscation, PromptCacheOptions


class ConversationReference(StrictModel):
    id: str


def conversation_named(value: object) -> object:
    """Told in one piece what is wrong, and not for each of the two forms."""
    match value:
        case None | str() | {"id": str()}:
            return value
        case _:
            message = "expected the id of a conversation, or an object with it as 'id'"
            raise PydanticCustomError("conversation_type", message)


class TextFormat(JsonSchema):
    type: FormatType


class TextOptions(StrictModel):
    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(StrictModel):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: Literal["standard", "pro"] | None = None


class CacheOptions(PromptCacheOptions):
    prewarm: bool | None = None
    comparison_response_id: str | None = None


class AccessPrograms(StrictModel):
    cyber: Literal["standard", "daybreak_blue", "daybreak_red"] | None = None


class ImageOptions(StrictModel):
    context_compression: Literal["auto", "enabled", "disabled"] | None = None


class ContextManagement(StrictModel):
    """`compact_threshold` is in tokens, as the gateway estimates them."""

    type: Literal["compaction"]
    compact_threshold: int | None = Field(None, ge=1, le=LARGEST)


class PromptReference(StrictModel):
    """The SDKs send `id`; OpenAI's documentation also shows `prompt_id`."""

    name: str = Field(validation_alias=AliasChoices("id", "prompt_id"))
    version: str | None = None
    variables: JsonObject | None = None


class Settings(StrictModel):
    """Fields whose values mean the same to an agent and to OpenAI's own models."""

    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    stream_options: Obfuscation | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = Field(None, ge=1, le=LARGEST)
    max_output_tokens: int | None = Field(None, ge=16, le=LARGEST)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_logprobs: int | None = Field(None, ge=0, le=20)
    metadata: dict[str, str] | None = Field(None, fail_fast=True)
    user: str | None = None
    safety_identifier: str | None = Field(None, max_length=64)
    prompt_cache_key: str | None = None
    prompt_cache_options: CacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    moderation: Moderation | None = None


class ResponsesRequest(Settings):
    """https://platform.openai.com/docs/api-reference/responses/create, as far as this release serves it.

    `tools` and `tool_choice` are read by `tools.py`. Checked but without effect: `stream_options`,
    `prompt_cache_options`, `moderation`, `access_programs`, `image`, and what `include` says of tools that are not
    served.
    """

    model: str | None = None
    prompt: PromptReference | None = None
    input: str | Annotated[Several[dict[str, Any]], Field(max_length=MOST_ITEMS)] | None = None
    previous_response_id: str | None = None
    conversation: Annotated[str | ConversationReference | None, BeforeValidator(conversation_named)] = None
    store: bool | None = None
    include: Several[Included] | None = Field(None, max_length=MOST_TOOLS)
    tools: Several[dict[str, Any]] | None = Field(None, max_length=MOST_TOOLS)
    tool_choice: Any = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    context_management: Several[ContextManagement] | None = Field(None, min_length=1, max_length=MOST_TOOLS)
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    access_programs: AccessPrograms | None = None
    image: ImageOptions | None = None


def text_or_parts(value: object) -> object:
    """Told in one piece what is wrong, as `conversation_named`: the input may be a text itself."""
    if value is None or isinstance(value, str | list):
        return cast(object, value)
    raise PydanticCustomError("parts_type", "Input should be a string or an array")


TextOrParts = Annotated[Any, BeforeValidator(text_or_parts)]


class RelayedItem(StrictModel):
    role: str | None = None
    content: TextOrParts = None


class RelayedRequest(StrictModel):
    """What is checked of a request before it is handed on to any server: what none of them takes, and what the gateway
    itself goes by."""

    input: str | Annotated[Several[RelayedItem], Field(max_length=MOST_ITEMS)]
    stream: bool | None = None
    background: bool | None = None
    stream_options: dict[str, Any] | None = None


class ItemToOpenAI(StrictModel):
    """Which parts a message may have is not known here: OpenAI adds some."""

    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: TextOrParts = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: TextOrParts = None


class RequestToOpenAI(Settings):
    """What is checked of a request before it is handed on to OpenAI.

    The last fields are objects, lists and words that it adds to; of these only the type is checked.
    """

    input: str | Annotated[Several[ItemToOpenAI], Field(max_length=MOST_ITEMS)]
    include: Several[str] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    truncation: str | None = None
    service_tier: str | None = None


class CompactRequest(StrictModel):
    """https://platform.openai.com/docs/api-reference/responses/compact. The last four have no effect."""

    model: str
    input: str | Annotated[Several[dict[str, Any]], Field(max_length=MOST_ITEMS)] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    service_tier: Literal["auto", "default", "fast", "flex", "priority"] | None = None
    prompt_cache_options: CacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
