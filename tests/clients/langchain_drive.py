"""Drives a gateway with LangChain's ChatOpenAI, in an environment of its own: `python langchain_drive.py URL KEY`."""

import json
import sys
from typing import Any

import openai
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class City(BaseModel):
    """A city and its weather."""

    city: str
    degrees: int


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"cold in {city}"


def features(model: ChatOpenAI) -> dict[str, Any]:
    """What one of its two ways to ask gave, by feature."""
    answer = model.invoke("hi")
    seen: dict[str, Any] = {"text": answer.text, "usage": answer.usage_metadata["total_tokens"] > 0}
    seen["stream"] = "".join(chunk.text for chunk in model.stream("hi"))
    bound = model.bind_tools([weather])
    asked = HumanMessage("weather in both?")
    calls = bound.invoke([asked])
    results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in calls.tool_calls]
    seen["tool"] = [[call["name"] for call in calls.tool_calls], bound.invoke([asked, calls, *results]).text]
    whole = None
    for chunk in bound.stream([asked]):
        whole = chunk if whole is None else whole + chunk
    seen["tool stream"] = [call["args"] for call in whole.tool_calls]
    results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in whole.tool_calls]
    seen["tool stream answered"] = bound.invoke([asked, whole, *results]).text
    seen["history"] = model.invoke([HumanMessage("hi"), AIMessage("hello"), HumanMessage("what was before?")]).text
    seen["own history"] = model.invoke([HumanMessage("hi"), answer, HumanMessage("what was before?")]).text
    seen["typed"] = model.with_structured_output(City, method="json_schema").invoke("Oslo?").model_dump()
    seen["batch"] = [one.text for one in model.batch(["hi", "hi"])]
    try:
        model.invoke("fail")
    except openai.RateLimitError as error:
        seen["error"] = [error.status_code, error.code]
    return seen


def main(url: str, key: str) -> dict[str, Any]:
    shared: dict[str, Any] = {"model": "helper", "base_url": f"{url}/v1", "api_key": key, "max_retries": 0}
    seen: dict[str, Any] = {
        "chat": features(ChatOpenAI(**shared, stream_usage=True)),
        "responses": features(ChatOpenAI(**shared, use_responses_api=True, output_version="responses/v1")),
    }
    chained = ChatOpenAI(**shared, use_responses_api=True, use_previous_response_id=True)
    first = chained.invoke("hi")
    seen["previous response"] = chained.invoke([HumanMessage("hi"), first, HumanMessage("what was before?")]).text
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
