"""Drives a gateway with whatever `openai` is installed where this runs: `python drive.py URL KEY`. Prints JSON.

It runs in an environment of its own, because LiteLLM needs openai<3 and newer clients must work too. Every body is
validated against the client's types.
"""

import json
import sys
from typing import Any

import openai
from pydantic import BaseModel

FUNCTION = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}


def main(url: str, key: str) -> dict[str, Any]:
    """What was seen, by feature."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, _strict_response_validation=True)
    hi = [{"role": "user", "content": "hi"}]
    seen: dict[str, Any] = {"version": openai.__version__}
    seen["models"] = [model.id for model in client.models.list()]
    chat = client.chat.completions.create(model="talker", messages=hi)
    seen["chat"] = chat.choices[0].message.content
    chunks = client.chat.completions.create(model="talker", messages=hi, stream=True)
    seen["chat stream"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    response = client.responses.create(model="talker", input="hi")
    seen["response"] = response.output_text
    with client.responses.stream(model="talker", input="hi", previous_response_id=response.id) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    seen["response stream"] = final.output_text
    seen["retrieved"] = client.responses.retrieve(final.id).output_text
    called = client.responses.create(model="caller", input="weather?", tools=[FUNCTION])
    seen["function"] = called.output[0].name
    tool = client.responses.create(model="keeper", input="time?")
    seen["mcp call"] = [item.type for item in tool.output]
    with client.responses.stream(model="keeper", input="time?") as stream:
        seen["mcp call stream"] = [event.type for event in stream if event.type == "response.mcp_call.completed"]
        stream.get_final_response()
    conversation = client.conversations.create(items=[{"type": "message", "role": "user", "content": "before"}])
    client.responses.create(model="talker", input="hi", conversation=conversation.id)
    listed = client.conversations.items.list(conversation.id, limit=2, order="asc")
    seen["conversation"] = [item.type for item in listed]
    seen["deleted"] = client.conversations.delete(conversation.id).deleted
    seen["chat helpers"] = chat_helpers(client)
    client.responses.delete(response.id)
    try:
        client.responses.retrieve(response.id)
    except openai.NotFoundError as error:
        seen["error"] = [error.status_code, error.code, bool(error.request_id)]
    return seen


def chat_helpers(client: openai.OpenAI) -> list[Any]:
    """What the client makes of streams and schemas, several choices and completions that are stored."""

    class City(BaseModel):
        name: str

    completions = client.chat.completions
    asked: dict[str, Any] = {"model": "talker", "messages": [{"role": "user", "content": "hi"}]}
    with completions.stream(**asked, response_format=City) as stream:
        streamed = stream.get_final_completion().choices[0].message.parsed
    parsed = completions.parse(**asked, response_format=City).choices[0].message.parsed
    with completions.stream(**asked, tools=[openai.pydantic_function_tool(City)]) as stream:
        (tool_call,) = stream.get_final_completion().choices[0].message.tool_calls or ()
    made = completions.create(**asked, n=2, store=True, metadata={"a": "b"})
    listed = [completion.id == made.id for completion in completions.list(metadata={"a": "b"}, limit=1)]
    kept = completions.retrieve(made.id).choices == made.choices
    completions.update(made.id, metadata={"a": "c"})
    deleted = completions.delete(made.id).deleted
    return [streamed == parsed == tool_call.function.parsed_arguments == City(name="Oslo"), listed, kept, deleted]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
