"""The table of vendors: which lane, which address, which variables. Compared with LiteLLM, where it comes from."""

import pytest

from gateway.providers.litellm_import import LiteLLM
from gateway.providers.lookup import lookup
from gateway.providers.settings import Limits, ProviderSettings
from gateway.providers.targets import named_vendor, target_of
from gateway.providers.vendors import VENDORS

pytestmark = pytest.mark.anyio

LANES = {
    "openai": {
        "openai", "mistral", "deepseek", "groq", "openrouter", "together_ai", "fireworks_ai", "xai", "cerebras",
        "perplexity", "nvidia_nim", "deepinfra", "sambanova", "moonshot", "dashscope", "zai", "nebius", "novita",
        "hyperbolic", "vercel_ai_gateway", "ollama", "ollama_chat", "hosted_vllm", "lm_studio", "llamafile",
    },
    "transformed": {"anthropic"},
    "litellm": {"gemini", "vertex_ai", "bedrock", "azure", "azure_ai", "cohere", "cohere_chat"},
    "scripted": {"scripted"},
}  # fmt: skip

DIFFERENT = {
    # LiteLLM uses DeepSeek's beta address; the plain one is what DeepSeek documents for chat completions.
    "deepseek": "https://api.deepseek.com/beta",
}


def test_each_vendor_has_its_lane():
    assert {lane: {name for name, vendor in VENDORS.items() if vendor.lane == lane} for lane in LANES} == LANES


async def test_addresses_are_those_of_litellm():
    litellm = await LiteLLM().module()
    for name, vendor in VENDORS.items():
        if vendor.lane == "openai" and vendor.base_url and name not in ("openai", "openrouter", "ollama_chat"):
            _, _, _, address = litellm.get_llm_provider(f"{name}/m")
            assert address == DIFFERENT.get(name, vendor.base_url)


async def test_a_vendor_outside_the_table_is_found_in_litellm():
    litellm = LiteLLM()
    parasail = await lookup(litellm, "parasail")
    assert (parasail.lane, parasail.base_url, parasail.keys) == (
        "openai", "https://api.parasail.io/v1", ("PARASAIL_API_KEY",),
    )  # fmt: skip
    assert (await lookup(litellm, "watsonx")).lane == "litellm"


@pytest.mark.parametrize(
    ("settings", "vendor", "lane", "max_tokens"),
    [
        ({"name": "openai"}, "openai", "openai", "max_completion_tokens"),
        ({"name": "mine"}, "openai", "openai", "max_tokens"),
        ({"name": "mine", "litellm_provider": "anthropic"}, "anthropic", "transformed", "max_tokens"),
        ({"name": "mine", "litellm_provider": "groq", "lane": "litellm"}, "groq", "litellm", "max_tokens"),
    ],
)
def test_a_configured_provider_is_what_its_settings_say(settings, vendor, lane, max_tokens):
    given = ProviderSettings(base_url="http://h/v1/", **settings)
    name, known = named_vendor(given)
    assert known is not None
    target = target_of(f"{given.name}/a/b", given, known, name, {}, Limits())
    assert (target.litellm_provider, target.lane, target.model, target.base_url) == (vendor, lane, "a/b", "http://h/v1")
    assert target.vendor.max_tokens == max_tokens


async def test_litellm_is_quiet_and_keeps_to_itself():
    litellm = await LiteLLM().module()
    assert litellm.disable_hf_tokenizer_download
    assert litellm.suppress_debug_info
    assert litellm.REPEATED_STREAMING_CHUNK_LIMIT > 100_000
