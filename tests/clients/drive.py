"""Drives a gateway with whatever `openai` is installed where this runs: `python drive.py URL KEY`. Prints JSON.

It runs in an environment of its own, because LiteLLM needs openai<3 and newer clients must work too. Every body is
validated against the client's types.
"""

import json
import sys
from typing import Any

import openai

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
    client.responses.delete(response.id)
    try:
        client.responses.retrieve(response.id)
    except openai.NotFoundError as error:
        seen["error"] = [error.status_code, error.code, bool(error.request_id)]
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
