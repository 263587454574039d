"""What a model call costs in each lane: CPU ms per whole answer and CPU µs per streamed chunk.

`python -m bench.provider_cpu [--calls 2000] [--profile LANE]`. The fake provider runs in its own process; counted is
the CPU time of this one, so the load of the machine matters little. The first row is aiohttp's client alone, which
reads the same bytes and looks at none. Lanes 2 and 3 are driven with OpenAI's wire too, so that all do the same work.
"""

import argparse
import asyncio
import cProfile
import pstats
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import uvloop

from gateway.items import Message, Text
from gateway.ports import ModelCall
from gateway.providers.router import ProviderRouter
from gateway.providers.settings import Limits, ProviderSettings

CHUNKS = 500
AT_ONCE = 16
LANES = ("openai", "transformed", "litellm")

Ask = Callable[[bool], Awaitable[object]]
"""One call; the argument says whether the answer is streamed, in `CHUNKS` pieces."""


def call(*, live: bool) -> ModelCall:
    text = f"[[{CHUNKS} x 0 ms]]" if live else "Hi."
    return ModelCall(
        models=("bench/gpt",), items=(Message(id="m", role="user", content=(Text(text=text),)),), live=live
    )


async def lane(stack: AsyncExitStack, name: str, url: str) -> Ask:
    given = {"name": "bench", "litellm_provider": "openai", "lane": name, "base_url": url, "api_key": "k"}
    settings = ProviderSettings.model_validate(given)
    router = await stack.enter_async_context(ProviderRouter([settings], Limits(), {}))

    async def ask(live: bool) -> None:
        async for _ in router.stream(call(live=live)):
            pass

    return ask


async def alone(stack: AsyncExitStack, url: str) -> Ask:
    session = await stack.enter_async_context(
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())
    )

    async def ask(live: bool) -> None:
        prompt = f"[[{CHUNKS} x 0 ms]]" if live else "Hi."
        body = '{"model":"gpt","messages":[{"role":"user","content":"%s"}],"stream":%s}'
        data = (body % (prompt, "true" if live else "false")).encode()
        async with session.post(f"{url}/chat/completions", data=data) as response:
            async for _ in response.content.iter_any():
                pass

    return ask


async def cost(ask: Ask, calls: int, *, live: bool) -> float:
    """CPU seconds a call, with `AT_ONCE` at a time."""

    async def worker(count: int) -> None:
        for _ in range(count):
            await ask(live)

    await worker(10)
    begun = time.process_time()
    await asyncio.gather(*(worker(calls // AT_ONCE) for _ in range(AT_ONCE)))
    return (time.process_time() - begun) / (calls // AT_ONCE * AT_ONCE)


async def upstream(stack: AsyncExitStack) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.upstream", str(port))
    stack.callback(process.terminate)
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return f"http://127.0.0.1:{port}/v1"


async def measure(calls: int, profile: str) -> None:
    async with AsyncExitStack() as stack:
        url = await upstream(stack)
        asks = {"aiohttp alone": await alone(stack, url)} | {name: await lane(stack, name, url) for name in LANES}
        if profile:
            await profiled(asks[profile], calls)
            return
        sys.stdout.write(f"{'lane':>14}  {'ms/call':>8}  {'µs/chunk':>8}\n")
        for name, ask in asks.items():
            count = calls // 10 if name == "litellm" else calls
            whole = await cost(ask, count, live=False)
            streamed = await cost(ask, max(count // 20, AT_ONCE), live=True)
            sys.stdout.write(f"{name:>14}  {whole * 1e3:8.3f}  {streamed / CHUNKS * 1e6:8.2f}\n")


async def profiled(ask: Ask, calls: int) -> None:
    for live in (False, True):
        await ask(live)
        with cProfile.Profile() as profile:
            await cost(ask, calls // 20 if live else calls, live=live)
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--profile", choices=("aiohttp alone", *LANES), default="")
    arguments = parser.parse_args()
    uvloop.run(measure(arguments.calls, arguments.profile))
