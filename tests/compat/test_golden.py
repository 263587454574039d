"""OpenAI's own request examples, sent as published but for the names of models and the ids of objects.

An answer must be valid against the types of the `openai` package, strictly: no field of a wrong type, none missing.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionDeleted
from openai.types.conversations import Conversation, ConversationDeletedResource, ConversationItem, ConversationItemList
from openai.types.responses import (
    InputTokenCountResponse,
    Response,
    ResponseCompactionItem,
    ResponseInputMessageItem,
    ResponseItemList,
    ResponseStreamEvent,
    ResponseUsage,
)
from pydantic import BaseModel, TypeAdapter

from gateway.providers.settings import ProviderSettings
from gateway.tools.settings import ServerSettings
from tests.compat.model import called, reply

pytestmark = pytest.mark.anyio

EXAMPLES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "golden.json").read_text())["examples"]


class ModelPage(BaseModel):
    object: str
    data: list[Model]


class CompletionPage(BaseModel):
    object: str
    data: list[ChatCompletion]
    has_more: bool


class StoredMessage(BaseModel):
    """The SDK's type has the role of an answer only, which OpenAI's own example is not valid against."""

    id: str
    role: str
    content: str | None


class MessagePage(BaseModel):
    object: str
    data: list[StoredMessage]
    has_more: bool


class Compacted(BaseModel):
    """The SDK's type has messages of the model's only, which OpenAI's own example is not valid against."""

    id: str
    object: str
    created_at: int
    output: list[ResponseInputMessageItem | ResponseCompactionItem]
    usage: ResponseUsage


class Deleted(BaseModel):
    id: str
    object: str
    deleted: bool


ANSWERS: dict[str, Any] = {
    "POST /chat/completions": ChatCompletion,
    "GET /chat/completions": CompletionPage,
    "GET /chat/completions/{completion_id}": ChatCompletion,
    "POST /chat/completions/{completion_id}": ChatCompletion,
    "DELETE /chat/completions/{completion_id}": ChatCompletionDeleted,
    "GET /chat/completions/{completion_id}/messages": MessagePage,
    "POST /completions": Completion,
    "POST /embeddings": CreateEmbeddingResponse,
    "POST /responses": Response,
    "POST /responses/input_tokens": InputTokenCountResponse,
    "POST /responses/compact": Compacted,
    "GET /responses/{response_id}": Response,
    "POST /responses/{response_id}/cancel": Response,
    "GET /responses/{response_id}/input_items": ResponseItemList,
    "DELETE /responses/{response_id}": Deleted,
    "POST /conversations": Conversation,
    "GET /conversations/{conversation_id}": Conversation,
    "POST /conversations/{conversation_id}": Conversation,
    "DELETE /conversations/{conversation_id}": ConversationDeletedResource,
    "POST /conversations/{conversation_id}/items": ConversationItemList,
    "GET /conversations/{conversation_id}/items": ConversationItemList,
    "GET /conversations/{conversation_id}/items/{item_id}": ConversationItem,
    "DELETE /conversations/{conversation_id}/items/{item_id}": Conversation,
    "GET /models": ModelPage,
    "GET /models/{model}": Model,
}
FRAMES: dict[str, Any] = {
    "POST /chat/completions": ChatCompletionChunk,
    # The SDK has no type for its chunks: it reads them as whole completions, whose finish reason is never null.
    "POST /completions": dict[str, Any],
    "POST /responses": ResponseStreamEvent,
}
MODELS = {"POST /embeddings": "local/all-minilm-l6-v2"}
SETTINGS = {"POST /embeddings": {"providers": {"x": ProviderSettings(name="x", base_url="http://127.0.0.1:9")}}}
"""The model for vectors that comes with the gateway is there where its models are not scripted."""
HOSTED = {"Web search"}
"""Examples of tools that OpenAI runs."""
REFUSED = {"DELETE /models/{model}": (403, "insufficient_permissions")}
"""What is answered with an error: OpenAI deletes its customers' models only, and here is none that a client made."""
SEARCHES = "File search"
CANCELS = "POST /responses/{response_id}/cancel"
STORE = "vs_1234567890"
"""The vector store of that example."""


def operation(example: dict[str, Any]) -> str:
    return f"{example['method']} {example['path']}"


def name(example: dict[str, Any]) -> str:
    return f"{operation(example)} {example.get('title', '')}".strip()


def served(example: dict[str, Any]) -> bool:
    return operation(example) in {*ANSWERS, *REFUSED} and example.get("title") not in HOSTED


async def sent(gateway: Any, example: dict[str, Any]) -> Any:
    """The answer to the example, about objects that exist."""
    path, body = example["path"], example.get("body")
    if "{" in path:
        path = path.format(**await made(gateway, under_way=operation(example) == CANCELS))
    if body and "model" in body:
        body = {**body, "model": MODELS.get(operation(example), "helper")}
    return await gateway.http.request(example["method"], f"/v1{path}?{example.get('query', '')}", json=body)


async def made(gateway: Any, *, under_way: bool) -> dict[str, str]:
    """Ids of objects. The response may be one that is still being made."""
    items = [{"type": "message", "role": "user", "content": "Hello!"}]
    conversation = await gateway.openai.conversations.create(items=items, metadata={"topic": "demo"})
    item = (await gateway.openai.conversations.items.list(conversation.id)).data[0]
    response = await gateway.openai.responses.create(model="helper", input="Hello!", background=under_way)
    messages = [{"role": "user", "content": "Hello!"}]
    completion = await gateway.openai.chat.completions.create(model="helper", messages=messages, store=True)
    return {
        "conversation_id": conversation.id,
        "item_id": item.id,
        "response_id": response.id,
        "model": "helper",
        "completion_id": completion.id,
    }


@pytest.mark.requirement("golden")
@pytest.mark.parametrize("example", [one for one in EXAMPLES if served(one)], ids=name)
async def test_an_example_is_answered_as_the_sdk_types_say(start_gateway, home, example):
    steps, settings = [reply] * 3, SETTINGS.get(operation(example), {})
    if operation(example) == CANCELS:
        steps = [[asyncio.Event()], reply]
    if example.get("title") == SEARCHES:
        (home / "store").mkdir()
        (home / "store" / "dragons.md").write_text("# Dragons\n\nAn ancient brown dragon has a strength of 27.\n")
        bases = {"data": str(home / "index"), "knowledge_bases": {STORE: {"folder": str(home / "store")}}}
        settings = {"servers": {"rag": ServerSettings(module="mcp_tools.rag", settings=bases)}}
        steps = [[called("rag__search", f'{{"query": "brown dragon", "knowledge_base": "{STORE}"}}')], reply]
    async with start_gateway(*steps, **settings) as gateway:
        answer = await sent(gateway, example)
    if refused := REFUSED.get(operation(example)):
        assert (answer.status_code, answer.json()["error"]["code"]) == refused
        return
    assert answer.status_code == 200, answer.text
    if example.get("title") == SEARCHES:
        assert [item["type"] for item in answer.json()["output"]] == ["file_search_call", "message"]
    if operation(example) == CANCELS:
        assert answer.json()["status"] == "cancelled"
    if not (example.get("body") or {}).get("stream"):
        TypeAdapter(ANSWERS[operation(example)]).validate_json(answer.content)
        return
    *frames, last, rest = [frame.rpartition("data: ")[2] for frame in answer.text.split("\n\n")]
    assert (last, rest) == ("[DONE]", "")
    for frame in frames:
        TypeAdapter(FRAMES[operation(example)]).validate_json(frame)


@pytest.mark.requirement("golden-rest")
@pytest.mark.parametrize("example", [one for one in EXAMPLES if not served(one)], ids=name)
async def test_an_example_of_what_is_not_promised_gets_an_answer_or_an_error_that_sdks_read(start_gateway, example):
    async with start_gateway(*[reply] * 3, **SETTINGS.get(operation(example), {})) as gateway:
        answer = await sent(gateway, example)
    assert answer.status_code < 500 or answer.status_code in (501, 502), answer.text
    if answer.status_code >= 400:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
