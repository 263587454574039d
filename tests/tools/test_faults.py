"""A tool server that fails harms neither the run nor the other servers."""

import asyncio
import os
import re
import signal
import socket
import sys
from pathlib import Path

import anyio
import pytest

from gateway.items import ToolResult
from gateway.tools.settings import ServerSettings
from tests.tools.conftest import IN_PROCESS, SERVER, HttpServer, OpenBench, until

pytestmark = pytest.mark.anyio


async def test_killing_a_command_in_the_middle_of_a_call_makes_its_outcome_unknown(
    bench: OpenBench, tmp_path: Path
) -> None:
    mortal = ServerSettings(command=(sys.executable, SERVER, str(tmp_path)))
    async with bench({"mortal": mortal, "good": IN_PROCESS}, "mortal.*", "good.echo") as b:
        process = int((await b.call("mortal__pid")).text)
        results: list[ToolResult] = []

        async def fire() -> None:
            results.append(await b.call("mortal__fire"))

        async with anyio.create_task_group() as group:
            group.start_soon(fire)
            await until((tmp_path / "waiting").exists)
            os.kill(process, signal.SIGKILL)
        assert results[0].is_error
        assert "outcome is unknown" in results[0].text
        assert (await b.call("good__echo", text="x")).text == "low: x"
        reborn = await b.call("mortal__pid")
        assert not reborn.is_error
        assert int(reborn.text) != process
        assert "mortal__echo" in await b.offered()


async def test_a_command_that_died_between_calls_is_started_again_and_nothing_is_lost(
    bench: OpenBench,
) -> None:
    async with bench({"mortal": ServerSettings(command=(sys.executable, SERVER))}, "mortal.*") as b:
        process = int((await b.call("mortal__pid")).text)
        os.kill(process, signal.SIGKILL)
        await until(lambda: b.state("mortal") != "ready")
        reborn = await b.call("mortal__pid")
        assert not reborn.is_error
        assert int(reborn.text) != process


async def test_a_read_only_call_that_broke_off_may_be_repeated(bench: OpenBench, tmp_path: Path) -> None:
    mortal = ServerSettings(command=(sys.executable, SERVER, str(tmp_path)))
    async with bench({"mortal": mortal}, "mortal.*") as b:
        process = int((await b.call("mortal__pid")).text)
        results: list[ToolResult] = []

        async def wait() -> None:
            results.append(await b.call("mortal__wait"))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await until((tmp_path / "waiting").exists)
            os.kill(process, signal.SIGKILL)
        assert results[0].is_error
        assert "safe to call it again" in results[0].text


async def test_an_http_server_that_goes_down_and_comes_back(bench: OpenBench, http_server: HttpServer) -> None:
    async with bench({"web": http_server.settings, "good": IN_PROCESS}, "web.echo", "good.echo") as b:
        assert (await b.call("web__echo", text="x")).text == "low: x"
        http_server.kill()
        down = await b.call("web__echo", text="x")
        assert down.is_error
        assert "tool server 'web'" in down.text
        await until(lambda: b.state("web") == "down")
        assert "ConnectError" in b.error("web")
        kept = dict(b.specs)
        assert await b.offered() == ["good__echo"]
        http_server.start()
        await until(lambda: b.state("web") == "ready")
        b.specs = kept
        assert (await b.call("web__echo", text="x")).text == "low: x"
        assert await b.offered() == ["good__echo", "web__echo"]


async def test_killing_an_http_server_in_the_middle_of_a_call_makes_its_outcome_unknown(
    bench: OpenBench, http_server: HttpServer, tmp_path: Path
) -> None:
    async with bench({"web": http_server.settings}, "web.*") as b:
        results: list[ToolResult] = []

        async def fire() -> None:
            results.append(await b.call("web__fire"))

        async with anyio.create_task_group() as group:
            group.start_soon(fire)
            await until((tmp_path / "waiting").exists)
            http_server.kill()
        assert results[0].is_error
        assert "outcome is unknown" in results[0].text


async def test_a_call_that_takes_too_long_is_given_up_and_the_server_stays(bench: OpenBench, tmp_path: Path) -> None:
    slow = ServerSettings(module="sample_server", settings={"marks": str(tmp_path)}, timeout=0.2)
    async with bench({"slow": slow}, "slow.*") as b:
        result = await b.call("slow__fire")
        assert result.is_error
        assert "did not answer within 0.2 seconds" in result.text
        assert "outcome is unknown" in result.text
        assert (await b.call("slow__echo", text="x")).text == "low: x"


BROKEN = {
    "a command that is not there": ServerSettings(command=("/no/such/program",)),
    "a command that ends at once": ServerSettings(command=("sh", "-c", "echo 'no licence' >&2; exit 3")),
    "a command that prints garbage": ServerSettings(command=("sh", "-c", "while true; do echo hello; done")),
    "a command that never answers": ServerSettings(command=("sleep", "600"), connect_timeout=0.5),
    "a module that is not there": ServerSettings(module="no_such_module_anywhere"),
    "a module without a server": ServerSettings(module="json"),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_broken_server_is_down_with_a_reason_and_the_others_work(bench: OpenBench, kind: str) -> None:
    async with bench({"broken": BROKEN[kind], "good": IN_PROCESS}, "broken.*", "good.echo") as b:
        await until(lambda: b.state("broken") == "down")
        assert b.error("broken")
        assert await b.offered() == ["good__echo"]
        assert (await b.call("good__echo", text="x")).text == "low: x"


async def test_the_last_words_of_a_command_are_in_its_status(bench: OpenBench) -> None:
    async with bench({"broken": BROKEN["a command that ends at once"]}, "broken.*") as b:
        await until(lambda: b.state("broken") == "down")
        assert "no licence" in b.error("broken")


async def test_an_http_error_before_the_protocol_is_told_by_its_status(
    bench: OpenBench, http_server: HttpServer
) -> None:
    wrong = ServerSettings(url=http_server.settings.url.replace("/mcp", "/elsewhere"))
    async with bench({"web": wrong}, "web.*") as b:
        await until(lambda: b.state("web") == "down")
        assert "Not Found" in b.error("web")


async def test_no_child_outlives_the_toolbox(bench: OpenBench) -> None:
    async with bench({"mortal": ServerSettings(command=(sys.executable, SERVER))}, "mortal.pid") as b:
        process = int((await b.call("mortal__pid")).text)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


WORDY = ServerSettings(command=(sys.executable, str(Path(__file__).parent / "wordy_server.py")), timeout=20)


async def test_a_command_that_writes_a_line_without_end_is_given_up_and_started_again(
    bench: OpenBench, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench({"wordy": WORDY, "good": IN_PROCESS}, "wordy.*", "good.echo") as b:
        process = int((await b.call("wordy__pid")).text)
        flooded = await b.call("wordy__flood")
        assert flooded.is_error
        assert "outcome is unknown" in flooded.text
        assert "did not answer within" not in flooded.text
        assert (await b.call("good__echo", text="x")).text == "low: x"
        reborn = await b.call("wordy__pid")
        assert not reborn.is_error
        assert int(reborn.text) != process
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert "a line of more than 33554432 bytes" in caplog.text


async def test_a_long_answer_of_a_command_arrives_whole(bench: OpenBench) -> None:
    async with bench({"wordy": WORDY}, "wordy.*") as b:
        large = await b.call("wordy__large")
        assert not large.is_error
        assert large.text.startswith("é" * 100_000)


async def test_a_child_that_will_not_end_is_killed(bench: OpenBench) -> None:
    async with bench({"wordy": WORDY}, "wordy.*") as b:
        process = int((await b.call("wordy__stubborn")).text)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_an_unreachable_url_is_down_and_the_others_work(bench: OpenBench) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # Nobody listens, and nobody else can.
        nowhere = ServerSettings(url=f"http://127.0.0.1:{closed.getsockname()[1]}/mcp")
        async with bench({"nowhere": nowhere, "good": IN_PROCESS}, "nowhere.*", "good.echo") as b:
            await until(lambda: b.state("nowhere") == "down")
            assert "ConnectError" in b.error("nowhere")
            assert await b.offered() == ["good__echo"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("401 Unauthorized\r\ncontent-length: 0", "HTTP 401 Unauthorized"),
        ("503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}", "HTTP 503"),
        ("200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>", "text/html"),
        ("200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{", "could not be read|parse"),
        ("no HTTP at all", "RemoteProtocolError"),
    ],
)
async def test_what_an_http_server_answers_instead_of_mcp_is_told(bench: OpenBench, answer: str, error: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {answer}".encode() + (b"" if "\r\n\r\n" in answer else b"\r\n\r\n"))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        other = ServerSettings(url=f"http://127.0.0.1:{port}/mcp")
        async with bench({"other": other, "good": IN_PROCESS}, "other.*", "good.echo") as b:
            await until(lambda: b.state("other") == "down")
            assert re.search(error, b.error("other"))
            assert await b.offered() == ["good__echo"]


async def test_tools_that_cannot_be_used_are_left_out(bench: OpenBench) -> None:
    async with bench({"odd": ServerSettings(module="odd_server")}, "odd.*") as b:
        assert list(b.specs) == ["odd__bare", "odd__good"]
        assert b.specs["odd__bare"].schema == {"type": "object", "properties": {}}
        assert b.specs["odd__good"].schema["properties"] == {"x": {"type": "integer"}}
        assert len(b.specs["odd__good"].description) == 8192
        assert (await b.call("odd__good", x=1)).text == "done"
