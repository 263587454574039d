"""The body of a chat completion request. Unknown fields are ignored: OpenAI adds some every month."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from gateway.apis._body import LARGEST, MOST_ITEMS, MOST_PARTS, MOST_TOOLS, Several
from gateway.apis._requests import Choice, FormatType, Function, FunctionName, JsonSchema

MOST_CHOICES = 128


class ContentPart(BaseModel):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: dict[str, Any] | None = None
    file: dict[str, Any] | None = None


Parts = Annotated[Several[ContentPart], Field(max_length=MOST_PARTS)]


class FunctionCall(BaseModel):
    name: str
    arguments: str = ""


class ToolCallBody(BaseModel):
    id: str
    type: str = "function"
    function: FunctionCall | None = None


class ChatMessage(BaseModel):
    """`function_call` and the role `function` are what tool calls and the role `tool` were called before 2024."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Parts | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Several[ToolCallBody] | None = Field(None, max_length=MOST_PARTS)
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None


class FunctionTool(BaseModel):
    type: str
    function: Function | None = None


class NamedTool(BaseModel):
    type: str
    function: FunctionName | None = None


class AllowedTools(BaseModel):
    mode: Literal["auto", "required"]
    tools: Several[NamedTool] = Field(max_length=MOST_TOOLS)


class ToolChoice(NamedTool):
    allowed_tools: AllowedTools | None = None


class ResponseFormat(BaseModel):
    type: FormatType
    json_schema: JsonSchema | None = None


class StreamOptions(BaseModel):
    """Obfuscation is padding against observers of encrypted traffic; none is made."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(BaseModel):
    """https://platform.openai.com/docs/api-reference/chat/create, as far as it is about text, images, files and tools.

    `prediction`, `prompt_cache_*`, `safety_identifier` and `service_tier` are for providers that take them.
    """

    model: str
    messages: Several[ChatMessage] = Field(min_length=1, max_length=MOST_ITEMS)
    tools: Several[FunctionTool] | None = Field(None, max_length=MOST_TOOLS)
    tool_choice: Choice | ToolChoice | None = None
    functions: Several[Function] | None = Field(None, max_length=MOST_TOOLS)
    function_call: Literal["none", "auto"] | FunctionName | None = None
    parallel_tool_calls: bool | None = None
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
    response_format: ResponseFormat | None = None
    modalities: Several[Literal["text", "audio"]] | None = None
    prediction: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    user: str | None = None
    safety_identifier: str | None = Field(None, max_length=64)
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
