"""A provider made of bytes: an HTTP server on loopback that gives the answers it was told to, faults included.

Also reads recorded exchanges (VCR YAML). It knows nothing of the code under test.
"""

import asyncio
import contextlib
import json
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import yaml

MODEL_REQUEST = re.compile(
    r"(chat/completions|/responses|/v1/messages|:generateContent|:streamGenerateContent|/converse|/converse-stream)$"
)
NOT_REPLAYED = {"content-length", "transfer-encoding", "content-encoding", "connection", "content-type"}


@dataclass(frozen=True)
class Answer:
    """What the server says to one request.

    `piece` is the bytes a write; after `cut` bytes the connection breaks, after `end` the answer ends properly,
    after `stall` nothing more comes. `silent` says nothing at all. `close` ends the body with the connection.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    piece: int = 65536
    cut: int | None = None
    end: int | None = None
    stall: int | None = None
    silent: bool = False
    close: bool = False


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: Any
    raw: bytes = b""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client hung up before the answer was whole."""


class Upstream:
    """`async with Upstream(first, second) as upstream`: the answers in order, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[Request] = []
        self.asked = asyncio.Event()
        self.connections = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._clients: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while (request := await read_request(reader)) is not None:
                    self.requests.append(request)
                    self.asked.set()
                    answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                    if not await self._answer(answer, request, reader, writer):
                        break
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(
        self, answer: Answer, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection can be used again."""
        if answer.silent:
            await hang_up(reader, request)
            return False
        headers = {"content-type": answer.content_type, **answer.headers}
        headers |= {"connection": "close"} if answer.close else {"transfer-encoding": "chunked"}
        head = f"HTTP/1.1 {answer.status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(head.encode() + b"\r\n")
        body = answer.body[: min(n for n in (answer.cut, answer.end, answer.stall, len(answer.body)) if n is not None)]
        for start in range(0, len(body), answer.piece):
            piece = body[start : start + answer.piece]
            writer.write(piece if answer.close else b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        if answer.stall is not None:
            await hang_up(reader, request)
            return False
        if answer.cut is not None:
            writer.transport.abort()
            return False
        if not answer.close:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return not answer.close


async def hang_up(reader: asyncio.StreamReader, request: Request) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.read(1)
    request.gone.set()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    if not (line := await reader.readline()):
        return None
    headers: dict[str, str] = {}
    while (header := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = header.decode("latin1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    if "chunked" in headers.get("transfer-encoding", ""):
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    return Request(line.split(b" ")[1].decode(), headers, json.loads(body) if body else None, body)


@dataclass(frozen=True)
class Recording:
    """One recorded exchange with a model. `vendor` is whose wire it is, by its address; `responses` is
    OpenAI's newer one."""

    name: str
    vendor: str
    model: str
    answer: Answer


def recordings(root: Path) -> Iterator[Recording]:
    """Every recorded exchange whose wire is one that a lane speaks."""
    for path in sorted(root.glob("**/*.yaml")):
        document = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for number, exchange in enumerate(document["interactions"]):
            address = urllib.parse.urlsplit(exchange["request"]["uri"])
            target = urllib.parse.unquote(address.path)
            if exchange["request"]["method"] == "POST" and MODEL_REQUEST.search(target):
                name = f"{path.parent.parent.name}/{path.parent.name}/{path.stem}#{number}"
                model = (exchange["request"].get("parsed_body") or {}).get("model") or model_in(target)
                yield Recording(name, vendor_of(address.netloc, target), model, answer_of(exchange["response"]))


def model_in(path: str) -> str:
    found = re.search(r"/models?/([^/]+?)(?::\w+Content|/converse.*)$", path)
    return found.group(1) if found else "model"


def vendor_of(host: str, path: str) -> str:
    for part, vendor in (
        ("/responses", "responses"),
        ("bedrock-runtime", "bedrock"),
        ("generativelanguage", "gemini"),
        ("/v1/messages", "anthropic"),
        ("localhost:11434", "ollama"),
    ):
        if part in host + path:
            return vendor
    return next((name for name in ("groq", "mistral", "deepseek", "ollama") if name in host), "openai")


def answer_of(response: dict[str, Any]) -> Answer:
    headers = {name.lower(): one(value) for name, value in (response.get("headers") or {}).items()}
    if response.get("parsed_body") is not None:
        body = json.dumps(response["parsed_body"]).encode()
    else:
        body = (response.get("body") or {}).get("string") or b""
        body = body if isinstance(body, bytes) else body.encode()
    kept = {name: value for name, value in headers.items() if name not in NOT_REPLAYED and value.isascii()}
    answer = Answer(body, response["status"]["code"], headers.get("content-type", "application/json"), kept)
    return replace(answer, headers={name: value for name, value in kept.items() if "\n" not in value})


def one(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)
