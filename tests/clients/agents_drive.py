"""Drives a gateway with openai-agents, in an environment of its own: `python agents_drive.py URL KEY`. Prints JSON."""

import asyncio
import json
import sys
from typing import Any

import openai
from agents import (
    Agent,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from pydantic import BaseModel


class City(BaseModel):
    city: str
    degrees: int


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"cold in {city}"


@function_tool
def fail(city: str) -> str:
    """A tool that breaks."""
    raise ValueError(f"no weather for {city}")


async def features(model: Model) -> dict[str, Any]:
    """What one of its two ways to ask gave, by feature."""
    helper = Agent(name="helper", instructions="Help.", model=model)
    seen: dict[str, Any] = {"text": (await Runner.run(helper, "hi")).final_output}
    stream = Runner.run_streamed(helper, "hi")
    kinds = [event.type async for event in stream.stream_events()]
    seen["stream"] = [stream.final_output, "raw_response_event" in kinds]
    reporter = Agent(name="reporter", model=model, tools=[weather])
    seen["tool"] = (await Runner.run(reporter, "weather in both?")).final_output
    stream = Runner.run_streamed(reporter, "weather?")
    items = [event.item.type async for event in stream.stream_events() if event.type == "run_item_stream_event"]
    seen["tool stream"] = [items, stream.final_output]
    first = await Runner.run(helper, "hi")
    history = [*first.to_input_list(), {"role": "user", "content": "what was before?"}]
    seen["history"] = (await Runner.run(helper, history)).final_output
    typed = Agent(name="typed", model=model, output_type=City)
    seen["typed"] = (await Runner.run(typed, "Oslo?")).final_output.model_dump()
    clerk = Agent(name="clerk", model=model, tools=[fail])
    seen["broken tool"] = (await Runner.run(clerk, "weather?")).final_output
    expert = Agent(name="expert", model=model)
    front = Agent(name="front", model=model, handoffs=[expert])
    handed = await Runner.run(front, "weather?")
    seen["handoff"] = [handed.last_agent.name, handed.final_output]
    try:
        await Runner.run(helper, "fail")
    except openai.RateLimitError as error:
        seen["error"] = [error.status_code, error.code]
    return seen


async def main(url: str, key: str) -> dict[str, Any]:
    set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, _strict_response_validation=True)
    seen: dict[str, Any] = {
        "responses": await features(OpenAIResponsesModel("helper", client)),
        "chat": await features(OpenAIChatCompletionsModel("helper", client)),
    }
    helper = Agent(name="helper", model=OpenAIResponsesModel("helper", client))
    first = await Runner.run(helper, "hi")
    quiet = RunConfig(tracing_disabled=True)
    second = await Runner.run(helper, "what was before?", previous_response_id=first.last_response_id, run_config=quiet)
    seen["previous response"] = second.final_output
    conversation = await client.conversations.create()
    await Runner.run(helper, "hi", conversation_id=conversation.id)
    seen["conversation"] = (await Runner.run(helper, "what was before?", conversation_id=conversation.id)).final_output
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))) + "\n")
