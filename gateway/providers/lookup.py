"""Vendors that are not in the table, as LiteLLM knows them. Importing it is the price of asking."""

from typing import Any

from gateway.errors import ProviderRefused
from gateway.providers.litellm_import import LiteLLM
from gateway.providers.vendors import INTERACTIVE, Vendor


async def lookup(litellm: LiteLLM, name: str) -> Vendor:
    """The vendor with this name in LiteLLM. Raises ProviderRefused where there is none.

    One that speaks OpenAI's wire at an address LiteLLM knows takes lane 1; any other `litellm.acompletion`.
    """
    if name in INTERACTIVE:
        raise ProviderRefused(f"The provider {name!r} needs a person to log in, so a gateway cannot use it.")
    module = await litellm.module()
    if name not in known_names(module):
        raise ProviderRefused(
            f"There is no provider {name!r}: it is neither configured nor known to LiteLLM.", code="model_not_found"
        )
    stem = name.upper().replace("-", "_")
    keys, bases = (f"{stem}_API_KEY",), (f"{stem}_API_BASE",)
    address = address_of(module, name) if name in module.openai_compatible_providers else ""
    if address:
        return Vendor(lane="openai", base_url=address, keys=keys, bases=bases)
    # LiteLLM reads these vendors' variables itself: it knows more of them than this guess.
    return Vendor(lane="litellm", keys=keys, bases=bases, needs_key=False)


def known_names(module: Any) -> set[str]:
    return {str(getattr(provider, "value", provider)) for provider in module.provider_list}


def address_of(module: Any, name: str) -> str:
    """The base URL that LiteLLM uses for this vendor; empty if it has none."""
    try:
        _, _, _, address = module.get_llm_provider(f"{name}/model")
    except Exception:  # noqa: BLE001 - LiteLLM raises anything; the boundary to it is here
        return ""
    return str(address or "").rstrip("/")
