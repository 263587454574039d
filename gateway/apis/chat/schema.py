"""The body of a chat completion request. Unknown fields are ignored: OpenAI adds some every month."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.apis._body import LARGEST, MOST_ITEMS, MOST_PARTS, MOST_TOOLS, Several, StrictModel
from gateway.apis._requests import (
    Choice,
    FormatType,
    Function,
    FunctionName,
    JsonObject,
    JsonSchema,
    Moderation,
    PromptCacheOptions,
    StreamOptions,
)

MOST_CHOICES = 128
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
"""`function` is what the role `tool` was called before 2024."""


class PredictedPart(StrictModel):
    type: Literal["text"]
    text: str


class Prediction(StrictModel):
    """`Settings.prediction`, which stays as it came for who passes it on."""

    type: Literal["content"]
    content: str | Annotated[Several[PredictedPart], Field(max_length=MOST_PARTS)]


class Voice(StrictModel):
    id: str


class Audio(StrictModel):
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]
    voice: str | Voice


class Settings(StrictModel):
    """Fields whose values mean the same to an agent and to OpenAI's own models."""

    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = Field(None, fail_fast=True)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=LARGEST)
    max_completion_tokens: int | None = Field(None, ge=1, le=LARGEST)
    stop: str | Several[str] | None = None
    seed: int | None = Field(None, ge=-LARGEST, le=LARGEST)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = Field(None, fail_fast=True)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    parallel_tool_calls: bool | None = None
    prediction: JsonObject | None = None
    audio: Audio | None = None
    moderation: Moderation | None = None
    web_search_options: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = Field(None, max_length=64)
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None


class ContentPart(StrictModel):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: dict[str, Any] | None = None
    file: dict[str, Any] | None = None


Parts = Annotated[Several[ContentPart], Field(min_length=1, max_length=MOST_PARTS)]


class FunctionCall(StrictModel):
    name: str
    arguments: str = ""


class CustomCall(StrictModel):
    name: str
    input: str = ""


class ToolCallBody(StrictModel):
    id: str
    type: str = "function"
    function: FunctionCall | None = None
    custom: CustomCall | None = None


class ChatMessage(StrictModel):
    """`function_call` is what tool calls were called before 2024."""

    role: Role
    content: str | Parts | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Several[ToolCallBody] | None = Field(None, max_length=MOST_PARTS)
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None


class CustomTool(StrictModel):
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    format: JsonObject | None = None


class Tool(StrictModel):
    type: str
    function: Function | None = None
    custom: CustomTool | None = None


class NamedTool(StrictModel):
    type: str
    function: FunctionName | None = None
    custom: FunctionName | None = None


class AllowedTools(StrictModel):
    mode: Literal["auto", "required"]
    tools: Several[NamedTool] = Field(max_length=MOST_TOOLS)


class ToolChoice(NamedTool):
    allowed_tools: AllowedTools | None = None


class ResponseFormat(StrictModel):
    type: FormatType
    json_schema: JsonSchema | None = None


class ChatRequest(Settings):
    """https://platform.openai.com/docs/api-reference/chat/create, as far as it is about text, images, files and tools.

    Checked but without effect: `audio`, `moderation`, `prompt_cache_options`.
    """

    model: str
    messages: Several[ChatMessage] = Field(min_length=1, max_length=MOST_ITEMS)
    tools: Several[Tool] | None = Field(None, max_length=MOST_TOOLS)
    tool_choice: Choice | ToolChoice | None = None
    functions: Several[Function] | None = Field(None, max_length=MOST_TOOLS)
    function_call: Literal["none", "auto"] | FunctionName | None = None
    response_format: ResponseFormat | None = None
    modalities: Several[Literal["text", "audio"]] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None


class RelayedMessage(StrictModel):
    """Servers have roles of their own, and parts, and take a message without any."""

    role: str
    content: str | list[Any] | None = None


class RelayedRequest(StrictModel):
    """What is checked of a request before it is handed on to any server: what none of them takes, and what the gateway
    itself goes by. Ranges are the server's to say: -1 is no limit to some, a temperature of 3 is warm to others."""

    messages: Several[RelayedMessage] = Field(min_length=1, max_length=MOST_ITEMS)
    n: int | None = Field(None, ge=1)
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None


class MessageToOpenAI(StrictModel):
    """Which parts a message may have is not known here: OpenAI adds some."""

    role: Role
    content: str | Annotated[list[Any], Field(min_length=1)] | None = None
    name: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None


class ToolToOpenAI(StrictModel):
    type: str


class RequestToOpenAI(Settings):
    """What is checked of a request before it is handed on to OpenAI.

    The fields below are lists and words that it adds to; of these only the type is checked.
    """

    messages: Several[MessageToOpenAI] = Field(min_length=1, max_length=MOST_ITEMS)
    tools: Several[ToolToOpenAI] | None = None
    functions: Several[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None
    modalities: Several[str] | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
