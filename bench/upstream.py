"""A fake model provider that costs next to nothing: OpenAI's chat completions, as JSON and as a stream.

`python -m bench.upstream PORT`. What it answers is said in the prompt, so that it reaches it through any gateway:

    [[200 x 0 ms]]               a streamed answer has 200 tokens, written one at a time as fast as they go
    [[100 x 20 ms]]              100 tokens, 20 ms apart; each is the time at which it left (CLOCK_MONOTONIC, in ns)
    [[call clock__now 2 times]]  first two steps with a tool call each, then the answer

Not a test double: it reads no JSON and does not check requests. Tests have `tests/upstream.py`.
"""

import asyncio
import re
import sys
import time
from typing import cast

import uvloop

TEXT = "The quick brown fox jumps over the lazy dog. " * 8
TOKEN = "t~"
"""Every streamed token begins with a space and this, which no prompt contains."""

_PACE = re.compile(rb"\[\[(\d+) x (\d+) ms\]\]")
_CALLS = re.compile(rb"\[\[call ([\w.-]+) (\d+) times\]\]")
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_USAGE = re.compile(rb'"include_usage"\s*:\s*true')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_TOOL_RESULT = re.compile(rb'"role"\s*:\s*"tool"')

_ABOUT = '"id":"chatcmpl-bench","created":1760000000,"model":"gpt","system_fingerprint":"fp_bench"'
_TOKENS = '"usage":{"prompt_tokens":120,"completion_tokens":80,"total_tokens":200}'
_CALL = '{"id":"call_%d","type":"function","function":{"name":"%s","arguments":"{}"}}'
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_bench\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)


def _response(body: str, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()


def _completion(message: str, finish: str) -> bytes:
    choice = f'{{"index":0,"message":{{"role":"assistant",{message}}},"logprobs":null,"finish_reason":"{finish}"}}'
    return _response(f'{{{_ABOUT},"object":"chat.completion","choices":[{choice}],{_TOKENS}}}')


def _chunk(data: str) -> bytes:
    frame = f"data: {data}\n\n"
    return f"{len(frame):x}\r\n{frame}\r\n".encode()


def _delta(delta: str, finish: str = "null") -> bytes:
    choice = f'{{"index":0,"delta":{{{delta}}},"logprobs":null,"finish_reason":{finish}}}'
    return _chunk(f'{{{_ABOUT},"object":"chat.completion.chunk","choices":[{choice}]}}')


_ANSWER = _completion(f'"content":"{TEXT}"', "stop")
_OPENING = _delta('"role":"assistant","content":""')
_BURST = [_delta(f'"content":" {TOKEN}{index:04d}"') for index in range(1000)]
_USAGE_CHUNK = _chunk(f'{{{_ABOUT},"object":"chat.completion.chunk","choices":[],{_TOKENS}}}')
_END = _chunk("[DONE]") + b"0\r\n\r\n"
_OK, _NOT_FOUND, _LENGTH_REQUIRED = (
    _response('{"status":"ok"}'),
    _response('{"error":{"message":"not found"}}', "404 Not Found"),
    _response('{"error":{"message":"length required"}}', "411 Length Required"),
)


class _Connection(asyncio.Protocol):
    """One keep-alive connection; one answer at a time, in order."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.buffer = b""
        self.busy = False
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self._next()

    def _next(self) -> None:
        while not self.busy and (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = _LENGTH.search(head)
            if length is None and head.startswith(b"POST"):
                self.transport.write(_LENGTH_REQUIRED)
                self.transport.close()
                return
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < stop:
                return
            body, self.buffer = self.buffer[end + 4 : stop], self.buffer[stop:]
            if head.startswith(b"GET"):
                self.transport.write(_OK)
            elif b"/chat/completions " in head:
                self._answer(body)
            else:
                self.transport.write(_NOT_FOUND)

    def _answer(self, body: bytes) -> None:
        streamed = _STREAM.search(body) is not None
        calls = _CALLS.search(body)
        done = len(_TOOL_RESULT.findall(body)) if calls else 0
        if calls and done < int(calls[2]):
            call = _CALL % (done, calls[1].decode())
            if streamed:
                call = f'"tool_calls":[{{"index":0,{call[1:]}]'
                self.transport.write(_STREAM_HEAD + _OPENING + _delta(call) + _delta("", '"tool_calls"'))
                self._finish(body, finish=b"")
            else:
                self.transport.write(_completion(f'"content":null,"tool_calls":[{call}]', "tool_calls"))
        elif streamed:
            pace = _PACE.search(body)
            count, every = (int(pace[1]), int(pace[2]) / 1000) if pace else (16, 0.0)
            self.busy = True
            self.transport.write(_STREAM_HEAD + _OPENING)
            self._token(body, 0, count, every, self.loop.time() + every)
        else:
            self.transport.write(_ANSWER)

    def _token(self, body: bytes, index: int, count: int, every: float, due: float) -> None:
        if self.transport.is_closing():
            return
        if index == count:
            self._finish(body, _delta("", '"stop"'))
        elif every:
            # The first is due at once, so that time to first token is the gateway's own.
            self.transport.write(_delta(f'"content":" {TOKEN}{time.monotonic_ns()}"'))
            self.loop.call_at(due, self._token, body, index + 1, count, every, due + every)
        else:
            self.transport.write(_BURST[index % len(_BURST)])
            self.loop.call_soon(self._token, body, index + 1, count, every, due)

    def _finish(self, body: bytes, finish: bytes) -> None:
        usage = _USAGE_CHUNK if _USAGE.search(body) else b""
        self.transport.write(finish + usage + _END)
        self.busy = False
        self._next()


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
