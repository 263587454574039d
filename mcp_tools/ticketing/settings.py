"""The settings of the ticketing server: which tracker, where, as whom. Read no environment: `__main__` does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from mcp_tools.ticketing.errors import SettingsError


class Settings(BaseModel):
    """What `create_server` takes. Sizes are bytes, times seconds, unless the key says otherwise."""

    # The input is left out of error messages: it holds the credentials.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    preset: str = Field(description="A shipped one (`roundup`, `github`) or the path of a YAML file.")
    base_url: str | None = Field(
        default=None, description="The tracker's address; a preset of a hosted tracker has a default."
    )
    web_url: str | None = Field(
        default=None, description="Where people read its tickets; else the preset's, else the base URL."
    )
    user: str | None = Field(default=None, description="For a tracker with Basic authentication.")
    password: SecretStr | None = Field(default=None, description="For a tracker with Basic authentication.")
    token: SecretStr | None = Field(default=None, description="For a tracker with tokens.")
    options: dict[str, str] = Field(
        default={}, description="What the preset asks for besides, such as `repository: owner/name`."
    )
    values: dict[str, list[str]] = Field(
        default={}, description="Allowed values of a field, instead of the preset's: `{status: [new, won]}`."
    )
    data: Path | None = Field(
        default=None, description="Folder for the record of what was made; without it, it is lost with the process."
    )
    plain_http: bool = Field(
        default=False, description="Allow credentials over http:// to a machine that is not this one."
    )
    timeout: float = Field(default=20.0, gt=0, description="For one request, connecting included.")
    attempts: int = Field(default=4, ge=1, le=10, description="How often one request is tried, at most.")
    backoff: float = Field(default=0.3, ge=0, description="Before the second attempt, doubled each time, with jitter.")
    max_wait: float = Field(default=30.0, ge=0, description="A tracker that asks for a longer pause is not waited for.")
    max_bytes: int = Field(default=2 * 1024 * 1024, ge=1024, description="Of one answer; more is not read.")
    max_text: int = Field(default=20_000, ge=100, description="Characters of one text in a tool result; more is cut.")
    remember_hours: float = Field(
        default=24.0,
        gt=0,
        description="How long the same arguments are taken to mean the same ticket; a key of the caller's own is "
        "remembered for 30 days or this time, whichever is longer.",
    )

    @model_validator(mode="after")
    def _addresses_are_plain(self) -> Self:
        for name in ("base_url", "web_url"):
            if (url := getattr(self, name)) is not None:
                check_url(name, url)
        return self

    def secrets(self) -> list[str]:
        """What must never be seen in a message."""
        return [secret.get_secret_value() for secret in (self.password, self.token) if secret]


def check_url(name: str, url: str) -> None:
    """Raises `ValueError` unless it is http(s) with a host and without credentials, query or fragment."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{name} must be an http:// or https:// address")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{name} must not hold credentials: give them as user, password or token")
    if parts.query or parts.fragment:
        raise ValueError(f"{name} must have no query and no fragment")


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Raises `SettingsError`, which names each wrong setting and shows no value."""
    try:
        return Settings.model_validate(dict(given))
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors())
        raise SettingsError("ticketing settings: " + "; ".join(lines)) from None
