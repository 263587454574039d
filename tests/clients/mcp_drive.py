"""Drives a gateway with an MCP server and the installed `openai`: `python mcp_drive.py URL KEY TOOL`. Prints JSON.

TOOL is the entry of `tools`, as JSON. Answers are validated strictly.
"""

import json
import sys
from typing import Any

import openai


def main(url: str, key: str, entry: str) -> dict[str, Any]:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, _strict_response_validation=True)
    tool = json.loads(entry)
    seen: dict[str, Any] = {"version": openai.__version__}
    done = client.responses.create(model="helper", input="Weather?", tools=[tool])
    seen["items"] = [item.type for item in done.output]
    seen["echo"] = [done.tools[0].server_label, done.tools[0].headers, done.tools[0].authorization]
    with client.responses.stream(model="helper", input="Weather?", tools=[tool]) as stream:
        seen["events"] = [event.type for event in stream if "mcp_list_tools" in event.type]
        seen["streamed"] = stream.get_final_response().output_text
    careful = {**tool, "require_approval": "always"}
    asked = client.responses.create(model="helper", input="Weather?", tools=[careful])
    yes = {"type": "mcp_approval_response", "approval_request_id": asked.output[-1].id, "approve": True}
    went_on = client.responses.create(model="helper", input=[yes], tools=[careful], previous_response_id=asked.id)
    seen["approved"] = [asked.output[-1].type, went_on.output[0].output, went_on.output_text]
    try:
        nowhere = {**tool, "server_url": "http://127.0.0.1:9/mcp"}
        client.responses.create(model="helper", input="Weather?", tools=[nowhere])
    except openai.APIStatusError as error:
        seen["error"] = [error.status_code, error.type, error.param]
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
