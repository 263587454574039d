"""Vectors: of the bundled model, which needs no key, and what is refused before any model is asked."""

import asyncio
import base64
import struct

import pytest

from gateway.ports import Rule, Verdict
from gateway.providers.settings import Limits, ProviderSettings
from gateway.rules import RULES

pytestmark = pytest.mark.anyio

LOCAL = "local/all-minilm-l6-v2"
NOWHERE = {"x": ProviderSettings(name="x", base_url="http://127.0.0.1:9")}
"""With a provider the gateway has its real models, and with them the bundled one."""
HELLO, WORLD = 15339, 1917
"""Tokens of cl100k_base for "hello" and " world"."""


async def embed(gateway, input, **more):
    return await gateway.http.post("/v1/embeddings", json={"model": LOCAL, "input": input, **more})


def numbers(answer):
    return [one["embedding"] for one in answer.json()["data"]]


def cosine(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_the_bundled_model_needs_no_key(start_gateway):
    texts = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose again."]
    async with start_gateway(providers=NOWHERE) as gateway:
        made = await gateway.openai.embeddings.create(model=LOCAL, input=texts, encoding_format="float")
    cat, kitten, rates = (one.embedding for one in made.data)
    assert [one.index for one in made.data] == [0, 1, 2]
    assert {len(one.embedding) for one in made.data} == {384}
    assert (round(cosine(cat, cat), 3), made.model) == (1.0, LOCAL)
    assert cosine(cat, kitten) > 0.5 > 0.2 > cosine(cat, rates)
    assert made.usage.prompt_tokens == made.usage.total_tokens == 20


async def test_base64_holds_the_same_numbers_as_little_endian_float32(start_gateway):
    async with start_gateway(providers=NOWHERE) as gateway:
        plain, packed = await embed(gateway, "hello"), await embed(gateway, "hello", encoding_format="base64")
    (vector,) = numbers(packed)
    assert list(struct.unpack("<384f", base64.b64decode(vector))) == numbers(plain)[0]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ([HELLO, WORLD], "hello world"),
        ([[HELLO], [HELLO, WORLD]], ["hello", "hello world"]),
        # Half of a character, as a client leaves it that cuts tokens into pieces.
        ([[HELLO, 9468]], ["hello\ufffd"]),
        ([[100257]], ["<|endoftext|>"]),
    ],
)
async def test_tokens_are_read_as_the_text_they_stand_for(start_gateway, tokens, text):
    async with start_gateway(providers=NOWHERE) as gateway:
        assert numbers(await embed(gateway, tokens)) == numbers(await embed(gateway, text))


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "input", "missing_required_parameter"),
        ({"input": None}, "input", "invalid_type"),
        ({"input": {"a": 1}}, "input", "invalid_type"),
        ({"input": ""}, "input", "invalid_value"),
        ({"input": []}, "input", "empty_array"),
        ({"input": ["a", ""]}, "input[1]", "invalid_value"),
        ({"input": ["a", 1]}, "input[1]", "invalid_type"),
        ({"input": [True]}, "input[0]", "invalid_type"),
        ({"input": [1, "a"]}, "input", "invalid_type"),
        ({"input": [[1], []]}, "input[1]", "invalid_type"),
        ({"input": [[1], "a"]}, "input[1]", "invalid_type"),
        ({"input": [[1, 999_999]]}, "input[0]", "invalid_value"),
        ({"input": [-1]}, "input", "invalid_value"),
        ({"input": ["a"] * 2049}, "input", "array_above_max_length"),
        ({"input": ["a", "word " * 400]}, "input", "context_length_exceeded"),
        ({"input": "a" + " " * 40_000}, "input", "context_length_exceeded"),
        ({"input": "a", "dimensions": 0}, "dimensions", "invalid_value"),
        ({"input": "a", "dimensions": 256}, "dimensions", "unsupported_value"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format", "invalid_value"),
        ({"input": "a", "model": "helper"}, "model", "unsupported_model"),
        ({"input": "a", "model": "local/qwen2.5-coder-1.5b-instruct"}, "model", "unsupported_model"),
        ({"input": [0] * 700_000}, None, "object_above_max_properties"),
    ],
)
async def test_what_cannot_be_embedded_is_a_clear_400(start_gateway, body, param, code):
    async with start_gateway(providers=NOWHERE, models=("local/qwen*",)) as gateway:
        answer = await gateway.http.post("/v1/embeddings", json={"model": LOCAL, **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
    assert sorted(error) == ["code", "message", "param", "type"]


async def test_as_many_tokens_as_openai_takes_are_read(start_gateway):
    tokens = [[HELLO] * 250] * 1200
    async with start_gateway(providers=NOWHERE, models=("x/m",), limits=Limits(retries=0)) as gateway:
        answer = await embed(gateway, tokens, model="x/m")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_unreachable")


async def test_a_model_that_is_not_listed_is_not_found(start_gateway):
    async with start_gateway(providers=NOWHERE, models=("x/a",)) as gateway:
        answer = await embed(gateway, "a", model="x/b")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_the_bundled_model_does_not_chat(start_gateway):
    async with start_gateway(providers=NOWHERE, models=("*",)) as gateway:
        body = {"model": LOCAL, "messages": [{"role": "user", "content": "Hi."}]}
        answer = await gateway.http.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")
    assert "/v1/embeddings" in answer.json()["error"]["message"]


async def test_a_gateway_whose_models_are_scripted_says_that_they_make_no_vectors(start_gateway):
    async with start_gateway(models=("x/*",)) as gateway:
        answer = await embed(gateway, "a", model="x/m")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_model")


@pytest.mark.parametrize("input", ["my secret", ["fine", "my secret"], [[2465, 6367]]])
async def test_rules_see_what_is_embedded(start_gateway, monkeypatch, input):
    class NoSecrets(Rule):
        async def check_input(self, turn):
            said = "".join(item.text for item in turn.input)
            return Verdict("deny", "Keep it.") if "secret" in said else Verdict()

    monkeypatch.setitem(RULES, "no_secrets", NoSecrets)
    async with start_gateway(providers=NOWHERE) as gateway:
        refused, fine = await embed(gateway, input), await embed(gateway, "fine")
    assert (refused.status_code, refused.json()["error"]["message"]) == (403, "Keep it.")
    assert fine.status_code == 200


async def test_others_are_answered_while_much_is_embedded(start_gateway):
    async with start_gateway(providers=NOWHERE) as gateway:
        await embed(gateway, "loads the model")
        working = asyncio.create_task(embed(gateway, [f"{number} " + "word " * 200 for number in range(150)]))
        small = [await embed(gateway, "hello") for _ in range(6)]
        assert not working.done()
        assert {answer.status_code for answer in (*small, await working)} == {200}
