"""A tool server of the older protocol (2025-06-18), written by hand: no SDK, no discovery, one line a message."""

import json
import sys
from typing import Any


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def main() -> None:
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("end", "grow")]
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"id": request.get("id")}
        match request["method"]:
            case "initialize":
                info = {"name": "legacy", "version": "1"}
                result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
                send({**answer, "result": result})
            case "tools/list":
                send({**answer, "result": {"tools": tools}})
            case "tools/call" if request["params"]["name"] == "end":
                send({**answer, "result": {"content": []}})
                return
            case "tools/call":
                tools.append({"name": "grown", "inputSchema": {"type": "object"}})
                send({"method": "notifications/tools/list_changed"})
                send({**answer, "result": {"content": [{"type": "text", "text": "grown"}]}})
            case method if "id" in request:
                send({**answer, "error": {"code": -32601, "message": f"unknown method {method}"}})
            case _:
                pass


if __name__ == "__main__":
    main()
