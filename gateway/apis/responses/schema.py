"""The body of POST /v1/responses. Unknown fields are ignored: OpenAI adds some every month."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, Field

from gateway.apis._body import LARGEST, MOST_ITEMS, MOST_TOOLS, Several
from gateway.apis._requests import Choice, FormatType, Function, FunctionName, JsonObject, JsonSchema


class FunctionTool(Function):
    type: Literal["function"]


class NamedToolChoice(FunctionName):
    type: Literal["function"]


class ConversationReference(BaseModel):
    id: str


class TextFormat(JsonSchema):
    type: FormatType = "text"


class TextOptions(BaseModel):
    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(BaseModel):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class PromptReference(BaseModel):
    """The SDKs send `id`; OpenAI's documentation also shows `prompt_id`."""

    name: str = Field(validation_alias=AliasChoices("id", "prompt_id"))
    version: str | None = None
    variables: JsonObject | None = None


class ResponsesRequest(BaseModel):
    """https://platform.openai.com/docs/api-reference/responses/create, as far as this release serves it."""

    model: str | None = None
    prompt: PromptReference | None = None
    input: str | Annotated[Several[dict[str, Any]], Field(max_length=MOST_ITEMS)] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | ConversationReference | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    tools: Several[FunctionTool] | None = Field(None, max_length=MOST_TOOLS)
    tool_choice: Choice | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = Field(None, ge=16, le=LARGEST)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = Field(None, fail_fast=True)
    user: str | None = None
    safety_identifier: str | None = Field(None, max_length=64)
    prompt_cache_key: str | None = None
