"""A model id becomes a target: which vendor, which lane, where and with what key.

Configured providers come first, then the table of vendors, then LiteLLM's own list (see `lookup`). Not here: how a
request is sent.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import unquote, urlsplit

from gateway.errors import ProviderKeyRejected, ProviderRefused
from gateway.events import ModelEvent
from gateway.ports import ModelCall
from gateway.providers.settings import PROVIDER_NAME, Lane, Limits, ProviderSettings
from gateway.providers.vendors import INTERACTIVE, ONLY_RESPONSES, VENDORS, Vendor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """Where one model is reached. `id` is what StepDone names, `model` the vendor's name for it.

    `litellm_provider` is the vendor's name in LiteLLM. `openai`: the address is one of OpenAI's own. An empty `api_key`
    means that none is sent. `secrets` are what no message may show. `defaults` are the `ModelCall.options` of a call
    that does not say otherwise.
    """

    id: str
    model: str
    provider: ProviderSettings
    litellm_provider: str
    vendor: Vendor
    lane: Lane
    base_url: str
    openai: bool
    api_key: str
    secrets: tuple[str, ...]
    limits: Limits
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])


Said_co = TypeVar("Said_co", covariant=True)


class Answer(Protocol[Said_co]):
    """One attempt at one model call, said in events or in bytes. The request is sent by the first `next`."""

    async def next(self) -> Sequence[Said_co] | None:
        """What arrived says, maybe nothing; None after the last. Raises ProviderError."""
        ...

    async def close(self) -> None:
        """Abort the upstream request if it is still going on. Never raises; may be called twice."""
        ...


class StartedProvider(Protocol):
    """A provider that has to be started before it can be asked. It is entered and left with the router."""

    @property
    def name(self) -> str: ...
    @property
    def defaults(self) -> Mapping[str, Any]:
        """`Target.defaults` of its models."""
        ...

    async def ready(self) -> ProviderSettings:
        """Where it is reached now; the same object until that changes. Awaited when a call's turn comes to it.

        Raises ProviderError.
        """
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...


class LaneClient(Protocol):
    """One way to reach models."""

    def begin(self, call: ModelCall, target: Target) -> Answer[ModelEvent]:
        """Raises ProviderRefused for what this vendor cannot be asked."""
        ...


def split(model: str) -> tuple[str, str]:
    provider, slash, name = model.partition("/")
    if not slash or not re.fullmatch(PROVIDER_NAME, provider) or not name:
        raise ProviderRefused(
            f"The model {model!r} does not say its provider: write provider/model, such as openai/gpt-4o-mini.",
            code="model_not_found",
        )
    return provider, name


def provider_of(model: str, configured: Mapping[str, ProviderSettings]) -> ProviderSettings:
    """Who has this model: the provider that the host configured under that name, else the vendor with that name."""
    provider, _ = split(model)
    return configured.get(provider) or ProviderSettings(name=provider, litellm_provider=provider)


def named_vendor(settings: ProviderSettings) -> tuple[str, Vendor | None]:
    """The vendor's name in LiteLLM, and what the table knows of it. A server of any other name is taken to speak
    OpenAI's wire in its oldest and most widely understood form."""
    name = settings.litellm_provider or settings.name
    if name in VENDORS:
        return name, VENDORS[name]
    return (name, None) if settings.litellm_provider else ("openai", ANY_SERVER)


ANY_SERVER = Vendor(needs_key=False)


def target_of(
    model: str, settings: ProviderSettings, vendor: Vendor, name: str, keys: Mapping[str, str], limits: Limits
) -> Target:
    """Raises ProviderKeyRejected naming the variable to set, and ProviderRefused where no address is known."""
    if name in INTERACTIVE:
        raise ProviderRefused(f"The provider {name!r} needs a person to log in, so a gateway cannot use it.")
    given = settings.base_url or first(vendor.bases, keys)
    base_url = (given or vendor.base_url).rstrip("/")
    lane, vendors_name = way_to(split(model)[1], settings, vendor, name, base_url)
    own_wire = lane in ("openai", "responses")
    if base_url and own_wire and not base_url.endswith(vendor.base_path):
        base_url += vendor.base_path
    if own_wire and not base_url:
        variables = " or ".join(vendor.bases) or "base_url"
        raise ProviderRefused(f"The provider {settings.name!r} needs an address: set {variables}.", code="no_base_url")
    # A vendor's key goes to the vendor, or to where its own variables point; never to another configured address.
    own = settings.base_url == "" or settings.name == name
    # A key read from a file often ends in a line break.
    api_key = (settings.api_key or (first(vendor.keys, keys) if own else "")).strip()
    if not api_key and vendor.needs_key and not given:
        variable = vendor.keys[0] if vendor.keys else f"{name.upper()}_API_KEY"
        raise ProviderKeyRejected(
            f"There is no key for the provider {settings.name!r}. Set {variable}.", code="provider_key_missing"
        )
    return Target(
        id=model,
        model=vendors_name,
        provider=settings,
        litellm_provider=name,
        vendor=vendor,
        lane=lane,
        base_url=base_url,
        openai=is_openai(base_url),
        api_key=api_key,
        secrets=secrets_of(api_key, settings.headers, base_url),
        limits=settings.limits or limits,
    )


def way_to(model: str, settings: ProviderSettings, vendor: Vendor, name: str, base_url: str) -> tuple[Lane, str]:
    """The lane of a model and the vendor's name for it.

    OpenAI's Responses are asked for by a name that begins with `responses/`, as in LiteLLM, and for OpenAI's models
    that are nowhere else.
    """
    lane: Lane = vendor.lane if settings.lane == "auto" else settings.lane
    if model.startswith(RESPONSES) and (lane in ("openai", "responses") or (name == "azure" and lane == "litellm")):
        return "responses", model.removeprefix(RESPONSES)
    if settings.lane == "auto" and lane == "openai" and is_openai(base_url) and ONLY_RESPONSES.match(model):
        return "responses", model
    return lane, model


RESPONSES = "responses/"


def is_openai(base_url: str) -> bool:
    """Whether this is one of OpenAI's own addresses, regional ones among them. Only the host says so."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        return False
    return f".{host}".endswith(OPENAI)


OPENAI = ".api.openai.com"
"""How OpenAI's hosts end."""


def secrets_of(api_key: str, headers: Mapping[str, str], base_url: str) -> tuple[str, ...]:
    """The longest first, so that none is left over from one that it is a part of."""
    found = {api_key, *headers.values()}
    for value in headers.values():
        # `Bearer KEY`, `id=KEY, …`: a vendor quotes what it understood of it.
        found.update(part for part in (*value.split(), *PARTS.split(value)) if len(part) >= 8)
    try:
        address = urlsplit(base_url)
    except ValueError:
        address = urlsplit("")
    user, password = address.username or "", address.password or ""
    for name, word in ((user, password), (unquote(user), unquote(password))):
        found |= {word or name, base64.b64encode(f"{name}:{word}".encode()).decode()} if name or word else set()
    return tuple(sorted(found - {""}, key=len, reverse=True))


PARTS = re.compile(r"""[\s,;="']+""")


def first(names: tuple[str, ...], keys: Mapping[str, str]) -> str:
    return next((keys[name] for name in names if keys.get(name)), "")
