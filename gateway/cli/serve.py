"""`homeport serve`: the gateway until it is told to stop, and what a person needs to use it."""

import asyncio
import errno
import gc
import logging
import os
import resource
import shlex
import sys

import uvloop
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.panel import Panel

from gateway.agents.load import load_agents
from gateway.app import build_app
from gateway.cli.address import is_homeport, published, published_in, url_of
from gateway.cli.keys import local_key
from gateway.cli.needs import mute
from gateway.errors import GatewayError
from gateway.http_server import Limits, most_connections, server
from gateway.memory import STRATEGIES
from gateway.settings import Settings

console = Console(highlight=False)

OPEN_FILES = 65_536
"""As many as connections need; the system lets a process have them, but does not give them unasked."""


def run(settings: Settings, *, show_key: bool = False) -> None:
    """Serve until SIGINT or SIGTERM. Raises what the settings, the store or the address make impossible.

    The key is shown in a terminal, and with `show_key` everywhere.
    """
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(message)s",
        datefmt="%X",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False, rich_tracebacks=False)],
    )
    for noisy in ("mcp", "httpx", "httpx2", "httpcore", "httpcore2", "LiteLLM"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    raise_open_files()
    key = local_key(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, key, show_key or sys.stdout.isatty()))


def raise_open_files() -> None:
    """As far as the system allows. Its default of 1024 is from a time when programs counted on it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


async def _serve(settings: Settings, key: str, show_key: bool) -> None:
    limits = Limits(connections=settings.max_connections or most_connections())
    uvicorn = server(build_app(settings), host=settings.host, port=settings.port, log_level="warning", limits=limits)
    serving = asyncio.create_task(uvicorn.serve())
    await uvicorn.ready.wait()
    # What the start made stays: without it a full collection takes 1 ms, with it 80, and nobody is answered meanwhile.
    gc.freeze()
    # A stored turn leaves objects in the caches. Looked through by the million, they stopped every stream for 0.3 s;
    # by 20 000, it is 15 ms. A full collection stays as rare as one in 50 million objects.
    gc.set_threshold(2_000, 10, 2_500)
    if not uvicorn.started:
        await serving
        raise await refusal(settings, uvicorn.refused)
    base = url_of(settings.host, uvicorn.port)
    with published(settings.data, base):
        welcome(settings, key if show_key else "", f"{base}/v1")
        await serving


async def refusal(settings: Settings, refused: OSError | None) -> GatewayError:
    """What to do about a start that failed, for whatever reason the log has already said."""
    if refused is None:
        here = published_in(settings.data)
        return GatewayError(
            f"The gateway of {settings.data} is already at {here}/v1; `homeport chat` finds it there."
            if here
            else "The gateway was not started."
        )
    place = f"port {settings.port} of {settings.host}"
    if refused.errno != errno.EADDRINUSE:
        return GatewayError(f"Homeport cannot listen at {place}: {os.strerror(refused.errno or 0)}.")
    url = url_of(settings.host, settings.port)
    ours = await asyncio.to_thread(is_homeport, url)
    who = f"another Homeport listens at {url}" if ours else "another program has it"
    return GatewayError(
        f"{place[0].upper()}{place[1:]} is in use: {who}. "
        f"Take another: `homeport serve --port {settings.port % 65535 + 1}`, or `--port 0` for any that is free."
    )


def welcome(settings: Settings, key: str, base: str) -> None:
    """The address, a key, and two lines to copy. Without `key` they say where it is: what is kept has no key in it."""
    path = settings.local_key_path.absolute()
    shown, in_shell, in_python = (
        (key, key, f'"{key}"')
        if key
        else (f"in {path}", f"$(cat {shlex.quote(str(path))})", f"open({str(path)!r}).read().strip()")
    )
    agents = load_agents(settings.agents, settings.environment, memories=STRATEGIES)
    names = sorted(agents.specs)
    model = names[0] if "support-copilot" not in names and names else "support-copilot"
    console.print(
        Panel.fit(
            f"[bold]Homeport[/] is at [bold cyan]{base}[/]\nkey     {shown}\nagents  {', '.join(names) or 'none'}"
        )
    )
    for problem in (problem for error in agents.errors.values() for problem in error.problems):
        console.print(f"[yellow]warning:[/] {escape(str(problem))}", soft_wrap=True)
    waiting: dict[str, list[str]] = {}
    for name in names:
        if why := mute(settings, agents.specs[name]):
            waiting.setdefault(why, []).append(name)
    for why, who in waiting.items():
        console.print(f"[yellow]{escape(', '.join(who))} cannot answer yet:[/] {escape(why)}", soft_wrap=True)
    body = f'{{"model": "{model}", "input": "What is Homeport?"}}'
    headers = f"-H \"Authorization: Bearer {in_shell}\" -H 'Content-Type: application/json'"
    console.print("\n[bold]curl[/]")
    console.print(
        f"curl {base}/responses {headers} -d '{body}'",
        soft_wrap=True,
        markup=False,
    )
    console.print("\n[bold]Python[/]")
    console.print(
        f'from openai import OpenAI; client = OpenAI(base_url="{base}", api_key={in_python}); '
        f'print(client.responses.create(model="{model}", input="What is Homeport?").output_text)',
        soft_wrap=True,
        markup=False,
    )
    console.print("\nStop it with Ctrl-C.", style="dim")
