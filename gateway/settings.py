"""One frozen Settings, read once at start and passed down. Nobody else reads the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.agents.positions import Positions
from gateway.agents.problems import describe
from gateway.agents.strict_yaml import load
from gateway.agents.variables import fill
from gateway.providers.settings import Limits, ProviderSettings
from gateway.tools.settings import ClientServerSettings, ServerName, ServerSettings

LOCAL_MODEL = "local/qwen2.5-coder-1.5b-instruct"
"""What agents use that leave the model to the host, when the environment has no provider's key."""

DEFAULT_MODELS = {
    "OPENAI_API_KEY": "openai/gpt-4o-mini",
    "ANTHROPIC_API_KEY": "anthropic/claude-haiku-4-5",
    "GEMINI_API_KEY": "gemini/gemini-2.5-flash",
    "MISTRAL_API_KEY": "mistral/mistral-small-latest",
    "DEEPSEEK_API_KEY": "deepseek/deepseek-chat",
    "GROQ_API_KEY": "groq/llama-3.3-70b-versatile",
    "OPENROUTER_API_KEY": "openrouter/openai/gpt-4o-mini",
}
"""What they use when it has one; the first that is set wins."""


NO_TRACKER = "no tracker is set up: set TICKETING_URL, or TICKETING_PRESET=github, and its credentials"


class Settings(BaseModel):
    """All a gateway needs to know. `gateway.yaml` has these keys; `HOMEPORT_*` and the command line override it.

    `environment` is no key of the file: it is what agent documents may refer to as `{{env.X}}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="The address to listen on.", examples=["0.0.0.0"])
    port: int = Field(8080, ge=0, le=65535, description="The port to listen on; 0 takes a free one.", examples=[8090])
    data: Path = Field(
        Path(".data"),
        description="The folder of all state: conversations, keys, indexes, files.",
        examples=["/var/lib/homeport"],
    )
    agents: Path = Field(
        Path("agents"),
        description="The folder of agent documents; its `knowledge` folder is the knowledge base `homeport`.",
        examples=["/etc/homeport/agents"],
    )
    store: str = Field(
        "",
        description="A database URL. Empty: SQLite, `homeport.db` in `data`.",
        examples=["sqlite:////var/lib/homeport/homeport.db"],
    )
    providers: Mapping[str, ProviderSettings] = Field(
        default={},
        description="Providers by name. One that LiteLLM knows needs no entry: its key in the environment is enough.",
        examples=[{"mine": {"base_url": "http://127.0.0.1:11434/v1"}}],
    )
    models: tuple[str, ...] = Field(
        default=(),
        description="Raw models that clients may use without an agent; `*` is a wildcard. Fields of a request that "
        "only the vendor knows reach it, also such as name other models of its own.",
        examples=[["openai/*", "mine/qwen3"]],
    )
    servers: Mapping[ServerName, ServerSettings] = Field(
        default={},
        description="Tool servers by name, besides the bundled ones; one of the same name takes a bundled one's place.",
        examples=[{"weather": {"command": ["npx", "-y", "some-weather-server"]}}],
    )
    client_servers: ClientServerSettings = Field(
        ClientServerSettings(),
        description="Which tool servers clients may bring with a request.",
        examples=[{"public": False, "hosts": ["mcp.corp.example"]}],
    )
    limits: Limits = Field(Limits(), description="How long models may take.", examples=[{"first_token": 60}])
    allowed_hosts: tuple[str, ...] = Field(
        ("127.0.0.1", "localhost", "[::1]"),
        description="By which names clients may reach the gateway (the Host header); `*` is any.",
        examples=[["homeport.example.com", "localhost"]],
    )
    fetch_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names, `host` or `host:port`, from which images and files may be read though they are of this "
        "machine or a private network.",
        examples=[["files.corp.example", "127.0.0.1:9000"]],
    )
    max_history: int = Field(
        100_000_000,
        ge=1,
        description="The most that one conversation may hold, images and files included.",
        examples=[10_000_000],
        json_schema_extra={"unit": "characters"},
    )
    max_connections: int = Field(
        0,
        ge=0,
        description="The most connections of clients at once; 0: as many as the limit of open files allows.",
        examples=[500],
        json_schema_extra={"unit": "connections"},
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is worth a line in the log.", examples=["warning"]
    )
    environment: Mapping[str, str] = Field(default={}, exclude=True, repr=False)

    @field_validator("providers", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        """A provider's name is its key; it need not say it again."""
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, object]", value)
        return {
            name: {"name": name, **cast("dict[str, object]", one)} if isinstance(one, dict) else one or {"name": name}
            for name, one in given.items()
        }

    @property
    def absent_servers(self) -> Mapping[str, str]:
        """The bundled tool servers that are not there yet, and what each of them is waiting for."""
        return {} if "ticketing" in self.servers else {"ticketing": NO_TRACKER}

    @property
    def store_url(self) -> str:
        return self.store or f"sqlite:///{self.data.absolute() / 'homeport.db'}"

    @property
    def keys_path(self) -> Path:
        return self.data / "keys.db"

    @property
    def local_key_path(self) -> Path:
        """The key that the commands of this machine use, readable by its user only."""
        return self.data / "local.key"


def make_folders(settings: Settings) -> None:
    """The folders that a gateway, or a tool server of its settings, expects to be there."""
    # Conversations, keys and indexes are in there.
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (settings.data / "files").mkdir(exist_ok=True)


class SettingsError(ValueError):
    """The settings are not valid. The message has one line a problem, with file, line and column where there is one."""


def read_settings(
    environ: Mapping[str, str], config: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Defaults, then `gateway.yaml`, then `HOMEPORT_*`, then what was typed. Raises SettingsError.

    Without `config`, a `gateway.yaml` in the working directory is used if it is there.
    """
    path = config_path(environ, config)
    if not path.exists():
        if config or environ.get("HOMEPORT_CONFIG"):
            raise SettingsError(f"{path}: there is no such file.")
        document: dict[str, Any] = {}
        positions: Positions | None = None
    else:
        raw, positions = load(path)
        document = cast("dict[str, Any]", fill(raw, environ, positions))
    typed = {key: value for key, value in (overrides or {}).items() if value is not None}
    plain: dict[str, Any] = {**document, **from_environment(environ), **typed}
    data, agents = Path(plain.get("data", ".data")), Path(plain.get("agents", "agents"))
    plain["servers"] = {**default_servers(environ, data, agents), **(plain.get("servers") or {})}
    plain["environment"] = {"HOMEPORT_MODEL": default_model(environ), **environ}
    try:
        return Settings.model_validate(plain)
    except ValidationError as error:
        raise SettingsError("\n".join(describe(error, positions, Settings))) from None


def config_path(environ: Mapping[str, str], config: Path | None = None) -> Path:
    """Where the settings file is looked for."""
    return config or Path(environ.get("HOMEPORT_CONFIG") or "gateway.yaml")


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """What `HOMEPORT_<KEY>` says of the keys that have such a variable."""
    plain: dict[str, Any] = {name: value for name in IN_ENVIRONMENT if (value := environ.get(variable(name)))}
    for name in LISTS_IN_ENVIRONMENT:
        if value := environ.get(variable(name)):
            plain[name] = tuple(one.strip() for one in value.split(",") if one.strip())
    return plain


IN_ENVIRONMENT = ("host", "port", "data", "agents", "store", "log_level")
LISTS_IN_ENVIRONMENT = ("allowed_hosts", "models")
"""Keys of lists, which are separated by commas there."""


def variable(key: str) -> str:
    return f"HOMEPORT_{key.upper()}"


def default_model(environ: Mapping[str, str]) -> str:
    """What `{{env.HOMEPORT_MODEL}}` is when nobody set it."""
    return next((model for key, model in DEFAULT_MODELS.items() if environ.get(key)), LOCAL_MODEL)


def default_servers(environ: Mapping[str, str], data: Path, agents: Path) -> dict[str, Any]:
    """The tool servers that come with Homeport. Ticketing needs a tracker: `TICKETING_URL` and its credentials."""
    knowledge = {"homeport": {"folder": str(agents / "knowledge")}} if (agents / "knowledge").is_dir() else {}
    servers: dict[str, Any] = {
        "rag": {"module": "mcp_tools.rag", "settings": {"data": str(data / "rag"), "knowledge_bases": knowledge}},
        "filesystem": {"module": "mcp_tools.filesystem", "settings": {"roots": [str(data / "files")]}},
    }
    if environ.get("TICKETING_URL") or environ.get("TICKETING_PRESET"):
        names = {"user": "TICKETING_USER", "password": "TICKETING_PASSWORD", "token": "TICKETING_TOKEN"}
        credentials = {key: environ[name] for key, name in names.items() if environ.get(name)}
        settings: dict[str, Any] = {
            "preset": environ.get("TICKETING_PRESET", "roundup"),
            "data": str(data / "ticketing"),
        }
        if url := environ.get("TICKETING_URL"):
            settings["base_url"] = url
        if repository := environ.get("TICKETING_REPOSITORY"):
            settings["options"] = {"repository": repository}
        settings |= credentials
        servers["ticketing"] = {"module": "mcp_tools.ticketing", "settings": settings}
    return servers


def weights_folder(environ: Mapping[str, str]) -> Path:
    """Where local weights are kept: one copy a user, shared by every checkout. `HOMEPORT_WEIGHTS` overrides it."""
    if chosen := environ.get("HOMEPORT_WEIGHTS"):
        return Path(chosen)
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache"
    return Path(cache) / "homeport" / "models"
