"""Drives a gateway with openai-agents' `HostedMCPTool`: `python agents_mcp_drive.py URL KEY TOOL`. Prints JSON."""

import asyncio
import json
import sys
from typing import Any

import openai
from agents import Agent, HostedMCPTool, OpenAIResponsesModel, Runner, set_tracing_disabled


async def main(url: str, key: str, entry: str) -> dict[str, Any]:
    set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, _strict_response_validation=True)
    model, config = OpenAIResponsesModel("helper", client), json.loads(entry)
    free = Agent(name="free", model=model, tools=[HostedMCPTool(tool_config=config)])
    seen: dict[str, Any] = {"free": (await Runner.run(free, "Weather?")).final_output}
    asked: list[str] = []

    def allow(request: Any) -> Any:
        asked.append(request.data.name)
        return {"approve": True}

    hosted = HostedMCPTool(tool_config={**config, "require_approval": "always"}, on_approval_request=allow)
    careful = Agent(name="careful", model=model, tools=[hosted])
    seen["asked"] = [(await Runner.run(careful, "Weather?")).final_output, asked]
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))) + "\n")
