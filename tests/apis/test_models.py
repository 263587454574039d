"""/v1/models: what may be named, one by one and all at once."""

import openai
import pytest

from gateway.providers.settings import ProviderSettings

pytestmark = pytest.mark.anyio

SERVER = {"x": ProviderSettings(name="x", base_url="http://127.0.0.1:9")}
MODELS = ("openai/gpt-4o-mini", "x/*", "openai/text-embedding-3-small")


async def test_agents_come_first_then_raw_models_and_those_that_make_vectors(start_gateway):
    async with start_gateway(providers=SERVER, models=MODELS) as gateway:
        listed = [model async for model in gateway.openai.models.list()]
    assert [(model.id, model.owned_by) for model in listed] == [
        ("helper", "homeport"),
        ("local/all-minilm-l6-v2", "local"),
        ("openai/gpt-4o-mini", "openai"),
        ("openai/text-embedding-3-small", "openai"),
    ]
    assert {model.object for model in listed} == {"model"}


async def test_one_is_the_same_as_in_the_list_and_tomorrow(start_gateway):
    async with start_gateway(providers=SERVER, models=MODELS) as gateway:
        listed = [model async for model in gateway.openai.models.list()]
        assert [await gateway.openai.models.retrieve(model.id) for model in listed] == listed
    async with start_gateway(providers=SERVER, models=MODELS) as gateway:
        assert [model async for model in gateway.openai.models.list()] == listed
    assert all(1_700_000_000 < model.created < 1_900_000_000 for model in listed)


@pytest.mark.parametrize(
    "path", ["openai%2Fgpt-4o-mini", "openai/gpt-4o-mini", "x%2Fmeta-llama%2Fany", "x/meta-llama/any"]
)
async def test_an_id_may_have_slashes_percent_encoded_or_not_and_be_meant_by_a_wildcard(start_gateway, path):
    async with start_gateway(providers=SERVER, models=MODELS) as gateway:
        answer = await gateway.http.get(f"/v1/models/{path}")
    assert (answer.status_code, answer.json()["id"]) == (200, path.replace("%2F", "/"))
    assert answer.json()["owned_by"] == path.replace("%2F", "/").partition("/")[0]


@pytest.mark.parametrize("name", ["nobody", "openai/gpt-9", "x%2F*", "x%2F", "x/"])
async def test_what_is_not_there_is_neither_shown_nor_deleted(start_gateway, name):
    async with start_gateway(providers=SERVER, models=MODELS) as gateway:
        for method in ("GET", "DELETE"):
            answer = await gateway.http.request(method, f"/v1/models/{name}")
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")


@pytest.mark.parametrize("name", ["helper", "openai/gpt-4o-mini", "x/any", "local/all-minilm-l6-v2"])
async def test_nothing_is_deleted(start_gateway, name):
    async with start_gateway(providers=SERVER, models=MODELS) as gateway:
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await gateway.openai.models.delete(name)
        assert (await gateway.openai.models.retrieve(name)).id == name
    assert (refused.value.type, refused.value.code) == ("invalid_request_error", "insufficient_permissions")
