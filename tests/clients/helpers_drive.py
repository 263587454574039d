"""Drives a gateway with the helpers of whatever `openai` is installed here: `python helpers_drive.py URL KEY`.

What `drive.py` does not: typed answers, chat streams, tools, pages, errors. Prints JSON.
"""

import json
import sys
from typing import Any

import openai
from pydantic import BaseModel

USER = {"role": "user", "content": "weather in both?"}


class City(BaseModel):
    city: str
    degrees: int


class Weather(BaseModel):
    """The weather in a city."""

    city: str


def chat(client: openai.OpenAI) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    hi = [{"role": "user", "content": "hi"}]
    with client.chat.completions.stream(model="helper", messages=hi, stream_options={"include_usage": True}) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    seen["stream"] = [kinds.count("content.delta"), final.choices[0].message.content, final.usage.total_tokens]
    tool = openai.pydantic_function_tool(Weather, name="weather")
    with client.chat.completions.stream(model="helper", messages=[USER], tools=[tool]) as stream:
        done = [event.arguments for event in stream if event.type == "tool_calls.function.arguments.done"]
        message = stream.get_final_completion().choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"cold in {call.function.parsed_arguments.city}"}
        for call in message.tool_calls
    ]
    calls = [call.model_dump(include={"id", "type", "function"}) for call in message.tool_calls]
    for call in calls:
        call["function"].pop("parsed_arguments", None)
    history = [USER, {"role": "assistant", "tool_calls": calls}, *results]
    seen["tools"] = [
        len(done),
        client.chat.completions.create(model="helper", messages=history).choices[0].message.content,
    ]
    typed = client.chat.completions.parse(model="helper", messages=hi, response_format=City)
    seen["typed"] = typed.choices[0].message.parsed.model_dump()
    return seen


def responses(client: openai.OpenAI) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    tool = {"type": "function", "name": "weather", "parameters": Weather.model_json_schema(), "strict": False}
    with client.responses.stream(model="helper", input="weather in both?", tools=[tool]) as stream:
        done = [event.arguments for event in stream if event.type == "response.function_call_arguments.done"]
        asked = stream.get_final_response()
    outputs = [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": f"cold in {json.loads(call.arguments)['city']}",
        }
        for call in asked.output
    ]
    told = client.responses.create(model="helper", input=outputs, previous_response_id=asked.id)
    seen["tools"] = [len(done), told.output_text]
    history = [USER, *(item.to_dict() for item in asked.output), *outputs]
    seen["history"] = client.responses.create(model="helper", input=history).output_text
    seen["typed"] = client.responses.parse(model="helper", input="hi", text_format=City).output_parsed.model_dump()
    with client.responses.stream(model="helper", input="hi", text_format=City) as stream:
        for _ in stream:
            pass
        seen["typed stream"] = stream.get_final_response().output_parsed.model_dump()
    with client.responses.stream(model="helper", input="think") as stream:
        kinds = [event.type for event in stream]
        seen["reasoning"] = [stream.get_final_response().output[0].type, "response.reasoning_text.delta" in kinds]
    return seen


def pages(client: openai.OpenAI) -> list[int]:
    """How many items auto-pagination finds, by the size of a page."""
    items = [{"type": "message", "role": "user", "content": f"line {number}"} for number in range(11)]
    conversation = client.conversations.create(items=items)
    counts = []
    for limit in (1, 5, 11, 100):
        listed = client.conversations.items.list(conversation.id, limit=limit)
        counts.append(len({item.id for item in listed}))
    return counts


def errors(client: openai.OpenAI, url: str) -> dict[str, Any]:
    def failure(ask: Any) -> list[Any]:
        try:
            ask()
        except openai.APIStatusError as error:
            return [type(error).__name__, error.code, error.param, bool(error.request_id)]
        return []

    stranger = openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0)
    ask = client.responses.create
    return {
        "key": failure(lambda: stranger.models.list()),
        "model": failure(lambda: ask(model="nobody", input="hi")),
        "value": failure(lambda: ask(model="helper", input="hi", temperature=3)),
        "limit": failure(lambda: ask(model="helper", input="fail")),
        "stream": failure(lambda: list(ask(model="helper", input="fail", stream=True))),
        "chat stream": failure(
            lambda: list(
                client.chat.completions.create(
                    model="helper", messages=[{"role": "user", "content": "fail"}], stream=True
                )
            )
        ),
    }


def main(url: str, key: str) -> dict[str, Any]:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, _strict_response_validation=True)
    return {
        "version": openai.__version__,
        "chat": chat(client),
        "responses": responses(client),
        "pages": pages(client),
        "errors": errors(client, url),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
