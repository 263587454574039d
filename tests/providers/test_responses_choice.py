"""Which models are asked with Responses: the choice alone, because OpenAI's own addresses cannot be asked here."""

import pytest

from gateway.providers.litellm_import import LiteLLM
from gateway.providers.settings import Limits, ProviderSettings
from gateway.providers.targets import named_vendor, target_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("model", "settings", "lane", "name", "base_url"),
    [
        ("openai/responses/gpt-5", {}, "responses", "gpt-5", "https://api.openai.com/v1"),
        ("openai/gpt-5", {}, "openai", "gpt-5", "https://api.openai.com/v1"),
        ("openai/gpt-5-codex", {}, "responses", "gpt-5-codex", "https://api.openai.com/v1"),
        ("openai/o1-pro", {"base_url": "https://eu.api.openai.com/v1"}, "responses", "o1-pro", None),
        ("openai/o1-pro", {"base_url": "https://us2.api.openai.com/v1"}, "responses", "o1-pro", None),
        ("openai/o1-pro", {"base_url": "https://api.openai.com:443/v1"}, "responses", "o1-pro", None),
        ("openai/o1-pro", {"base_url": "https://API.openai.com/v1"}, "responses", "o1-pro", None),
        ("openai/o1-pro", {"base_url": "http://api.openai.com/v1"}, "responses", "o1-pro", None),
        ("openai/o1-pro", {"base_url": "https://notapi.openai.com/v1"}, "openai", "o1-pro", None),
        ("openai/o1-pro", {"base_url": "https://api.openai.com.h/v1"}, "openai", "o1-pro", None),
        ("openai/o1-pro", {"base_url": "http://h/v1"}, "openai", "o1-pro", "http://h/v1"),
        ("openai/o1-pro", {"lane": "openai"}, "openai", "o1-pro", None),
        ("mine/responses/m", {"base_url": "http://h/v1"}, "responses", "m", "http://h/v1"),
        ("mine/m", {"base_url": "http://h/v1", "lane": "responses"}, "responses", "m", "http://h/v1"),
        ("anthropic/responses/m", {}, "transformed", "responses/m", None),
        ("azure/responses/m", {"base_url": "https://r.openai.azure.com"}, "responses", "m",
         "https://r.openai.azure.com/openai/v1"),
        ("azure/m", {"base_url": "https://r.openai.azure.com"}, "litellm", "m", "https://r.openai.azure.com"),
    ],
)  # fmt: skip
def test_a_model_is_asked_with_responses_if_its_name_says_so_or_it_is_nowhere_else(
    model, settings, lane, name, base_url
):
    given = ProviderSettings(name=model.partition("/")[0], api_key="k", **settings)
    vendor_name, vendor = named_vendor(given)
    target = target_of(model, given, vendor, vendor_name, {}, Limits())
    assert (target.id, target.lane, target.model) == (model, lane, name)
    assert base_url is None or target.base_url == base_url


async def test_openais_models_without_chat_completions_are_those_of_litellm():
    litellm = await LiteLLM().module()
    openai_settings = ProviderSettings(name="openai", api_key="k")
    vendor_name, vendor = named_vendor(openai_settings)
    for model, known in litellm.model_cost.items():
        if known.get("litellm_provider") == "openai" and known.get("mode") in ("chat", "responses"):
            target = target_of(f"openai/{model}", openai_settings, vendor, vendor_name, {}, Limits())
            assert (target.lane == "responses") is (known["mode"] == "responses"), model
