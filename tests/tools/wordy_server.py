"""A tool server over stdio, written by hand, that can write more than anyone wants to read and hates to end."""

import json
import os
import signal
import sys
from typing import Any

TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("flood", "large", "pid", "stubborn")]


def result(request: dict[str, Any]) -> dict[str, Any]:
    if request["method"] == "initialize":
        info = {"name": "wordy", "version": "1"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
    if request["method"] == "tools/list":
        return {"tools": TOOLS}
    name, text = request["params"]["name"], str(os.getpid())
    while name == "flood":
        os.write(1, b"x" * 65_536)
    if name == "large":
        text = "é" * 2**20
    if name == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return {"content": [{"type": "text", "text": text}]}


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"jsonrpc": "2.0", "id": request.get("id")}
        if request["method"] in ("initialize", "tools/list", "tools/call"):
            send({**answer, "result": result(request)})
        elif "id" in request:
            send({**answer, "error": {"code": -32601, "message": "unknown method"}})
    while signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.pause()


if __name__ == "__main__":
    main()
