"""`homeport chat`: a client of the Responses API like any other, in the terminal."""

import asyncio
import difflib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import aiohttp
import orjson
from rich.console import Console
from rich.markup import escape

from gateway.apis._approval_text import legible
from gateway.app import build_app
from gateway.cli.address import is_homeport, published_in, url_of
from gateway.cli.keys import local_key
from gateway.errors import GatewayError, NotFound
from gateway.http_server import server
from gateway.settings import Settings

console = Console(highlight=False)
Event = dict[str, Any]


def run(settings: Settings, agent: str, message: str | None, url: str | None, key: str | None) -> None:
    """Talk to the gateway at `url`, else to the one of this data folder, else to one started for this chat."""
    logging.basicConfig(level=logging.ERROR)
    try:
        asyncio.run(_chat(settings, agent, message, url, key))
    except aiohttp.ClientError as error:
        raise GatewayError(f"The gateway could not be reached: {error}. Start one with `homeport serve`.") from None


async def _chat(settings: Settings, agent: str, message: str | None, url: str | None, key: str | None) -> None:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_connect=5)))
        if url is not None:
            # As the gateway says it, and as OpenAI's clients are given it.
            url = url.rstrip("/").removesuffix("/v1")
        else:
            url = await running(settings, key) or await stack.enter_async_context(own_gateway(settings))
        session.headers["authorization"] = f"Bearer {key or local_key(settings)}"
        await known(session, url, agent)
        conversation = await post(session, f"{url}/v1/conversations", {})
        if message is None:
            console.print(f"Talking to [bold]{escape(agent)}[/]. An empty line or Ctrl-D ends it.", style="dim")
        while text := message or await ask():
            body = {"model": agent, "conversation": conversation["id"], "stream": True}
            await exchange(session, f"{url}/v1/responses", body, text)
            if message is not None:
                return


async def known(session: aiohttp.ClientSession, url: str, agent: str) -> None:
    """Raises NotFound with the names that are near."""
    async with session.get(f"{url}/v1/models/{quote(agent, safe='')}") as answer:
        if answer.status != HTTPStatus.NOT_FOUND:
            return await complain(answer)
    async with session.get(f"{url}/v1/models") as answer:
        await complain(answer)
        here: list[str] = [one["id"] for one in (await answer.json())["data"]]
    near = difflib.get_close_matches(agent.lower(), here, n=3, cutoff=0.5)
    instead = f"Did you mean {' or '.join(near)}?" if near else f"Here are: {', '.join(here) or 'none'}."
    raise NotFound(f"There is no agent named {agent!r} at {url}. {instead}")


async def exchange(session: aiohttp.ClientSession, url: str, body: Event, text: str) -> None:
    """One question and what follows: as often as the agent asks for approval, the person is asked."""
    given: str | list[Event] = text
    while given:
        asked = await show(events(session, url, {**body, "input": given}))
        given = [await decided(request) for request in asked]


async def decided(request: Event) -> Event:
    """The person's answer. Anything but a yes is a no."""
    name = escape(f"{request['server_label']}.{request['name']}")
    console.print(f"The agent wants to call [bold]{name}[/] with")
    console.print(legible(request["arguments"]), markup=False, soft_wrap=True)
    said = (await ask("[bold yellow]Allow this call? (y/n)[/] ")).lower()
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"]}
    return {**answer, "approve": said in ("y", "yes")}


async def ask(prompt: str = "[bold cyan]you >[/] ") -> str:
    try:
        return (await asyncio.to_thread(console.input, prompt)).strip()
    except EOFError:
        return ""


async def running(settings: Settings, key: str | None) -> str:
    """Where the gateway of this data folder listens; for who brings a key, also one at the address of the settings.

    Empty if there is none. This machine's own key goes to nobody else: its own gateway alone knows it.
    """
    if url := published_in(settings.data):
        if not await asyncio.to_thread(is_homeport, url):
            raise GatewayError(f"The gateway of {settings.data} should be at {url}, and does not answer there.")
        return url
    url = url_of(settings.host, settings.port)
    return url if key and await asyncio.to_thread(is_homeport, url) else ""


@asynccontextmanager
async def own_gateway(settings: Settings) -> AsyncGenerator[str]:
    """A gateway for this chat alone, on a free port of loopback."""
    console.print("No gateway is running here; starting one for this chat.", style="dim")
    uvicorn = server(build_app(settings), host="127.0.0.1", port=0, log_level="warning")
    serving = asyncio.create_task(uvicorn.serve())
    await uvicorn.ready.wait()
    if not uvicorn.started:
        raise GatewayError("The gateway could not be started; `homeport serve` says why.")
    try:
        yield f"http://127.0.0.1:{uvicorn.port}"
    finally:
        uvicorn.should_exit = True
        await serving


async def post(session: aiohttp.ClientSession, url: str, body: Event) -> Event:
    async with session.post(url, json=body) as answer:
        await complain(answer)
        return cast("Event", await answer.json())


async def complain(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 400:
        body = orjson.loads(await answer.read())
        raise GatewayError(body["error"]["message"])


async def events(session: aiohttp.ClientSession, url: str, body: Event) -> AsyncIterator[Event]:
    async with session.post(url, json=body, read_bufsize=2**20) as answer:
        await complain(answer)
        async for line in answer.content:
            if line.startswith(b"data: {"):
                yield cast("Event", orjson.loads(line[6:]))


async def show(stream: AsyncIterator[Event]) -> list[Event]:
    """Text as it comes; a tool call as a line when it starts and another when it is answered. What is to be approved
    is returned."""
    asked: list[Event] = []
    with console.status("thinking …") as status:
        async for event in stream:
            match event:
                case {"type": "response.output_text.delta", "delta": delta}:
                    status.stop()
                    console.print(delta, end="", markup=False, soft_wrap=True)
                case {"type": "response.mcp_call_arguments.done", "arguments": arguments}:
                    status.update(f"running a tool {escape(arguments)[:60]} …")
                case {"type": "response.output_item.done", "item": {"type": "mcp_call"} as item}:
                    console.print(tool_line(item), soft_wrap=True)
                    status.start()
                case {"type": "response.output_item.done", "item": {"type": "mcp_approval_request"} as item}:
                    asked.append(cast("Event", item))
                case {"type": "response.failed", "response": {"error": {"message": reason}}}:
                    status.stop()
                    console.print(f"\n[bold red]failed:[/] {escape(reason)}", soft_wrap=True)
                case _:
                    pass
    console.print()
    return asked


def tool_line(item: Event) -> str:
    name = escape(f"{item['server_label']}.{item['name']}")
    said = escape(" ".join(str(item.get("output") or "").split())[:160])
    mark = "[red]✗[/]" if item["status"] == "failed" else "[green]✓[/]"
    return f"{mark} [bold]{name}[/] [dim]{escape(item['arguments'])[:120]} → {said}[/]"
