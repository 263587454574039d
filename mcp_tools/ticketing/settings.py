"""The settings of the ticketing server: which tracker, where, as whom. Read no environment: `__main__` does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from mcp_tools.ticketing.errors import SettingsError


class Settings(BaseModel):
    """What `create_server` takes.

    preset           a shipped one (`roundup`, `github`) or the path of a YAML file
    base_url         the tracker's address; a preset of a hosted tracker has a default
    web_url          where people read its tickets; default: the preset's, else the base URL
    user, password   for a tracker with Basic authentication
    token            for a tracker with tokens
    options          what the preset asks for besides, such as `repository: owner/name`
    values           allowed values of a field, instead of the preset's: `{status: [new, won]}`
    data             directory for the record of what was made; None: it is lost with the process
    plain_http       allow credentials over http:// to a machine that is not this one
    timeout          seconds for one request, connecting included
    attempts         how often one request is tried, at most
    backoff          seconds before the second attempt, doubled each time, with jitter
    max_wait         seconds: a tracker that asks for a longer pause is not waited for
    max_bytes        of one answer; more is not read
    max_text         characters of one text in a tool result; more is cut
    remember_hours   how long the same arguments are taken to mean the same ticket; a key of the caller's own is
                     remembered for 30 days or this time, whichever is longer
    """

    # The input is left out of error messages: it holds the credentials.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    preset: str
    base_url: str | None = None
    web_url: str | None = None
    user: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    options: dict[str, str] = {}
    values: dict[str, list[str]] = {}
    data: Path | None = None
    plain_http: bool = False
    timeout: float = Field(default=20.0, gt=0)
    attempts: int = Field(default=4, ge=1, le=10)
    backoff: float = Field(default=0.3, ge=0)
    max_wait: float = Field(default=30.0, ge=0)
    max_bytes: int = Field(default=2 * 1024 * 1024, ge=1024)
    max_text: int = Field(default=20_000, ge=100)
    remember_hours: float = Field(default=24.0, gt=0)

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
