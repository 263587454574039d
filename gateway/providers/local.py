"""The local model as one more provider, `local/…`: started when a call's turn comes to it, asked like any other server.

Not here: the weights and the child process (`gateway.local_model`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from gateway.local_model.server import Endpoint, LocalModel
from gateway.providers.settings import Limits, ProviderSettings

PATIENT = Limits(first_token=600.0, idle=120.0, total=1200.0, retries=0)
"""A processor reads some 60 tokens of a prompt a second (one thread, Qwen2.5-Coder-1.5B Q4), and requests queue."""

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        # A small model is wrong often enough without chance; who wants chance asks for it.
        "temperature": 0.0,
        # It may repeat itself for ever.
        "max_output_tokens": 1024,
    }
)


class LocalProvider:
    """A `targets.StartedProvider`. A model that died is started again, at another port and with another key."""

    name = "local"
    defaults = DEFAULTS

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self._known: tuple[Endpoint, ProviderSettings] | None = None

    async def __aenter__(self) -> Self:
        await self._model.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._model.__aexit__(None, None, None)

    async def ready(self) -> ProviderSettings:
        endpoint = await self._model.ready()
        if self._known is None or self._known[0] != endpoint:
            settings = ProviderSettings(
                name=self.name,
                litellm_provider="openai",
                base_url=endpoint.base_url,
                api_key=endpoint.api_key,
                native_tools=False,
                limits=PATIENT,
            )
            self._known = endpoint, settings
        return self._known[1]
