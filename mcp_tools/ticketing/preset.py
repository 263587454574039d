"""The description of one tracker: a YAML file that says which HTTP requests each ticketing tool makes.

Shipped files are in `presets/`; `preset: ./jira.yaml` in the settings names one of your own. A preset holds no
address of yours and no secret: those come from the settings. Start from `presets/github.yaml`, the plainest.

    format: 1                     # this format
    name: acme                    # [a-z0-9_-]; used in messages and as the scope of remembered tickets
    title: ACME Desk              # what the tool descriptions call it
    base_url: https://api.acme    # optional default of the setting of the same name
    web_url: https://acme         # optional: where people read tickets; default: the base URL
    api: rest/v1/                 # put between the base URL (which may already end with it) and every request path
    auth: {scheme: bearer}        # basic (user, password) | bearer (token) | header (token), with `header`, `prefix`
    headers: {Accept: text}       # sent with every request; templates allowed
    error: [error.msg, message]   # paths, first found wins: what the tracker says about a refused request
    id_pattern: '[0-9]+'          # the whole id must match; anything else is refused before any request
    url: '${web_url}t/${id}'      # page of a ticket, for people; `comment_url` likewise (${id}, ${comment_id})
    options:                      # settings this tracker needs beyond address and credentials
      project: {description: Project key, pattern: '[A-Z]+'}
    fields:                       # arguments beside the fixed ones: of which tools, and their allowed values
      status: {tools: [update_ticket, search_tickets], values: [open, closed]}
    rate_limit: {remaining: x-remaining, reset: x-reset}   # optional headers; Retry-After is always understood
    ticket: {id: id, title: title, status: state}          # where the fields of a ticket are in the tracker's JSON
    comment: {id: id, author: user.name, body: text}
    tools:                        # all five: open_ticket read_ticket update_ticket add_comment search_tickets
      read_ticket:
        steps: [{id: read, request: 'GET tickets/${args.id}'}]
        result: {ticket: read.body}

Fields an argument can be: title, body, status, priority, labels (a list), assignee. `title` and `body` need no
entry unless a tool cannot take them; the other four are offered only where `fields` says so. A ticket can have
`id`, `title`, `status` (all needed), `body`, `priority`, `labels`, `assignee`, `author`, `created_at`,
`updated_at`, `comment_count`; a comment `id`, `author`, `body`, `created_at`.

Where a value is (`ticket`, `comment`): a path such as `user.name` or `items.0.id`, or a mapping with `path` and
one of `each` (of every list element, the value at that path), `date` (a strptime format, UTC; ISO 8601 comes
out), `count: true` (length of the list). A search result's item and a ticket that was read have the same shape.

Templates, in paths, `query`, `headers`, `json`: `${args.title}` alone keeps its JSON type; inside text it becomes
text. A value that is missing drops its key, or its list element; a list or mapping left empty by that is dropped
too. `{$join: ' ', of: [a, b]}` is the text of what is left of a list. In a path a value is percent-encoded as one
segment, and `.` and `..` are refused. Names: `args` (the call's), `options`, `user`, `base_url`, `web_url`,
`web_origin`, `begun` (when the call was first begun), and per step its `body`, `headers`, and what it `take`s by
name. Filters, `${value|filter:argument}`: `words` (text to a list), `quoted_words` (each word in double quotes,
so that none is an operator of a search language), `each:path`, `last:50`, `join:,`, `utc:%Y-%m-%d` (a time),
`path` (in a path: keep the slashes of an option).

A step: `id`; `request` (method and path); `query`, `headers`, `json`; `when` (do it only if that template gives a
value); `take` (name to path, or to {path, pattern} whose first group is kept: what later steps need);
`repeatable` (sending it twice does no harm: GET always is; such a step is sent again after a lost answer);
`remember` (its `take` outlives a crash, and the step is not done again); `restart: {status: [412], from: step}`
(go back to that step, which reads the ticket anew); `effect` (open_ticket and add_comment have exactly one: the
request that makes the thing); `spent: {status: 400, reason: regex}` (what a once-only address answers when it
was used before).

A `result` has paths that begin with a step's id: `ticket`, `comments`, `tickets`, `total`; for open_ticket and
add_comment also `id`, the new thing's. `lookup` of those two tells what became of a request whose answer was
lost: `steps`, `items` (a path to a list of tickets or comments, newest first), `skip_if` (leave out items that
have this path), `settled_after` (seconds after which not being in that list proves that it was never made; leave
it out where lists lag behind).
"""

import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mcp_tools.ticketing.errors import SettingsError
from mcp_tools.ticketing.template import names_used

ToolName = Literal["open_ticket", "read_ticket", "update_ticket", "add_comment", "search_tickets"]
FieldName = Literal["title", "body", "status", "priority", "labels", "assignee"]

ONCE_ONLY: tuple[ToolName, ...] = ("open_ticket", "add_comment")
GIVEN = frozenset({"args", "options", "user", "base_url", "web_url", "web_origin", "begun"})
REQUEST = re.compile(r"(GET|POST|PUT|PATCH|DELETE) +(\S.*)")


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Auth(_Document):
    scheme: Literal["basic", "bearer", "header"]
    header: str = "Authorization"
    prefix: str = ""


class Option(_Document):
    description: str
    pattern: str


class Offered(_Document):
    tools: list[ToolName]
    values: list[str] = []


class RateLimit(_Document):
    """Response headers: requests left, and when they are renewed (Unix seconds)."""

    remaining: str
    reset: str


class Place(_Document):
    path: str
    each: str | None = None
    date: str | None = None
    count: bool = False


class TicketPlaces(_Document):
    id: str | Place
    title: str | Place
    status: str | Place
    body: str | Place | None = None
    priority: str | Place | None = None
    labels: str | Place | None = None
    assignee: str | Place | None = None
    author: str | Place | None = None
    created_at: str | Place | None = None
    updated_at: str | Place | None = None
    comment_count: str | Place | None = None


class CommentPlaces(_Document):
    id: str | Place
    body: str | Place
    author: str | Place | None = None
    created_at: str | Place | None = None


class Taken(_Document):
    path: str
    pattern: str | None = None

    def search(self, text: str) -> str | None:
        match = re.search(self.pattern or "(.*)", text)
        return match[1] if match else None


class Restart(_Document):
    status: list[int]
    from_: str = Field(alias="from")


class Spent(_Document):
    status: int
    reason: str


class Step(_Document):
    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    request: str
    query: dict[str, Any] = {}
    headers: dict[str, str] = {}
    json_: Any = Field(default=None, alias="json")
    when: str | None = None
    take: dict[str, str | Taken] = {}
    repeatable: bool = False
    remember: bool = False
    restart: Restart | None = None
    effect: bool = False
    spent: Spent | None = None

    @property
    def method(self) -> str:
        return self.request.split(maxsplit=1)[0]

    @property
    def path(self) -> str:
        return self.request.split(maxsplit=1)[1]

    @property
    def safe(self) -> bool:
        return self.repeatable or self.method == "GET"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not REQUEST.fullmatch(self.request):
            raise ValueError("request must be a method and a path, such as 'GET issues/${args.id}'")
        if self.path.startswith(("/", "http:", "https:")):
            raise ValueError("the path of a request is relative to the API: no leading slash, no address")
        if self.id in GIVEN:
            raise ValueError(f"a step cannot be called {self.id!r}: the name is taken")
        return self

    def texts(self) -> list[Any]:
        return [self.path, self.query, self.headers, self.json_, self.when]


class Result(_Document):
    ticket: str | None = None
    comments: str | None = None
    tickets: str | None = None
    total: str | None = None
    id: str | None = None


class Lookup(_Document):
    steps: list[Step]
    items: str
    skip_if: str | None = None
    settled_after: float | None = Field(default=None, gt=0)


class Operation(_Document):
    steps: list[Step] = Field(min_length=1)
    result: Result
    lookup: Lookup | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        known = _check_steps(self.steps, set(GIVEN))
        _check_paths(known, self.result.model_dump(exclude_none=True).values())
        if self.lookup:
            found = _check_steps(self.lookup.steps, set(GIVEN))
            _check_paths(found, [self.lookup.items])
        return self


class Preset(_Document):
    """A checked preset document; the module's docstring is its reference."""

    format: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9_-]+$")
    title: str
    base_url: str | None = None
    web_url: str | None = None
    api: str = ""
    auth: Auth
    headers: dict[str, str] = {}
    error: list[str] = []
    id_pattern: str
    url: str
    comment_url: str | None = None
    options: dict[str, Option] = {}
    fields: dict[FieldName, Offered] = {}
    rate_limit: RateLimit | None = None
    ticket: TicketPlaces
    comment: CommentPlaces
    tools: dict[ToolName, Operation]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        needs: dict[ToolName, tuple[str, ...]] = {
            "open_ticket": ("id",),
            "read_ticket": ("ticket",),
            "update_ticket": ("ticket",),
            "add_comment": ("id",),
            "search_tickets": ("tickets",),
        }
        for tool, results in needs.items():
            if tool not in self.tools:
                raise ValueError(f"tools.{tool} is missing")
            operation = self.tools[tool]
            if missing := [name for name in results if getattr(operation.result, name) is None]:
                raise ValueError(f"tools.{tool}.result needs {', '.join(missing)}")
            effects = sum(step.effect for step in operation.steps)
            if effects != (tool in ONCE_ONLY):
                raise ValueError(f"tools.{tool} must have {int(tool in ONCE_ONLY)} steps with `effect`, has {effects}")
        for name, pattern in [("id_pattern", self.id_pattern), *((n, o.pattern) for n, o in self.options.items())]:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{name}: not a regular expression: {error}") from None
        return self

    def takes(self, tool: ToolName, field: FieldName) -> bool:
        """Whether this tool has this argument here."""
        if field in self.fields:
            return tool in self.fields[field].tools
        return field in ("title", "body") and tool != "search_tickets"


def _check_steps(steps: Iterable[Step], known: set[str]) -> set[str]:
    earlier: list[str] = []
    for step in steps:
        if unknown := names_used(step.texts()) - known:
            raise ValueError(f"step {step.id!r} uses {', '.join(sorted(unknown))}, which no earlier step is called")
        if step.id in known:
            raise ValueError(f"two steps are called {step.id!r}")
        if step.restart and step.restart.from_ not in earlier:
            raise ValueError(f"step {step.id!r} restarts from {step.restart.from_!r}, which is no earlier step")
        known.add(step.id)
        earlier.append(step.id)
    return known


def _check_paths(known: set[str], paths: Iterable[str]) -> None:
    for path in paths:
        if path.split(".")[0] not in known:
            raise ValueError(f"{path!r} must begin with the id of a step")


def load_preset(name: str) -> Preset:
    """A shipped preset by its name, or a file's by its path (`.yaml` or `.yml`). Raises `SettingsError`."""
    if name.endswith((".yaml", ".yml")):
        where, read = name, Path(name).read_text
    else:
        shipped = resources.files("mcp_tools.ticketing") / "presets"
        names = sorted(entry.name.removesuffix(".yaml") for entry in shipped.iterdir() if entry.name.endswith(".yaml"))
        if name not in names:
            raise SettingsError(f"no preset {name!r}: have {', '.join(names)}, or give the path of a .yaml file")
        where, read = f"preset {name}", (shipped / f"{name}.yaml").read_text
    try:
        return Preset.model_validate(yaml.safe_load(read(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(f"{where}: {error.strerror or error}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{where}: not YAML: {error}") from None
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"{where}:\n  " + "\n  ".join(lines)) from None
