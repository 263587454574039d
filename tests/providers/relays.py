"""What tests of the relay ask, what a vendor answers, and how its answer is read."""

import json
import re

from gateway.providers.settings import Limits
from tests.providers.replay import Answer

USER = {"role": "user", "content": "Hi."}
ASK = {"model": "x/m", "messages": [USER]}
STREAM = {**ASK, "stream": True}
PATIENT = Limits(first_token=20, idle=20, total=20, retries=0)
WHOLE = b'{ "id":"v1",\n"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"odd":1.0}'
SSE = (
    b": thinking\r\n\r\n"
    b'data: {"id":"v1","choices":[{"delta":{"content":"He"},"finish_reason":null}],"odd":[1e0]}\n\n'
    b'event: more\ndata: {"choices":[{"delta":{"content":"\\"finish_reason\\":\\"x\\" \\"error\\""}}]}\r\n\r\n'
    b'data: {"id":"v1","choices":[{"delta":{},"finish_reason" : "stop"}],"error":null}\n\n'
    b'data: {"id":"v1","choices":[],"usage":{"odd":1}}\n\n'
    b"data: [DONE]\n\n"
)
FIRST = SSE.index(b"data: ")
"""Where the stream begins to say something."""
ENDS = SSE.index(b'data: {"id":"v1","choices":[{"delta":{},')
"""Where it begins to end."""


def whole(body=WHOLE, status=200, **headers):
    return Answer(body, status, "application/json", {name.replace("_", "-"): value for name, value in headers.items()})


def refusal(status, code="", **headers):
    return whole(json.dumps({"error": {"message": "no sk-secret-1", "code": code}}).encode(), status, **headers)


async def ask(http, body=ASK):
    return await http.post("/v1/chat/completions", json=body)


def said(answer):
    """The bytes of a stream from its first data on: a comment before that may come or not."""
    return answer.content.removeprefix(SSE[:FIRST])


def chunks(answer):
    """The data of a stream, every one of which is JSON."""
    frames = [data for data in said(answer).replace(b"\r", b"").split(b"\n\n") if data and data != b"data: [DONE]"]
    return [json.loads(re.sub(rb"^(event: .*\n)?data: ", b"", frame)) for frame in frames]


def error_of(answer):
    """The error at the end of a stream, which has no [DONE]."""
    assert b"[DONE]" not in answer.content
    error = chunks(answer)[-1]["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    return error


def refused(answer):
    """The field that a request was refused for."""
    error = answer.json()["error"]
    assert (answer.status_code, error.keys()) == (400, {"message", "type", "param", "code"})
    assert error["type"] == "invalid_request_error"
    return error["param"]
