"""The local model as a child process. llama.cpp itself is scripted, except in the last test."""

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import anyio
import pytest

from gateway.local_model.server import Endpoint, LocalModel, LocalModelUnavailable
from gateway.local_model.weights import QWEN_CODER

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
WEIGHTS = Path(os.environ.get("HOMEPORT_WEIGHTS", Path.home() / ".cache/homeport/models")) / QWEN_CODER.name


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE / "stand_in"))


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_text("fine")
    return path


async def ask(endpoint, body, key=None):
    headers = {"authorization": f"Bearer {key or endpoint.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{endpoint.base_url}/chat/completions", json=body) as response,
    ):
        return response.status, await response.json(content_type=None)


async def gone(pid):
    """Waits until a process that is not our child has ended."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    await anyio.wait_readable(watched)
    os.close(watched)


PARENT = """
import asyncio, pathlib, sys
from gateway.local_model.server import LocalModel

async def main():
    async with LocalModel(pathlib.Path(sys.argv[1])) as model:
        endpoint = await model.ready()
        sys.stdout.write(f"{endpoint.base_url} {endpoint.api_key}")
        sys.stdout.flush()
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_it_answers_on_loopback_to_who_has_the_key(engine, model_file):
    async with LocalModel(model_file, context=512) as model:
        endpoint = await model.ready()
        assert endpoint.base_url.startswith("http://127.0.0.1:")
        status, answer = await ask(endpoint, {"hello": 1})
        assert (status, answer["asked"], answer["context"]) == (200, {"hello": 1}, 512)
        assert (await ask(endpoint, {}, key="guessed"))[0] == 401
        assert endpoint.api_key not in repr(endpoint)


async def test_each_start_has_its_own_key(engine, model_file):
    async with LocalModel(model_file) as one, LocalModel(model_file) as other:
        assert (await one.ready()).api_key != (await other.ready()).api_key


async def test_a_lazy_model_starts_with_the_first_request_and_only_once(engine, model_file):
    states = []
    async with LocalModel(model_file, lazy=True, on_state=states.append) as model:
        assert states == [] and not model.running
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(model.ready)
        assert model.running
    assert states == ["starting", "ready", "stopped"]


async def test_a_caller_who_leaves_does_not_stop_the_start_for_the_others(engine, model_file):
    states, starting = [], anyio.Event()

    def hear(state):
        states.append(state)
        starting.set()

    async with LocalModel(model_file, lazy=True, on_state=hear) as model:
        async with anyio.create_task_group() as group:
            group.start_soon(model.ready)
            await starting.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(20):
            assert (await ask(await model.ready(), {}))[0] == 200
    assert states == ["starting", "ready", "stopped"]


async def test_a_model_that_was_killed_is_started_again_by_the_next_request(engine, model_file):
    async with LocalModel(model_file) as model:
        _, first = await ask(await model.ready(), {})
        os.kill(first["process"], signal.SIGKILL)
        assert await model.wait() == -signal.SIGKILL
        _, second = await ask(await model.ready(), {})
        assert second["process"] != first["process"]


async def test_a_model_that_crashes_at_a_request_breaks_that_request_alone(engine, model_file):
    model_file.write_text("crash")
    async with LocalModel(model_file) as model:
        with pytest.raises(aiohttp.ClientError):
            await ask(await model.ready(), {})
        await model.wait()
        model_file.write_text("fine")
        assert (await ask(await model.ready(), {}))[0] == 200


async def test_leaving_ends_the_child(engine, model_file):
    async with LocalModel(model_file) as model:
        _, answer = await ask(await model.ready(), {})
    with pytest.raises(ProcessLookupError):
        os.kill(answer["process"], 0)
    with pytest.raises(LocalModelUnavailable):
        await model.ready()


@pytest.mark.skipif(sys.platform != "linux", reason="waits for a foreign process")
async def test_the_child_ends_when_its_parent_is_killed(engine, model_file):
    async with await anyio.open_process([sys.executable, "-c", PARENT, str(model_file)], cwd=ROOT) as parent:
        base_url, api_key = (await parent.stdout.receive()).decode().split()
        _, answer = await ask(Endpoint(base_url=base_url, api_key=api_key, model="local"), {})
        parent.kill()
        with anyio.fail_after(20):
            await gone(answer["process"])


async def test_a_file_that_does_not_load_is_an_error_with_the_engines_reason(engine, model_file):
    model_file.write_text("refuse")
    with pytest.raises(LocalModelUnavailable, match="invalid magic characters"):
        async with LocalModel(model_file):
            pass


async def test_a_lazy_model_that_cannot_start_says_so_at_every_request(engine, model_file):
    model_file.write_text("refuse")
    async with LocalModel(model_file, lazy=True) as model:
        for _ in range(2):
            with pytest.raises(LocalModelUnavailable, match="invalid magic characters"):
                await model.ready()


async def test_weights_that_are_not_there_are_an_error_that_says_how_to_get_them(engine, tmp_path):
    with pytest.raises(LocalModelUnavailable, match="homeport model pull"):
        async with LocalModel(tmp_path / "nothing.gguf"):
            pass


async def test_without_the_engine_the_error_says_what_to_install(model_file, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE / "without_engine"))
    with pytest.raises(LocalModelUnavailable, match=f"{sys.executable} -m pip install xllamacpp"):
        async with LocalModel(model_file):
            pass


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs llama.cpp: pip install xllamacpp")
async def test_llama_cpp_says_why_it_does_not_load_a_file(model_file):
    with pytest.raises(LocalModelUnavailable, match="invalid magic characters"):
        async with LocalModel(model_file):
            pass


@pytest.mark.skipif(find_spec("xllamacpp") is None, reason="needs llama.cpp: pip install xllamacpp")
@pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs the weights: homeport model pull")
async def test_the_real_model_keeps_to_a_schema():
    schema = {"type": "object", "properties": {"country": {"type": "string"}}, "required": ["country"]}
    body = {
        "model": "local",
        "messages": [{"role": "user", "content": "In which country is Paris?"}],
        "max_tokens": 60,
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": schema}},
    }
    async with LocalModel(WEIGHTS, context=1024) as model:
        status, answer = await ask(await model.ready(), body)
        assert status == 200
        assert "France" in answer["choices"][0]["message"]["content"]
        assert answer["choices"][0]["message"]["content"].lstrip().startswith("{")
        assert (await ask(await model.ready(), body, key="guessed"))[0] == 401
