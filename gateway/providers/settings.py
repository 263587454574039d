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
    """How long a model may take, in seconds, and how often a call is tried again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first_token: float = Field(
        default=30.0,
        gt=0,
        description="Until the first event of an answer is there.",
        examples=[60],
        json_schema_extra={"unit": "seconds"},
    )
    idle: float = Field(
        default=60.0,
        gt=0,
        description="The longest silence after that.",
        examples=[20],
        json_schema_extra={"unit": "seconds"},
    )
    total: float = Field(
        default=600.0,
        gt=0,
        description="The whole call, with its retries and fallbacks.",
        examples=[120],
        json_schema_extra={"unit": "seconds"},
    )
    retries: int = Field(
        default=2,
        ge=0,
        description="Attempts after the first, for each model.",
        examples=[0],
        json_schema_extra={"unit": "attempts"},
    )


class ProviderSettings(BaseModel):
    """One provider. A model id is `<name>/<model>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=PROVIDER_NAME,
        description="What stands before the slash in ids of its models. It is the key of the entry.",
        examples=["mine"],
    )
    litellm_provider: str = Field(
        default="",
        description="The vendor as LiteLLM names it. Empty: the entry's name where that is a vendor's, else `openai`, "
        "which is any server that speaks OpenAI's chat completions.",
        examples=["azure"],
    )
    api_key: str = Field(
        default="",
        repr=False,
        description="Empty: the vendor's usual variable is used, and none is needed with a `base_url`.",
        examples=["{{env.MINE_KEY}}"],
    )
    base_url: str = Field(
        default="",
        description="In place of the vendor's own; it ends before `/chat/completions`.",
        examples=["http://127.0.0.1:11434/v1"],
    )
    headers: Mapping[str, str] = Field(
        default={}, repr=False, description="Sent with every request.", examples=[{"X-Team": "support"}]
    )
    lane: Literal["auto", "openai", "responses", "transformed", "litellm"] = Field(
        default="auto",
        description="How it is asked: by OpenAI's chat completions or its Responses, by the former after LiteLLM's "
        "transformation, or by LiteLLM itself. `auto` goes by the vendor.",
        examples=["openai"],
    )
    native_tools: bool = Field(
        default=True,
        description="`false` for models that cannot call tools: they are offered as a JSON schema instead.",
        examples=[False],
    )
    extra: Mapping[str, Any] = Field(
        default={},
        description="Merged into every request body as it is; in LiteLLM's lanes its own parameters.",
        examples=[{"api_version": "2024-10-21"}],
    )
    limits: Limits | None = Field(
        default=None, description="In place of the gateway's `limits`.", examples=[{"first_token": 120}]
    )

    @model_validator(mode="after")
    def _not_scripted(self) -> Self:
        """Which files are read as scripts is said by their ids, `scripted/…`, which no wildcard of models matches."""
        if self.litellm_provider == "scripted" and self.name != "scripted":
            raise ValueError("scripts have no other name: write the model as scripted/FILE.yaml")
        return self
