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

    `models` are raw models that clients may use without an agent, `*` as wildcard. `store` is a database URL;
    empty means SQLite in `data`. `max_connections` of clients are open at once; 0 means as many as the limit of open
    files allows. `fetch_hosts` are names, `host` or `host:port`, that the gateway may read images and files from though
    they are of this machine or a private network. `max_history` is the most characters of one conversation, images and
    files included. `environment` is what agent documents may refer to as `{{env.X}}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    data: Path = Path(".data")
    agents: Path = Path("agents")
    store: str = ""
    providers: Mapping[str, ProviderSettings] = {}
    models: tuple[str, ...] = ()
    servers: Mapping[ServerName, ServerSettings] = {}
    client_servers: ClientServerSettings = ClientServerSettings()
    limits: Limits = Limits()
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    fetch_hosts: tuple[str, ...] = ()
    max_history: int = Field(100_000_000, ge=1)
    max_connections: int = Field(0, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
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
    """`HOMEPORT_HOST`, `HOMEPORT_PORT`, `HOMEPORT_DATA`, `HOMEPORT_AGENTS`, `HOMEPORT_STORE`, `HOMEPORT_LOG_LEVEL`;
    `HOMEPORT_ALLOWED_HOSTS` and `HOMEPORT_MODELS` are comma-separated."""
    plain: dict[str, Any] = {
        name: value
        for name in ("host", "port", "data", "agents", "store", "log_level")
        if (value := environ.get(f"HOMEPORT_{name.upper()}"))
    }
    for name in ("allowed_hosts", "models"):
        if value := environ.get(f"HOMEPORT_{name.upper()}"):
            plain[name] = tuple(one.strip() for one in value.split(",") if one.strip())
    return plain


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
