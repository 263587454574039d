"""Images and files by URL: who reads them, from where, and how much of them."""

import asyncio
import base64
import contextlib
import random

import pytest
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router

from gateway import guarded_fetch
from gateway.guarded_fetch import LARGEST
from gateway.http_server import server
from gateway.providers import linked
from gateway.providers.settings import Limits
from gateway.tools.settings import ServerSettings
from tests.upstream import upstream

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n"
PHOTO = PNG + random.Random(1).randbytes(1_000_000)
BUSY = {"status": 503, "error": {"error": {"message": "Come back."}}, "headers": {"retry-after": "0"}}


class Files:
    """A web server that notes what it was asked for."""

    url = ""

    def __init__(self):
        self.asked = []

    async def answer(self, request):
        name = request.path_params["name"]
        self.asked.append((name, request.headers.get("cookie")))
        match name:
            case "away":
                return RedirectResponse(self.url.replace("127.0.0.1", "localhost") + "/a.png")
            case "round":
                return RedirectResponse(self.url + "/round")
            case "once":
                return RedirectResponse("/a.png", headers={"set-cookie": "a=b"})
            case "elsewhere":
                return RedirectResponse("file:///etc/passwd")
            case "large.png":
                return Response(b"x" * (LARGEST + 1), media_type="image/png")
            case "packed.png":
                return Response(PNG, headers={"content-encoding": "gzip"}, media_type="image/png")
            case "page":
                return Response("<p>", media_type="text/html")
            case "paper.pdf":
                return Response(b"%PDF-", media_type="application/pdf")
            case "photo.png":
                return Response(PHOTO, media_type="image/png")
            case "a.png":
                return Response(PNG, media_type="image/png")
            case _:
                return Response("gone", 404)


@contextlib.asynccontextmanager
async def files():
    made = Files()
    web = server(Router([Route("/{name}", made.answer)]), host="127.0.0.1", port=0, log_level="warning")
    serving = asyncio.create_task(web.serve())
    await web.ready.wait()
    made.url = f"http://127.0.0.1:{web.port}"
    try:
        yield made
    finally:
        web.should_exit = web.force_exit = True
        await serving


@pytest.fixture
def raw(home):
    (home / "agents" / "raw.yaml").write_text("name: raw\nmodel: acme/one\n")


def settings(provider, lane, *hosts):
    vendor = {"base_url": provider.url, "api_key": "k", "litellm_provider": "openai", "lane": lane}
    return {"providers": {"acme": vendor}, "fetch_hosts": hosts}


def asks(part):
    return {"model": "raw", "input": [{"role": "user", "content": [{"type": "input_text", "text": "?"}, part]}]}


def image(url):
    return asks({"type": "input_image", "image_url": url})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["a.png", "once"])
async def test_an_image_is_read_for_a_provider_that_does_not(start_gateway, raw, name):
    async with files() as web, upstream({"text": "ok"}) as provider:
        async with start_gateway(**settings(provider, "litellm", "127.0.0.1")) as gateway:
            done = await gateway.http.post("/v1/responses", json=image(f"{web.url}/{name}"))
    assert done.status_code == 200, done.text
    data = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert provider.requests[0]["messages"][0]["content"][1]["image_url"]["url"] == data
    assert [cookie for _, cookie in web.asked] == [None] * len(web.asked)


async def test_a_provider_that_reads_urls_is_left_to_it(start_gateway, raw):
    async with files() as web, upstream({"text": "ok"}) as provider:
        async with start_gateway(**settings(provider, "openai", "127.0.0.1")) as gateway:
            await gateway.http.post("/v1/responses", json=image(f"{web.url}/a.png"))
    assert (web.asked, provider.requests[0]["messages"][0]["content"][1]["image_url"]["url"]) == (
        [],
        f"{web.url}/a.png",
    )


async def test_a_file_is_read_for_every_provider(start_gateway, raw):
    async with files() as web, upstream({"text": "ok"}) as provider:
        async with start_gateway(**settings(provider, "openai", "127.0.0.1")) as gateway:
            body = asks({"type": "input_file", "file_url": f"{web.url}/paper.pdf?a=b"})
            await gateway.http.post("/v1/responses", json=body)
    file = provider.requests[0]["messages"][0]["content"][1]["file"]
    assert file == {"filename": "paper.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("url", "listed", "asked"),
    [
        ("WEB/a.png", "", 0),
        ("http://localhost:PORT/a.png", "127.0.0.1", 0),
        ("http://[::1]:PORT/a.png", "", 0),
        ("http://0x7f.1:PORT/a.png", "", 0),
        ("WEB/a.png", "127.0.0.1:1", 0),
        ("WEB/away", "127.0.0.1", 1),
        ("WEB/elsewhere", "127.0.0.1", 1),
        ("WEB/round", "127.0.0.1", 4),
        ("WEB/large.png", "127.0.0.1", 1),
        ("WEB/packed.png", "127.0.0.1", 1),
        ("WEB/page", "127.0.0.1", 1),
        ("WEB/none", "127.0.0.1", 1),
        ("http://169.254.169.254/latest/meta-data", "", 0),
        ("http://", "", 0),
    ],
)
async def test_what_may_not_be_read_is_refused_and_no_model_is_asked(start_gateway, raw, url, listed, asked):
    async with files() as web, upstream() as provider:
        url = url.replace("WEB", web.url).replace("PORT", web.url.rpartition(":")[2])
        async with start_gateway(**settings(provider, "litellm", *filter(None, [listed]))) as gateway:
            done = await gateway.http.post("/v1/responses", json=image(url))
    error = done.json()["error"]
    assert (done.status_code, error["param"], error["code"]) == (400, "url", "invalid_url"), error
    assert (len(web.asked), provider.requests) == (asked, [])


@pytest.mark.filterwarnings("ignore")
async def test_all_urls_of_a_request_together_are_bounded(start_gateway, raw, monkeypatch):
    monkeypatch.setattr(guarded_fetch.Room.__init__, "__defaults__", (2 * len(PNG),))
    async with files() as web, upstream({"text": "ok"}) as provider:
        async with start_gateway(**settings(provider, "litellm", "127.0.0.1")) as gateway:
            answers: list[int] = []
            for count in (2, 3):
                parts = [{"type": "input_image", "image_url": f"{web.url}/a.png?{n}"} for n in range(count)]
                body = {"model": "raw", "input": [{"role": "user", "content": parts}]}
                answers.append((await gateway.http.post("/v1/responses", json=body)).status_code)
    assert (answers, len(provider.requests)) == ([200, 400], 1)


@pytest.mark.filterwarnings("ignore")
async def test_a_url_is_read_and_stored_once_for_all_attempts_and_steps_of_a_turn(start_gateway, home):
    model = "{primary: acme/one, fallbacks: [acme/two]}"
    (home / "agents" / "raw.yaml").write_text(f"name: raw\nmodel: {model}\ntools: [clock.now]\n")
    calls = {"call": ("clock__now", '{"zone": "CET"}')}
    async with files() as web, upstream(BUSY, BUSY, calls, BUSY, {"text": "ok"}, {"text": "again"}) as provider:
        acme = settings(provider, "litellm", "127.0.0.1")
        clock = ServerSettings(module="tests.servers.clock", settings={"folder": str(home)})
        async with start_gateway(**acme, servers={"clock": clock}, limits=Limits(retries=1)) as gateway:
            done = (await gateway.http.post("/v1/responses", json=image(f"{web.url}/photo.png"))).json()
            assert len(web.asked) == 1
            shown = (await gateway.http.get(f"/v1/responses/{done['id']}/prompt")).json()["data"]
            more = {"model": "raw", "input": "And?", "previous_response_id": done["id"]}
            await gateway.http.post("/v1/responses", json=more)
    assert len(web.asked) == 2
    data = f"data:image/png;base64,{base64.b64encode(PHOTO).decode()}"
    assert [data in sent.decode() for sent in provider.bodies] == [True] * 6
    assert [each["body"].encode() for each in shown] == provider.bodies[:5]
    stored = sum(file.stat().st_size for file in (home / "data").rglob("*") if file.is_file())
    assert stored < 2 * len(PHOTO)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("room", "links", "status"), [(35, 2, 200), (34, 2, 400), (35, 1, 400)])
async def test_what_was_read_before_in_a_turn_counts(start_gateway, home, monkeypatch, room, links, status):
    """The first model can read the image itself, and the fallback cannot. The file counts for 27 bytes."""
    model = "{primary: able/one, fallbacks: [acme/one]}"
    (home / "agents" / "raw.yaml").write_text(f"name: raw\nmodel: {model}\n")
    monkeypatch.setattr(guarded_fetch.Room.__init__, "__defaults__", (room,))
    monkeypatch.setattr(linked, "MOST_LINKS", links)
    async with files() as web, upstream(BUSY, {"text": "ok"}) as provider:
        acme = settings(provider, "litellm", "127.0.0.1")
        able = settings(provider, "openai")["providers"]["acme"]
        async with start_gateway(**acme | {"providers": {"able": able, **acme["providers"]}}) as gateway:
            file = {"type": "input_file", "file_url": f"{web.url}/paper.pdf"}
            body = image(f"{web.url}/a.png")
            body["input"][0]["content"].append(file)
            done = await gateway.http.post("/v1/responses", json=body)
    assert done.status_code == status, done.text
