"""Why a model cannot be asked as things are set up. Found out without asking its provider anything."""

from collections.abc import Mapping

from gateway.errors import ProviderError
from gateway.providers.litellm_import import LiteLLM
from gateway.providers.lookup import lookup
from gateway.providers.settings import Limits, ProviderSettings
from gateway.providers.targets import named_vendor, provider_of, target_of


def missing(model: str, configured: Mapping[str, ProviderSettings], keys: Mapping[str, str]) -> ProviderError | None:
    """None when nothing is known to be missing: a vendor that only LiteLLM knows is taken to be there.

    `keys` are the vendors' environment variables. It takes microseconds, and LiteLLM is not imported.
    """
    try:
        provider = provider_of(model, configured)
        name, vendor = named_vendor(provider)
        if vendor is not None:
            target_of(model, provider, vendor, name, keys, Limits())
    except ProviderError as error:
        return error
    return None


async def missing_anywhere(
    model: str, configured: Mapping[str, ProviderSettings], keys: Mapping[str, str], litellm: LiteLLM
) -> ProviderError | None:
    """The same, and LiteLLM, whose import takes seconds, is asked about a vendor that nothing else knows."""
    try:
        provider = provider_of(model, configured)
        name, vendor = named_vendor(provider)
        vendor = vendor or await lookup(litellm, name)
        target_of(model, provider, vendor, name, keys, Limits())
    except ProviderError as error:
        return error
    return None
