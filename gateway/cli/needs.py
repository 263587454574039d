"""What agents need and this installation does not have: a model that can be asked, and the servers of their tools."""

import difflib
import importlib.util
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from gateway.agents.spec import AgentSpec
from gateway.cli.models import INSTALL, weights_path
from gateway.providers.local import LocalProvider
from gateway.providers.missing import missing
from gateway.settings import LOCAL_MODEL, Settings


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
        if why := settings.absent_servers.get(server):
            yield LackingTool(grant.tool, why, known=True)
        elif server not in settings.servers:
            here = sorted({*settings.servers, *settings.absent_servers})
            near = nearest(server, here)
            instead = f"did you mean `{near}.{tool}`?" if near else f"there are {', '.join(here)}"
            yield LackingTool(grant.tool, f"there is no tool server `{server}`: {instead}")
        elif tool != "*" and server in listed and tool not in (names := sorted(listed[server])):
            near = nearest(tool, names)
            instead = f"did you mean `{server}.{near}`?" if near else f"it has {', '.join(names) or 'none'}"
            yield LackingTool(grant.tool, f"the tool server `{server}` has no tool `{tool}`: {instead}")


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
    return missing(model, settings.providers, settings.environment)


def local_missing(settings: Settings, model: str) -> str:
    steps = [] if importlib.util.find_spec("xllamacpp") else [f"`{INSTALL}`"]
    steps += [] if weights_path(settings.environment).exists() else [f"`{command()} model pull`"]
    if not steps:
        return ""
    run = " and ".join(steps)
    if model == settings.environment["HOMEPORT_MODEL"] == LOCAL_MODEL:
        key = "`export OPENAI_API_KEY=…` (or another provider's key) and start again"
        return f"there is neither a provider's key nor the local model. {key}, or run {run}."
    return f"the local model is not here. Run {run}."


def command() -> str:
    """What a person has to type for this command: after `make run` it is not on the PATH."""
    called = sys.argv[0]
    return called if Path(called).name == "homeport" and shutil.which("homeport") is None else "homeport"
