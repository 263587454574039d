"""One request to the tracker, tried as often as is safe: address, credentials, waiting, limits, errors in words.

Nothing here knows tickets. A request never leaves the configured address, redirects are not followed, and no
connection is kept: a kept one that the tracker has closed meanwhile would make a lost POST out of an unsent one.
"""

import base64
import json
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import httpx2

from mcp_tools.ticketing.errors import OutcomeUnknown, Refused, SettingsError, TicketingError
from mcp_tools.ticketing.preset import Preset, Step
from mcp_tools.ticketing.settings import Settings, check_url
from mcp_tools.ticketing.template import find, render, render_path

NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
REASON_LENGTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `doubtful`: an earlier try of the same request got no answer and may have been carried out."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    cut: bool = False
    doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trouble:
    """Why there is no answer yet. `pause`: seconds the tracker asks for; `perhaps_done`: it may have done it."""

    text: str
    pause: float = 0.0
    perhaps_done: bool = False


class Tracker:
    """A preset at an address, with credentials. Raises `SettingsError` if they do not fit.

    Entered like a file by each of its users, who may be several at a time.
    """

    def __init__(self, preset: Preset, settings: Settings) -> None:
        self.preset = preset
        self._settings = settings
        base = settings.base_url or preset.base_url
        if base is None:
            raise SettingsError(f"ticketing settings: preset {preset.name} needs base_url, the tracker's address")
        try:
            check_url("base_url", base)
        except ValueError as error:
            raise SettingsError(f"preset {preset.name}: {error}") from None
        self.base = base.rstrip("/").removesuffix("/" + preset.api.rstrip("/")) + "/"  # taken with or without `api`
        self._api = self.base + preset.api
        web = (settings.web_url or preset.web_url or self.base).rstrip("/") + "/"
        self.names: Mapping[str, Any] = {
            "options": _checked_options(preset, settings),
            "user": settings.user,
            "base_url": self.base,
            "web_url": web,
            "web_origin": "{0.scheme}://{0.netloc}".format(urlsplit(web)),
        }
        self._users = 0
        self._secrets = settings.secrets()
        self._headers = {**(render(preset.headers, self.names) or {}), **self._credentials()}
        parts = urlsplit(self.base)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not settings.plain_http:
            raise SettingsError("ticketing settings: base_url is http://: credentials would travel in the clear")

    async def __aenter__(self) -> Self:
        self._users += 1
        if self._users > 1:
            return self
        self._http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(self._settings.timeout, connect=min(self._settings.timeout, 5.0)),
            limits=httpx2.Limits(max_connections=20, max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,  # no netrc, and no proxy that the settings do not name
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._users -= 1
        if not self._users:
            await self._http.aclose()

    def redact(self, text: str) -> str:
        """The text without any credential in it, whoever wrote it there."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text

    async def send(self, step: Step, names: Mapping[str, Any]) -> dict[str, Any]:
        """Do one step. The answer as templates see it: `body` (JSON) and `headers` (lower-case names).

        Raises `Refused`, and `OutcomeUnknown` where the request may have been carried out all the same.
        """
        request = self._request(step, names)
        answer = await self._try(step, request)
        if not 200 <= answer.status < 300:
            raise self._refusal(answer, step)
        return {"body": self._json(answer, step), "headers": dict(answer.headers)}

    def _request(self, step: Step, names: Mapping[str, Any]) -> httpx2.Request:
        url = httpx2.URL(self._api + render_path(step.path, names))
        api = httpx2.URL(self._api)
        if (url.scheme, url.host, url.port) != (api.scheme, api.host, api.port) or not url.path.startswith(api.path):
            raise TicketingError(f"Preset {self.preset.name}, step {step.id}: the request would leave {self._api}.")
        headers = {**(render(step.headers, names) or {}), **self._headers}
        body = None if step.json_ is None else render(step.json_, names) or {}
        return self._http.build_request(
            step.method, url, headers=headers, params=render(step.query, names) or None, json=body
        )

    async def _try(self, step: Step, request: httpx2.Request) -> Answer:
        doubtful = False
        trouble = _Trouble(text="")
        for attempt in range(1, self._settings.attempts + 1):
            result = await self._attempt(request)
            if isinstance(result, Answer):
                return replace(result, doubtful=doubtful)
            trouble = result
            doubtful = doubtful or (trouble.perhaps_done and step.method != "GET")
            if trouble.pause > self._settings.max_wait or (trouble.perhaps_done and not step.safe):
                break
            if attempt < self._settings.attempts:
                backoff = self._settings.backoff * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
                await anyio.sleep(max(trouble.pause, backoff))
        if doubtful:
            raise OutcomeUnknown(trouble.text)
        unchanged = "" if step.method == "GET" else " Nothing was changed by this."
        raise Refused(f"{trouble.text}{unchanged} Try again later.")

    async def _attempt(self, request: httpx2.Request) -> Answer | _Trouble:
        try:
            answer = await self._once(request)
        except NOT_SENT as error:
            return _Trouble(text=f"The tracker cannot be reached at {self.base} ({type(error).__name__}).")
        except (httpx2.RequestError, TimeoutError) as error:
            text = f"The tracker at {self.base} gave no whole answer ({type(error).__name__})."
            return _Trouble(text=text, perhaps_done=True)
        pause = self._pause_asked_for(answer)
        if pause is not None:
            return _Trouble(text=f"The tracker is limiting requests and asks to wait {pause:.0f} seconds.", pause=pause)
        if answer.status >= 500:
            text = f"The tracker failed (HTTP {answer.status}{self._quoted_reason(answer)})."
            return _Trouble(text=text, perhaps_done=True)
        return answer

    async def _once(self, request: httpx2.Request) -> Answer:
        with anyio.fail_after(self._settings.timeout):
            response = await self._http.send(request, stream=True)
            try:
                content = bytearray()
                cut = False
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if cut := len(content) > self._settings.max_bytes:
                        break
            finally:
                await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(status=response.status_code, headers=headers, content=bytes(content), cut=cut)

    def _pause_asked_for(self, answer: Answer) -> float | None:
        """Seconds the tracker wants to be left alone; None if it did not turn the request away for that reason."""
        after = seconds_until(answer.headers.get("retry-after"))
        limit = self.preset.rate_limit
        if answer.status == 429:
            return self._renewal(answer) if after is None else after
        if answer.status == 503:
            return after
        # https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api: 403 or 429
        if answer.status == 403 and (after is not None or (limit and answer.headers.get(limit.remaining) == "0")):
            return self._renewal(answer) if after is None else after
        return None

    def _renewal(self, answer: Answer) -> float:
        reset = answer.headers.get(self.preset.rate_limit.reset, "") if self.preset.rate_limit else ""
        return max(0.0, float(reset) - time.time()) if re.fullmatch(r"\d{9,}(\.\d+)?", reset) else 0.0

    def _json(self, answer: Answer, step: Step) -> Any:
        where = f"Preset {self.preset.name}, step {step.id}"
        if answer.cut:
            trouble = f"{where}: the answer is larger than {self._settings.max_bytes} bytes. Ask for less."
        elif not answer.content.strip():
            return {}
        else:
            try:
                return json.loads(answer.content)
            except ValueError:
                kind = answer.headers.get("content-type", "no content type")
                trouble = f"{where}: the answer is not JSON ({kind[:80]}). Is the base URL the tracker's?"
        if step.effect:
            raise OutcomeUnknown(f"The tracker accepted the request, but its answer cannot be read. {trouble}")
        raise TicketingError(trouble)

    def _refusal(self, answer: Answer, step: Step) -> Refused:
        reason = self._reason(answer)
        match answer.status:
            case status if 300 <= status < 400:
                to = urlsplit(answer.headers.get("location", ""))
                advice = f"It points to {to.scheme}://{to.hostname or ''}, and redirects are not followed: the base "
                advice += "URL, or the project, is no longer the right one. Tell the person who runs this server."
            case 401:
                advice = "The credentials of this server are wrong: trying again does not help. Tell the person who "
                advice += "runs it."
            case 403:
                advice = "The account of this server is not allowed to do this: trying again does not help."
            case 404 | 410:
                advice = "There is no such ticket, or this server's account cannot see it. search_tickets finds ids."
            case 412:
                advice = "The ticket was changed by someone else at the same time. Read it and decide again."
            case _:
                advice = "Nothing was changed. Correct the arguments before you try again."
        said = self._quoted_reason(answer)
        message = f"The tracker refused (HTTP {answer.status}{said}). {advice}"
        return Refused(message, status=answer.status, reason=reason, doubtful=answer.doubtful)

    def _reason(self, answer: Answer) -> str:
        try:
            body = json.loads(answer.content)
        except ValueError:
            body = None
            plain = answer.headers.get("content-type", "").startswith("text/plain")
            found = answer.content.decode("utf-8", "replace") if plain else ""
        else:
            found = next((str(text) for path in self.preset.error if (text := find(body, path))), "")
        visible = "".join(character if character.isprintable() else " " for character in found)
        return self.redact(" ".join(visible.split()))[:REASON_LENGTH]

    def _quoted_reason(self, answer: Answer) -> str:
        reason = self._reason(answer)
        return f": {reason}" if reason else ""

    def _credentials(self) -> dict[str, str]:
        auth, settings = self.preset.auth, self._settings
        if auth.scheme == "basic":
            if not settings.user or not settings.password:
                raise SettingsError(f"ticketing settings: preset {self.preset.name} needs user and password")
            pair = f"{settings.user}:{settings.password.get_secret_value()}".encode()
            encoded = base64.b64encode(pair).decode()
            self._secrets.append(encoded)
            return {auth.header: f"Basic {encoded}"}
        if not settings.token:
            raise SettingsError(f"ticketing settings: preset {self.preset.name} needs a token")
        prefix = "Bearer " if auth.scheme == "bearer" else auth.prefix
        return {auth.header: prefix + settings.token.get_secret_value()}


def seconds_until(retry_after: str | None) -> float | None:
    """`Retry-After` (RFC 9110, 10.2.3) in seconds from now; None where it is absent or neither form."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _checked_options(preset: Preset, settings: Settings) -> dict[str, str]:
    if unknown := settings.options.keys() - preset.options.keys():
        raise SettingsError(f"ticketing settings: preset {preset.name} has no option {', '.join(sorted(unknown))}")
    for name, option in preset.options.items():
        if name not in settings.options:
            raise SettingsError(f"ticketing settings: preset {preset.name} needs options.{name}: {option.description}")
        if not re.fullmatch(option.pattern, settings.options[name]):
            raise SettingsError(f"ticketing settings: options.{name} must match {option.pattern}: {option.description}")
    return dict(settings.options)
