"""The body of a chat completion request. Unknown fields are ignored: OpenAI adds some every month."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from gateway.apis._body import LARGEST, MOST_ITEMS, MOST_PARTS, MOST_TOOLS, Several
from gateway.apis._requests import Choice, FormatType, Function, FunctionName, JsonSchema


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
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | Parts | None = None
    refusal: str | None = None
    tool_calls: Several[ToolCallBody] | None = Field(None, max_length=MOST_PARTS)
    tool_call_id: str | None = None


class FunctionTool(BaseModel):
    type: Literal["function"]
    function: Function


class NamedToolChoice(BaseModel):
    type: Literal["function"]
    function: FunctionName


class ResponseFormat(BaseModel):
    type: FormatType
    json_schema: JsonSchema | None = None


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """https://platform.openai.com/docs/api-reference/chat/create, as far as it is about text, images and tools."""

    model: str
    messages: Several[ChatMessage] = Field(min_length=1, max_length=MOST_ITEMS)
    tools: Several[FunctionTool] | None = Field(None, max_length=MOST_TOOLS)
    tool_choice: Choice | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=LARGEST)
    max_completion_tokens: int | None = Field(None, ge=1, le=LARGEST)
    stop: str | Several[str] | None = None
    seed: int | None = Field(None, ge=-LARGEST, le=LARGEST)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    user: str | None = None
    n: int | None = Field(None, ge=1, le=1, description="Only one choice is made.")
