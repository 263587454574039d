"""A fake model provider that costs next to nothing: OpenAI's chat completions and Responses, as JSON and as a stream.

`python -m bench.upstream PORT`. What it answers is said in the prompt, so that it reaches it through any gateway:

    [[200 x 0 ms]]               a streamed answer has 200 tokens, written one at a time as fast as they go
    [[100 x 20 ms]]              100 tokens, 20 ms apart; each is the time at which it left (CLOCK_MONOTONIC, in ns)
    [[call clock__now 2 times]]  first two steps with a tool call each, then the answer; not of Responses

Not a test double: it reads no JSON and does not check requests. Tests have `tests/upstream.py`.
"""

import asyncio
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


def _event(kind: str, fields: str, number: int = 0) -> bytes:
    """One event of a response's stream."""
    frame = f'event: response.{kind}\ndata: {{"type":"response.{kind}","sequence_number":{number},{fields}}}\n\n'
    return f"{len(frame):x}\r\n{frame}\r\n".encode()


def _told(status: str, output: str) -> str:
    """A response as OpenAI tells it, with the settings that it was asked with."""
    usage = (
        '{"input_tokens":120,"input_tokens_details":{"cached_tokens":0},"output_tokens":80,'
        '"output_tokens_details":{"reasoning_tokens":0},"total_tokens":200}'
    )
    return (
        f'{{"id":"resp_bench","object":"response","created_at":1760000000,"status":"{status}","background":false,'
        '"error":null,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":"gpt",'
        f'"output":[{output}],"parallel_tool_calls":true,"previous_response_id":null,'
        '"reasoning":{"effort":null,"summary":null},"service_tier":"default","store":false,"temperature":1.0,'
        '"text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],"top_logprobs":0,'
        f'"top_p":1.0,"truncation":"disabled","usage":{usage if output else "null"},"user":null,"metadata":{{}}}}'
    )


def _item(status: str, content: str) -> str:
    return f'{{"id":"msg_bench","type":"message","status":"{status}","content":[{content}],"role":"assistant"}}'


def _part(text: str) -> str:
    return f'{{"type":"output_text","annotations":[],"logprobs":[],"text":"{text}"}}'


_AT = '"item_id":"msg_bench","output_index":0,"content_index":0'


def _text_delta(text: str, number: int = 0) -> bytes:
    return _event("output_text.delta", f'{_AT},"delta":"{text}","logprobs":[]', number)


_SAID = _item("completed", _part(TEXT))
_WHOLE = _response(_told("completed", _SAID))
_BEGUN = (
    _event("created", f'"response":{_told("in_progress", "")}', 0)
    + _event("in_progress", f'"response":{_told("in_progress", "")}', 1)
    + _event("output_item.added", f'"output_index":0,"item":{_item("in_progress", "")}', 2)
    + _event("content_part.added", f'{_AT},"part":{_part("")}', 3)
)
_TEXT_BURST = [_text_delta(f" {TOKEN}{index:04d}", 4 + index) for index in range(1000)]
_DONE = (
    _event("output_text.done", f'{_AT},"logprobs":[],"text":"{TEXT}"', 1004)
    + _event("content_part.done", f'{_AT},"part":{_part(TEXT)}', 1005)
    + _event("output_item.done", f'"output_index":0,"item":{_SAID}', 1006)
    + _event("completed", f'"response":{_told("completed", _SAID)}', 1007)
    + b"0\r\n\r\n"
)
_OK, _NOT_FOUND, _LENGTH_REQUIRED = (
    _response('{"status":"ok"}'),
    _response('{"error":{"message":"not found"}}', "404 Not Found"),
    _response('{"error":{"message":"length required"}}', "411 Length Required"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wire:
    """How an answer is said: whole, or its beginning, its tokens (`burst` are ready made), and its end."""

    answer: bytes
    opening: bytes
    burst: Sequence[bytes]
    delta: Callable[[str], bytes]
    ending: Callable[[bytes], bytes]


def _chat_ending(body: bytes, finish: bytes) -> bytes:
    return finish + (_USAGE_CHUNK if _USAGE.search(body) else b"") + _END


_CHAT = _Wire(
    answer=_ANSWER,
    opening=_OPENING,
    burst=_BURST,
    delta=lambda text: _delta(f'"content":"{text}"'),
    ending=lambda body: _chat_ending(body, _delta("", '"stop"')),
)
_RESPONSES = _Wire(answer=_WHOLE, opening=_BEGUN, burst=_TEXT_BURST, delta=_text_delta, ending=lambda body: _DONE)


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
                self._answer_chat(body)
            elif b"/responses " in head:
                self._answer(_RESPONSES, body)
            else:
                self.transport.write(_NOT_FOUND)

    def _answer_chat(self, body: bytes) -> None:
        calls = _CALLS.search(body)
        done = len(_TOOL_RESULT.findall(body)) if calls else 0
        if calls is None or done >= int(calls[2]):
            self._answer(_CHAT, body)
            return
        call = _CALL % (done, calls[1].decode())
        if _STREAM.search(body):
            call = f'"tool_calls":[{{"index":0,{call[1:]}]'
            said = _STREAM_HEAD + _OPENING + _delta(call) + _delta("", '"tool_calls"')
            self.transport.write(said + _chat_ending(body, b""))
        else:
            self.transport.write(_completion(f'"content":null,"tool_calls":[{call}]', "tool_calls"))

    def _answer(self, wire: _Wire, body: bytes) -> None:
        if _STREAM.search(body):
            pace = _PACE.search(body)
            count, every = (int(pace[1]), int(pace[2]) / 1000) if pace else (16, 0.0)
            self.busy = True
            self.transport.write(_STREAM_HEAD + wire.opening)
            self._token(wire, body, 0, count, every, self.loop.time() + every)
        else:
            self.transport.write(wire.answer)

    def _token(self, wire: _Wire, body: bytes, index: int, count: int, every: float, due: float) -> None:
        if self.transport.is_closing():
            return
        if index == count:
            self.transport.write(wire.ending(body))
            self.busy = False
            self._next()
        elif every:
            # The first is due at once, so that time to first token is the gateway's own.
            self.transport.write(wire.delta(f" {TOKEN}{time.monotonic_ns()}"))
            self.loop.call_at(due, self._token, wire, body, index + 1, count, every, due + every)
        else:
            self.transport.write(wire.burst[index % len(wire.burst)])
            self.loop.call_soon(self._token, wire, body, index + 1, count, every, due)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
