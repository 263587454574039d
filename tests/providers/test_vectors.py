"""Vectors of vendors: what they are asked, how their answers are read, and what goes wrong on the way."""

import asyncio
import base64
import contextlib
import json
import struct

import httpx
import pytest

from gateway.providers.settings import Limits, ProviderSettings
from tests.providers.relays import PATIENT, refusal, whole
from tests.providers.replay import Answer, Upstream

pytestmark = pytest.mark.anyio

PACKED = base64.b64encode(struct.pack("<2f", 0.5, 2)).decode()
HELLO, WORLD = 15339, 1917


def vectors(*embeddings, **more):
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(embeddings)]
    body = {"object": "list", "model": "m", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}, **more}
    return whole(json.dumps(body).encode())


@pytest.fixture
def embedding(start_gateway):
    """`async with embedding(*answers) as (http, upstream)`: a gateway whose raw models of `x` are at that upstream."""

    @contextlib.asynccontextmanager
    async def start(*answers, limits=PATIENT, **settings):
        async with Upstream(*answers) as upstream:
            provider = ProviderSettings(**{"name": "x", "base_url": upstream.url, "api_key": "sk-secret-1", **settings})
            async with start_gateway(providers={"x": provider}, models=("x/*",), limits=limits) as gateway:
                yield gateway.http, upstream

    return start


async def embed(http, input="a", **more):
    return await http.post("/v1/embeddings", json={"model": "x/m", "input": input, **more})


def numbers(answer):
    return [one["embedding"] for one in answer.json()["data"]]


# What a vendor is asked


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"input": ["a"]}),
        ({"input": ["a", "b"]}, {"input": ["a", "b"]}),
        ({"encoding_format": "base64"}, {"input": ["a"], "encoding_format": "base64"}),
        ({"encoding_format": "float", "user": "u"}, {"input": ["a"], "user": "u"}),
        ({"dimensions": 2, "of_tomorrow": 1}, {"input": ["a"], "dimensions": 2}),
    ],
)
async def test_a_vendor_of_openais_wire_is_asked_in_it(embedding, given, sent):
    answer = vectors(*[[1.0, 2.0]] * len(sent["input"]))
    async with embedding(answer, headers={"X-Team": "a"}, extra={"truncate": "END"}) as (http, upstream):
        assert (await embed(http, **given)).status_code == 200
    (request,) = upstream.requests
    assert (request.path, request.body) == ("/embeddings", {"model": "m", **sent, "truncate": "END"})
    assert (request.headers["authorization"], request.headers["x-team"]) == ("Bearer sk-secret-1", "a")


@pytest.mark.parametrize(
    ("vendor", "lane", "sent"),
    [
        ("openai", "auto", [[HELLO], [HELLO, WORLD]]),
        ("azure", "auto", [[HELLO], [HELLO, WORLD]]),
        ("", "auto", ["hello", "hello world"]),
        ("mistral", "auto", ["hello", "hello world"]),
        ("mistral", "litellm", ["hello", "hello world"]),
    ],
)
async def test_tokens_go_to_vendors_that_take_them_and_to_others_as_text(embedding, vendor, lane, sent):
    async with embedding(vectors([1.0], [2.0]), litellm_provider=vendor, lane=lane) as (http, upstream):
        assert numbers(await embed(http, [[HELLO], [HELLO, WORLD]])) == [[1.0], [2.0]]
    assert upstream.requests[0].body["input"] == sent


# What the client gets


@pytest.mark.parametrize("vector", [[0.5, 2], PACKED])
async def test_whatever_way_a_vendor_writes_numbers_the_client_has_its_own(embedding, vector):
    async with embedding(vectors(vector)) as (http, _):
        assert numbers(await embed(http)) == [[0.5, 2.0]]
        assert numbers(await embed(http, encoding_format="float")) == [[0.5, 2.0]]
        assert numbers(await embed(http, encoding_format="base64")) == [PACKED]


async def test_numbers_are_passed_on_as_exactly_as_they_came(embedding):
    exact = [0.1234567890123456, -1e-17]
    async with embedding(vectors(exact)) as (http, _):
        answer = await embed(http)
    assert numbers(answer) == [exact]
    assert answer.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": exact}],
        "model": "x/m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


async def test_vectors_are_in_the_order_of_the_inputs(embedding):
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    async with embedding(whole(json.dumps({"data": data}).encode())) as (http, _):
        answer = await embed(http, ["a", "b"])
    assert (numbers(answer), answer.json()["usage"]["total_tokens"]) == ([[0.0], [1.0]], 0)


async def test_a_number_that_float32_cannot_hold_does_no_harm(embedding):
    async with embedding(vectors([1e300, 1.0])) as (http, _):
        answer = await embed(http, encoding_format="base64")
    assert struct.unpack("<2f", base64.b64decode(numbers(answer)[0])) == (float("inf"), 1.0)


async def test_a_large_answer_is_read_too(embedding):
    vector = base64.b64encode(struct.pack("<3072f", *[0.25] * 3072)).decode()
    async with embedding(vectors(*[vector] * 100)) as (http, _):
        answer = await embed(http, ["a"] * 100, encoding_format="base64")
    assert numbers(answer) == [vector] * 100


@pytest.mark.parametrize(
    ("vendor", "answer"),
    [
        ("cohere", {"id": "1", "texts": [], "embeddings": {"float": [[1, 2]]}}),
        ("gemini", {"embeddings": [{"values": [1, 2]}]}),
        ("voyage", {"object": "list", "model": "m", "data": [{"index": 0, "embedding": [1, 2]}]}),
    ],
)
async def test_other_vendors_are_asked_through_litellm(embedding, vendor, answer):
    async with embedding(whole(json.dumps(answer).encode()), litellm_provider=vendor) as (http, upstream):
        assert numbers(await embed(http, user="u")) == [[1.0, 2.0]]
        assert numbers(await embed(http, encoding_format="base64")) != [[1.0, 2.0]]
    assert "user" not in upstream.requests[0].body


# What goes wrong


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (refusal(401), 502, "provider_authentication_failed"),
        (refusal(404), 400, "model_not_found"),
        (refusal(429, retry_after="40"), 429, "rate_limit_exceeded"),
        (refusal(429, "insufficient_quota"), 429, "insufficient_quota"),
        (refusal(400, "context_length_exceeded"), 400, "context_length_exceeded"),
        (refusal(500), 502, "provider_error"),
        (whole(b'{"error": {"message": "no sk-secret-1", "code": 503}}'), 503, "provider_overloaded"),
        (Answer(b"<html>no</html>", content_type="text/html"), 502, "stream_garbled"),
        (whole(b"[]"), 502, "stream_garbled"),
        (whole(b'{"data": 1}'), 502, "stream_garbled"),
        (whole(b'{"data": [1]}'), 502, "stream_garbled"),
        (whole(b'{"data": [{"index": "a", "embedding": [1]}, {"embedding": [1]}]}'), 502, "stream_garbled"),
        (vectors([]), 502, "stream_garbled"),
        (vectors([None]), 502, "stream_garbled"),
        (vectors("AAA"), 502, "stream_garbled"),
        (vectors("AAAAAAA="), 502, "stream_garbled"),
        (vectors([1.0], usage=1), 502, "stream_garbled"),
        (vectors([1.0], usage={"prompt_tokens": 1e300}), 502, "stream_garbled"),
        (vectors([1.0], usage={"prompt_tokens": -1}), 502, "stream_garbled"),
        (vectors(), 502, "vectors_missing"),
        (vectors([1.0], [2.0]), 502, "vectors_missing"),
        (Answer(b'{"data": [{"index":0,"embedding":[1', cut=30), 502, "provider_unreachable"),
    ],
)
async def test_a_failure_is_an_error_of_the_gateways(embedding, answer, status, code):
    async with embedding(answer) as (http, _):
        failed = await embed(http)
    error = failed.json()["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert (failed.status_code, error["code"], "sk-secret-1" in failed.text) == (status, code, False)
    assert failed.headers.get("retry-after") == answer.headers.get("retry-after")


@pytest.mark.parametrize(
    ("settings", "more", "param", "code"),
    [
        ({"litellm_provider": "anthropic"}, {}, "model", "unsupported_model"),
        ({"litellm_provider": "mistral", "lane": "litellm"}, {"dimensions": 2}, "dimensions", "unsupported_parameter"),
    ],
)
async def test_what_a_vendor_cannot_do_is_a_clear_400(embedding, settings, more, param, code):
    async with embedding(vectors([1.0]), **settings) as (http, upstream):
        failed = await embed(http, **more)
    error = failed.json()["error"]
    assert (failed.status_code, error["param"], error["code"], upstream.requests) == (400, param, code, [])


async def test_a_failure_through_litellm_is_known_by_its_status(embedding):
    async with embedding(refusal(429), litellm_provider="mistral", lane="litellm") as (http, upstream):
        failed = await embed(http)
    assert (failed.status_code, "sk-secret-1" in failed.text, len(upstream.requests)) == (429, False, 1)


async def test_what_may_succeed_later_is_tried_again(embedding):
    async with embedding(refusal(500), vectors([1.0]), limits=Limits(retries=2)) as (http, upstream):
        assert numbers(await embed(http)) == [[1.0]]
    assert len(upstream.requests) == 2


async def test_a_vendor_that_says_nothing_runs_into_the_limit(embedding):
    async with embedding(Answer(silent=True), limits=Limits(total=0.2, retries=0)) as (http, upstream):
        failed = await embed(http)
        await upstream.requests[0].gone.wait()
    assert (failed.status_code, failed.json()["error"]["code"]) == (504, "total_timeout")


@pytest.mark.parametrize("settings", [{}, {"litellm_provider": "voyage"}])
async def test_a_client_that_hangs_up_aborts_the_request_to_the_vendor(embedding, settings):
    async with embedding(Answer(silent=True), limits=Limits(retries=0), **settings) as (http, upstream):
        async with httpx.AsyncClient(base_url=http.base_url, headers=http.headers) as leaving:
            asking = asyncio.create_task(embed(leaving))
            await upstream.asked.wait()
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking
        await upstream.requests[0].gone.wait()
