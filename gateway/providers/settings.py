"""What the host says about model providers: values only, read by nobody else from anywhere else.

Not here: what is known about vendors without being told (`vendors`).
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PROVIDER_NAME = r"^[A-Za-z0-9._-]+$"
"""What a provider may be called: the part of a model's id before the first slash."""

Lane = Literal["openai", "responses", "transformed", "litellm", "scripted"]


class Limits(BaseModel):
    """How long a model may take, in seconds, and how often a call is tried again.

    `first_token` ends when the first event is there; `idle` is the longest silence after that; `total` spans the
    whole call with its retries and fallbacks. `retries` counts attempts after the first, per model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_token: float = Field(default=30.0, gt=0)
    idle: float = Field(default=60.0, gt=0)
    total: float = Field(default=600.0, gt=0)
    retries: int = Field(default=2, ge=0)


class ProviderSettings(BaseModel):
    """One provider. A model id is `<name>/<model>`.

    `litellm_provider` is the vendor as LiteLLM names it; left out, it is `name` where that is a vendor's, else
    `openai` (any server that speaks OpenAI's chat completions). `base_url` replaces the vendor's own and ends before
    `/chat/completions`. Without `api_key` the vendor's usual variable is used, and none is needed with a `base_url`.
    `headers` go with every request. `lane` is chosen by vendor unless given; `responses` asks a server that speaks
    OpenAI's wire with Responses in place of chat completions. `native_tools: false` is for models that
    cannot call tools: they are offered as a JSON schema instead. `extra` is merged into every request body as it is
    (LiteLLM's own parameters, such as `api_version`, in the lanes that are LiteLLM's). `limits` replaces the host's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=PROVIDER_NAME)
    litellm_provider: str = ""
    api_key: str = Field(default="", repr=False)
    base_url: str = ""
    headers: Mapping[str, str] = Field(default={}, repr=False)
    lane: Literal["auto", "openai", "responses", "transformed", "litellm"] = "auto"
    native_tools: bool = True
    extra: Mapping[str, Any] = {}
    limits: Limits | None = None

    @model_validator(mode="after")
    def _not_scripted(self) -> Self:
        """Which files are read as scripts is said by their ids, `scripted/…`, which no wildcard of models matches."""
        if self.litellm_provider == "scripted" and self.name != "scripted":
            raise ValueError("scripts have no other name: write the model as scripted/FILE.yaml")
        return self
