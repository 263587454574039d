"""`homeport doctor --online`: asks models for a word each, and says in a line what is wrong and what to do about it."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing

from gateway.app import providers
from gateway.cli.needs import key_of
from gateway.errors import (
    ProviderError,
    ProviderKeyRejected,
    ProviderOverloaded,
    ProviderQuotaExceeded,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
)
from gateway.items import Message, Text
from gateway.local_model.server import LocalModelUnavailable
from gateway.ports import ModelCall, Provider
from gateway.providers.bundled_embedder import BundledEmbedder
from gateway.providers.settings import Limits
from gateway.settings import Settings

ONCE = Limits(first_token=20.0, idle=20.0, total=30.0, retries=0)
"""A person waits for it, and a second attempt would hide what is to be found out. The local model has its own."""
QUESTION = Message(id="msg_1", role="user", content=(Text(text="Answer with the word OK."),))
LONGEST = 300
"""Characters of what a provider says that are shown: more than a line is no help."""


async def tried(settings: Settings, models: Iterable[str]) -> dict[str, str]:
    """Each model, and why it did not answer; empty if it did. All are asked at once, each for a few tokens."""
    names = list(models)
    patient = {name: one.model_copy(update={"limits": None}) for name, one in settings.providers.items()}
    changed = settings.model_copy(update={"limits": ONCE, "providers": patient})
    async with providers(changed, BundledEmbedder()) as router:
        return dict(zip(names, await asyncio.gather(*(ask(settings, router, name) for name in names)), strict=True))


async def ask(settings: Settings, provider: Provider, model: str) -> str:
    try:
        async with aclosing(provider.stream(ModelCall(models=(model,), items=(QUESTION,)))) as events:
            # The first is enough: the address, the key and the model's name were accepted.
            await anext(events, None)
    except ProviderError as error:
        said = " ".join(str(error).split())
        said = said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
        return " ".join([said, *advice(settings, model, error)])
    return ""


def advice(settings: Settings, model: str, error: ProviderError) -> list[str]:
    """What to do next, where the error does not say so itself."""
    if error.code in ("provider_key_missing", "no_base_url") or isinstance(error, LocalModelUnavailable):
        return []
    match error:
        case ProviderKeyRejected():
            return [f"Look at the key: {key_of(settings, model)}."]
        case ProviderQuotaExceeded():
            return ["Look at the plan and the credit of the account."]
        case ProviderRateLimited() | ProviderOverloaded():
            return ["Try again in a minute."]
        case ProviderRefused() if error.code == "model_not_found":
            return ["Look at the model's name in the agent document, and at the provider's `base_url`."]
        case ProviderRefused():
            return ["Look at the agent's `model` and the provider's settings."]
        case ProviderTimeout():
            return ["Look at the provider's `base_url`, the network and the proxy; it may only be slow."]
        case _:
            return ["Look at the provider's `base_url`, the network and the proxy."]
