"""Writes docs/settings.md from the models of the settings.

Run it from the checkout: `python -m scripts.settings_page`. With `--check` it writes nothing, and fails if the page is
stale.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gateway.providers.settings import Limits, ProviderSettings
from gateway.providers.vendors import VENDORS
from gateway.settings import DEFAULT_MODELS, IN_ENVIRONMENT, LISTS_IN_ENVIRONMENT, LOCAL_MODEL, Settings, variable
from gateway.tools.settings import ClientServerSettings, ServerSettings
from mcp_tools.filesystem.settings import FilesystemSettings
from mcp_tools.rag.settings import RagSettings
from mcp_tools.ticketing.settings import Settings as TicketingSettings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
HEAD = """# Settings

Homeport runs without any. What it is told comes from, the later winning: the defaults below, `gateway.yaml`, the
variables `HOMEPORT_*`, the options of the command line. The file is `./gateway.yaml`, or what `--config` or
`HOMEPORT_CONFIG` names. It is read once, at the start. A key that is not known is an error that names the line and the
nearest key.

`{{env.NAME}}` in any string of the file is the environment variable of that name; one that is not set is an error.
Relative paths are relative to the folder in which `homeport` is started.

```yaml
host: 0.0.0.0
allowed_hosts: [homeport.example.com, localhost]
data: /var/lib/homeport
providers:
  mine: {base_url: "http://127.0.0.1:11434/v1", limits: {first_token: 120}}
models: ["openai/*", mine/qwen3]
servers:
  weather: {command: [npx, -y, some-weather-server]}
  wiki: {url: "https://wiki.example.com/mcp", timeout: 20}
limits: {first_token: 60, retries: 1}
```

Written by `scripts/settings_page.py` from the models in the code: edit those.
"""
SECTIONS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("gateway.yaml", Settings, ""),
    ("limits", Limits, "Also under a provider. How long a model may take, and how often a call is tried again."),
    (
        "providers",
        ProviderSettings,
        "`providers: {NAME: {…}}`. A model's id is `NAME/MODEL`, in agent documents and in `models`.",
    ),
    (
        "servers",
        ServerSettings,
        "`servers: {NAME: {…}}`, with exactly one of `module`, `command` and `url`. A tool is `NAME.TOOL` to agents.",
    ),
    ("client_servers", ClientServerSettings, "See [client-servers.md](client-servers.md)."),
    (
        "settings of mcp_tools.rag",
        RagSettings,
        "`servers: {rag: {module: mcp_tools.rag, settings: {…}}}` takes the place of the bundled `rag`, whose `data` "
        "is `rag` in the data folder. Sizes are bytes, times seconds.",
    ),
    (
        "settings of mcp_tools.filesystem",
        FilesystemSettings,
        "As above; the root of the bundled `filesystem` is `files` in the data folder. Sizes are bytes, times seconds.",
    ),
    (
        "settings of mcp_tools.ticketing",
        TicketingSettings,
        "As above; the bundled `ticketing` is there if `TICKETING_URL` or `TICKETING_PRESET` is set. Sizes are bytes, "
        "times seconds.",
    ),
)
FILLED_IN = {(ProviderSettings, "name"), (Settings, "environment")}
"""What nobody writes: a provider's name is its key."""
OTHER_VARIABLES = (
    ("HOMEPORT_CONFIG", "The settings file.", "`gateway.yaml`", "/etc/homeport/gateway.yaml"),
    (
        "HOMEPORT_MODEL",
        "What `{{env.HOMEPORT_MODEL}}` is in agent documents.",
        "see below",
        "anthropic/claude-haiku-4-5",
    ),
    ("HOMEPORT_WEIGHTS", "The folder of the local model's weights.", "`~/.cache/homeport/models`", "/srv/weights"),
    ("HOMEPORT_KEY", "The API key that `homeport chat` uses.", "this machine's own", "hp_…"),
    ("TICKETING_PRESET", "The kind of tracker: `roundup`, `github`, or a YAML file.", "`roundup`", "github"),
    ("TICKETING_URL", "The tracker's address.", "the preset's, if it has one", "https://tracker.example.com/rest"),
    ("TICKETING_REPOSITORY", "Of a tracker that has several.", "none", "owner/name"),
    ("TICKETING_USER", "For Basic authentication.", "none", "ada"),
    ("TICKETING_PASSWORD", "For Basic authentication.", "none", "…"),
    ("TICKETING_TOKEN", "For a tracker with tokens.", "none", "…"),
)


def page() -> str:
    return "\n".join([HEAD, *(section(*one) for one in SECTIONS), variables(), vendors()])


def section(title: str, model: type[BaseModel], text: str) -> str:
    schema = model.model_json_schema()
    required: list[str] = schema.get("required", [])
    rows = [
        row(
            f"`{key}`",
            kind(one),
            "required" if key in required else default(one),
            example(key, one),
            one["description"],
        )
        for key, one in schema["properties"].items()
        if (model, key) not in FILLED_IN
    ]
    intro = [text, ""] if text else []
    return "\n".join([f"## {title}", "", *intro, *table("key", "type", "default", "example", "meaning"), *rows, ""])


def variables() -> str:
    fields = Settings.model_json_schema()["properties"]
    rows = list[str]()
    for key in (*IN_ENVIRONMENT, *LISTS_IN_ENVIRONMENT):
        sample = fields[key]["examples"][0]
        shown = ",".join(sample) if key in LISTS_IN_ENVIRONMENT else sample
        meaning = f"`{key}`" + (", separated by commas" if key in LISTS_IN_ENVIRONMENT else "")
        rows.append(row(f"`{variable(key)}`", "as the key", f"`{shown}`", f"In place of {meaning}."))
    rows += [row(f"`{name}`", fallback, f"`{sample}`", meaning) for name, meaning, fallback, sample in OTHER_VARIABLES]
    models = [row(f"`{key}`", f"`{model}`") for key, model in DEFAULT_MODELS.items()]
    return "\n".join(
        [
            "## Variables",
            "",
            *table("variable", "default", "example", "meaning"),
            *rows,
            "",
            f"`HOMEPORT_MODEL` is, unless it is set, the model of the first key that is; with none, `{LOCAL_MODEL}`.",
            "",
            *table("key that is set", "`HOMEPORT_MODEL`"),
            *models,
            "",
        ]
    )


def vendors() -> str:
    rows = [
        row(f"`{name}`", " or ".join(f"`{key}`" for key in one.keys), " or ".join(f"`{base}`" for base in one.bases))
        for name, one in sorted(VENDORS.items())
        if one.keys or one.bases
    ]
    return "\n".join(
        [
            "## Keys of providers",
            "",
            "Of several, the first that is set counts. Of other providers that LiteLLM knows it is the variable that "
            "LiteLLM's manual names.",
            "",
            *table("provider", "key", "address"),
            *rows,
            "",
        ]
    )


def table(*titles: str) -> list[str]:
    return [row(*titles), "|" + "---|" * len(titles)]


def row(*cells: str) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def kind(one: dict[str, Any]) -> str:
    """The type, its bounds and its unit."""
    named = one.get("$ref") or next((each["$ref"] for each in one.get("anyOf", ()) if "$ref" in each), "")
    inner = next((each for each in one.get("anyOf", ()) if each.get("type") != "null"), one)
    if named:
        name = {"Limits": "limits", "ClientServerSettings": "client_servers"}[named.rpartition("/")[2]]
        return f"[mapping](#{name})"
    if "enum" in one:
        return ", ".join(f"`{each}`" for each in one["enum"])
    bounds = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
    limits = [f"{sign} {inner[name]}" for name, sign in bounds if name in inner]
    return ", ".join([plain(inner), *limits, *([one["unit"]] if "unit" in one else [])])


def plain(one: dict[str, Any]) -> str:
    if one.get("format") == "path":
        return "path"
    match one["type"]:
        case "array":
            return f"list of {plain(one['items'])}"
        case "object":
            return "mapping"
        case "boolean":
            return "true or false"
        case "string":
            return "text"
        case other:
            return other


def default(one: dict[str, Any]) -> str:
    if "$ref" in one:
        return "see there"
    value = one.get("default", "")
    return "none" if value is None else "empty" if value == "" else f"`{written(value)}`"


def example(key: str, one: dict[str, Any]) -> str:
    return f"`{key}: {written(one['examples'][0])}`" if "examples" in one else ""


def written(value: Any) -> str:
    """As YAML, of which JSON is a part."""
    return value if isinstance(value, str) and ": " not in value and "{" not in value else json.dumps(value)


def main(arguments: Iterable[str]) -> int:
    """0, or 1 if the page was stale under `--check`."""
    wanted = page()
    stale = not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != wanted
    if "--check" in arguments:
        if stale:
            sys.stderr.write(f"{PAGE.name}: stale. Run: python -m scripts.settings_page\n")
        return int(stale)
    if stale:
        PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
