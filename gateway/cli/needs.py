"""What agents need and this installation does not have: a model that can be asked, and the servers of their tools."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gateway.agents.spec import AgentSpec
from gateway.errors import ProviderRefused
from gateway.local_model.needs import steps
from gateway.local_model.weights import status
from gateway.providers.litellm_import import LiteLLM
from gateway.providers.local import LocalProvider
from gateway.providers.missing import missing, missing_anywhere
from gateway.providers.targets import named_vendor, provider_of
from gateway.providers.vendors import VENDORS
from gateway.settings import LOCAL_MODEL, Settings, weights_folder
from gateway.slow_import import import_now
from gateway.tools.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class LackingTool:
    """A tool that an agent lists and will not be offered. `known` says that the settings could bring it."""

    tool: str
    why: str
    known: bool = False


def lacking_tools(
    settings: Settings, agent: AgentSpec, listed: Mapping[str, Iterable[str]] = MappingProxyType({})
) -> Iterator[LackingTool]:
    """Tools of servers that are not in the settings; of servers in `listed`, also those that they do not have."""
    for grant in agent.tools:
        server, _, tool = grant.tool.partition(".")
        here = sorted({*settings.servers, *settings.absent_servers})
        if server not in here:
            near = nearest(server, here)
            instead = f"did you mean `{near}.{tool}`?" if near else f"there are {', '.join(here)}"
            yield LackingTool(grant.tool, f"there is no tool server `{server}`: {instead}")
        elif tool != "*" and server in listed and tool not in (names := sorted(listed[server])):
            near = nearest(tool, names)
            instead = f"did you mean `{server}.{near}`?" if near else f"it has {', '.join(names) or 'none'}"
            yield LackingTool(grant.tool, f"the tool server `{server}` has no tool `{tool}`: {instead}")
        elif why := settings.absent_servers.get(server):
            yield LackingTool(grant.tool, why, known=True)


@dataclass(frozen=True, slots=True)
class LackingModel:
    """A model of an agent that cannot be asked. `known` says that a key, an address or a download could change that."""

    model: str
    why: str
    known: bool = False


async def lacking_models(settings: Settings, agent: AgentSpec, litellm: LiteLLM) -> list[LackingModel]:
    """Those of the agent's models that cannot be asked, as far as settings, keys, files and LiteLLM's list of vendors
    say. LiteLLM, whose import takes seconds, is asked only about a vendor that nothing else knows."""
    found = list[LackingModel]()
    for model in dict.fromkeys((agent.model, *agent.fallbacks)):
        provider = model.partition("/")[0]
        if provider == LocalProvider.name:
            if why := local_missing(settings, model):
                found.append(LackingModel(model, why, known=True))
        elif error := await missing_anywhere(model, settings.providers, settings.environment, litellm):
            near = nearest(provider, {*settings.providers, *VENDORS, LocalProvider.name})
            # What the settings say of a provider they name is not the document's mistake.
            unknown = isinstance(error, ProviderRefused) and error.code != "no_base_url"
            unknown = unknown and provider not in settings.providers
            instead = f" Did you mean `{near}/{model.partition('/')[2]}`?" if unknown and near else ""
            found.append(LackingModel(model, f"{error}{instead}", known=not unknown))
    return found


def key_of(settings: Settings, model: str) -> str:
    """Which key the model's provider is sent, in words; whether it is the right one is not known here."""
    if model.partition("/")[0] == LocalProvider.name:
        return "no key is needed"
    provider = provider_of(model, settings.providers)
    if provider.api_key:
        return f"`providers.{provider.name}.api_key` is set"
    name, vendor = named_vendor(provider)
    if vendor is None:
        return "LiteLLM looks for its key"
    # As `target_of` has it: a vendor's key goes to nobody else.
    own = provider.base_url == "" or provider.name == name
    used = next((key for key in vendor.keys if own and settings.environment.get(key)), "")
    return f"{used} is set" if used else "no key is set"


async def tools_here(
    settings: Settings, agents: Iterable[AgentSpec]
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The tools of the servers that run in this process and that these agents list tools of: by server and name, each a
    `gateway.tools.link.ListedTool`. And why other servers of theirs were not looked at: none is started for it."""
    grants = [grant for agent in agents for grant in agent.tools]
    wanted = sorted({grant.tool.partition(".")[0] for grant in grants if not grant.tool.endswith(".*")})
    listed, unseen = dict[str, dict[str, Any]](), dict[str, str]()
    for name in wanted:
        if (server := settings.servers.get(name) or SAMPLES.get(name)) is None:
            continue
        if server.kind != "module":
            unseen[name] = f"it is at a {server.kind}, and only `homeport doctor` asks it"
            continue
        steady = {**server.settings, **STEADY.get(server.module, {})}
        try:
            tools = await import_now("gateway.tools.listing").tools_of(
                name, server.model_copy(update={"settings": steady})
            )
        except Exception as error:  # noqa: BLE001 - the module may be anybody's
            unseen[name] = " ".join(str(error).split()) or type(error).__name__
        else:
            listed[name] = {tool.name: tool for tool in tools}
    return listed, unseen


SAMPLES = {
    "ticketing": ServerSettings(
        module="mcp_tools.ticketing",
        settings={"preset": "roundup", "base_url": "http://localhost", "user": "nobody", "password": "none"},
    )
}
"""What stands for a bundled server that is not set up: its tools have the same names whatever its settings are."""
STEADY: Mapping[str, Mapping[str, Any]] = {"mcp_tools.filesystem": {"roots": ["/"]}}
"""By module, settings on which its tools do not depend, in place of folders that only a start makes."""


def nearest(name: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)), "")


def mute(settings: Settings, agent: AgentSpec) -> str:
    """Why none of the agent's models can be asked yet, and what to do; empty if one can be, as far as is known here.

    It looks at settings, keys and files only, so that a start can afford it.
    """
    reasons = [model_missing(settings, model) for model in (agent.model, *agent.fallbacks)]
    return reasons[0] if all(reasons) else ""


def model_missing(settings: Settings, model: str) -> str:
    if model.partition("/")[0] == LocalProvider.name:
        return local_missing(settings, model)
    return str(missing(model, settings.providers, settings.environment) or "")


def local_missing(settings: Settings, model: str) -> str:
    left = steps(status(weights_folder(settings.environment)).path)
    if not left:
        return ""
    run = " and ".join(f"`{step}`" for step in left)
    if model == settings.environment["HOMEPORT_MODEL"] == LOCAL_MODEL:
        key = "`export OPENAI_API_KEY=…` (or another provider's key) and start again"
        return f"there is neither a provider's key nor the local model. {key}, or run {run}."
    return f"the local model is not here. Run {run}."
