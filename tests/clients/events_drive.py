"""Checks what a WebSocket said, a JSON array from standard input, against the types of the `openai` that is installed
here. Prints the types of the events as JSON."""

import json
import sys

from openai.types.responses import ResponsesServerEvent
from pydantic import TypeAdapter

if __name__ == "__main__":
    read = TypeAdapter(ResponsesServerEvent)
    events = [read.validate_python(event, strict=True) for event in json.load(sys.stdin)]
    sys.stdout.write(json.dumps([event.type for event in events]) + "\n")
