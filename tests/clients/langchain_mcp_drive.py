"""Drives a gateway with LangChain and an MCP server: `python langchain_mcp_drive.py URL KEY TOOL`. Prints JSON."""

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI


def main(url: str, key: str, entry: str) -> dict[str, Any]:
    model = ChatOpenAI(
        model="helper",
        base_url=f"{url}/v1",
        api_key=key,
        max_retries=0,
        use_responses_api=True,
        output_version="responses/v1",
    )
    bound = model.bind_tools([json.loads(entry)])
    asked = HumanMessage("Weather?")
    first = bound.invoke([asked])
    seen: dict[str, Any] = {"text": first.text, "parts": [part["type"] for part in first.content]}
    seen["history"] = bound.invoke([asked, first, HumanMessage("Weather?")]).text
    seen["stream"] = "".join(chunk.text for chunk in bound.stream("Weather?"))
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
