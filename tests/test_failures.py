"""What happens when the provider, the client or the disk fails, on a real socket with a real provider's wire."""

import asyncio
import contextlib
import os
import subprocess

import httpx
import pytest

from gateway.providers.settings import Limits, ProviderSettings
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

HI = {"model": "real", "input": "hi"}
CHAT = {"model": "real", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def settings(home):
    """Settings for a gateway whose provider `fake` is an upstream, with an agent `real` on it."""
    (home / "agents" / "real.yaml").write_text(
        "name: real\nmodel: {primary: fake/m, fallbacks: [spare/m]}\ninstructions: You help.\n"
    )

    def made(provider, spare=None):
        providers = {"fake": ProviderSettings(name="fake", base_url=provider.url, api_key="secret-key")}
        spare_url = spare.url if spare else "http://127.0.0.1:9/v1"
        providers["spare"] = ProviderSettings(name="spare", base_url=spare_url, api_key="spare-key")
        return {"providers": providers, "limits": Limits(first_token=5, idle=5, total=20, retries=1)}

    return made


def vendor_error(status, code, kind="invalid_request_error", **headers):
    return {"status": status, "error": {"error": {"message": "no", "type": kind, "code": code}}, "headers": headers}


async def test_an_answer_comes_from_the_provider_with_its_usage(start_gateway, settings):
    async with upstream({"text": "hello there"}) as provider, start_gateway(**settings(provider)) as gateway:
        response = await gateway.openai.responses.create(**HI)
    assert (response.output_text, response.usage.input_tokens) == ("hello there", 10)
    assert provider.requests[0]["messages"][0] == {"role": "system", "content": "You help."}


async def test_a_key_the_provider_rejects_is_not_reported_as_the_callers(start_gateway, settings):
    step = vendor_error(401, "invalid_api_key")
    async with upstream(step) as provider, upstream(step) as spare:
        async with start_gateway(**settings(provider, spare)) as gateway:
            answer = await gateway.http.post("/v1/responses", json=HI)
    assert answer.status_code == 502
    assert "secret-key" not in answer.text


async def test_an_overloaded_provider_is_tried_again_and_then_the_fallback(start_gateway, settings):
    busy = vendor_error(500, None, "server_error")
    async with upstream(busy, busy) as provider, upstream({"text": "spare"}) as spare:
        async with start_gateway(**settings(provider, spare)) as gateway:
            response = await gateway.openai.responses.create(**HI)
    assert response.output_text == "spare"
    assert (len(provider.requests), len(spare.requests)) == (2, 1)


async def test_a_stream_that_is_cut_is_a_failure_and_never_a_short_answer(start_gateway, settings):
    cut = {"text": "half an", "cut": True}
    async with upstream(cut) as provider, start_gateway(**settings(provider)) as gateway:
        async with gateway.openai.responses.stream(**HI) as stream:
            events = [event async for event in stream]
        stored = await gateway.openai.responses.retrieve(events[0].response.id)
    assert events[-1].type == "response.failed"
    assert (stored.status, stored.error.code) == ("failed", "server_error")


async def test_a_chat_client_that_hangs_up_aborts_the_request_to_the_provider(start_gateway, settings):
    hold = {"text": "one two", "hold": asyncio.Event()}
    async with upstream(hold) as provider, start_gateway(**settings(provider)) as gateway:
        async with gateway.http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as answer:
            await anext(answer.aiter_bytes())
        await provider.gone.wait()


async def test_a_client_that_hangs_up_before_a_plain_answer_aborts_it_too(start_gateway, settings):
    hold = {"text": "one two", "hold": asyncio.Event()}
    async with upstream(hold) as provider, start_gateway(**settings(provider)) as gateway:
        async with httpx.AsyncClient(base_url=gateway.url, headers=gateway.http.headers) as client:
            asking = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT))
            await provider.asked.wait()
            asking.cancel()
        await provider.gone.wait()


async def test_a_stored_response_goes_on_without_its_client(start_gateway, settings):
    release = asyncio.Event()
    hold = {"text": "one two", "hold": release}
    async with upstream(hold, {"text": "next"}) as provider, start_gateway(**settings(provider)) as gateway:
        async with gateway.http.stream("POST", "/v1/responses", json={**HI, "stream": True}) as answer:
            head = await anext(answer.aiter_text())
        id = head.partition('"id":"')[2].partition('"')[0]
        release.set()
        # A turn waits for the one that it continues.
        await gateway.openai.responses.create(**HI, previous_response_id=id)
        stored = await gateway.openai.responses.retrieve(id)
    assert (stored.status, stored.output_text) == ("completed", "one two")


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
async def test_a_run_ends_at_its_deadline_and_takes_the_model_call_with_it(start_gateway, settings, home, path):
    (home / "agents" / "real.yaml").write_text("name: real\nmodel: fake/m\nlimits: {deadline: 1s}\n")
    held = {"text": "never", "hold": asyncio.Event()}
    async with upstream(held, {"text": "on"}) as provider, start_gateway(**settings(provider)) as gateway:
        body = HI if path == "/v1/responses" else CHAT
        late = await gateway.http.post(path, json={**body, "store": True})
        await provider.gone.wait()
        after = await gateway.http.post(path, json=body)
    error = late.json()["error"]
    assert (late.status_code, error["code"], after.status_code) == (504, "deadline_exceeded", 200)
    assert "1 seconds" in error["message"]


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 2 MB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = (
        os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place]).returncode == 0
    )
    if not mounted:
        if os.environ.get("CI") == "true":
            pytest.fail("a small file system could not be mounted")
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(disk):
    """A file that takes all the room that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    return filler


async def test_a_full_disk_is_said_so_and_over_when_there_is_room(start_gateway, settings, tiny_disk):
    steps = [{"text": f"answer {number}"} for number in range(6)]
    async with upstream(*steps) as provider, start_gateway(**settings(provider), data=tiny_disk) as gateway:
        first = await gateway.openai.responses.create(**HI)
        filler = fill(tiny_disk)
        refused = [await gateway.http.post("/v1/responses", json={**HI, "input": "y" * 100_000}) for _ in range(3)]
        still_read = await gateway.openai.responses.retrieve(first.id)
        filler.unlink()
        after = await gateway.openai.responses.create(**HI, previous_response_id=first.id)
    assert {answer.status_code for answer in refused} == {503}
    assert refused[0].json()["error"]["code"] == "storage_unavailable"
    assert still_read.output_text == first.output_text
    assert after.status == "completed"


async def test_nobody_waits_for_an_ending_that_the_disk_has_no_room_for(start_gateway, settings, tiny_disk):
    release = asyncio.Event()
    long = {"text": "word " * 100_000, "hold": release}
    async with upstream(long, {"text": "next"}) as provider, start_gateway(**settings(provider), data=tiny_disk) as it:
        stream = await it.openai.responses.create(**HI, background=True, stream=True)
        id = (await anext(aiter(stream))).response.id
        filler = fill(tiny_disk)
        release.set()
        seen = [event async for event in stream]
        again = await it.http.get(f"/v1/responses/{id}?stream=true")
        filler.unlink()
        after = await it.openai.responses.create(**HI, previous_response_id=id)
        stored = await it.openai.responses.retrieve(id)
    assert (seen[-1].type, seen[-1].response.error.code) == ("response.failed", "server_error")
    assert "free disk space" in seen[-1].response.error.message
    assert (again.status_code, again.json()["error"]["code"]) == (503, "storage_unavailable")
    assert (stored.status, len(stored.output_text), after.status) == ("completed", 500_000, "completed")
