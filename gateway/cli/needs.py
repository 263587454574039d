"""What agents need and this installation does not have: a model that can be asked, and the servers of their tools."""

import importlib.util
import shutil
import sys
from pathlib import Path

from gateway.agents.spec import AgentSpec
from gateway.cli.models import INSTALL, weights_path
from gateway.providers.local import LocalProvider
from gateway.providers.missing import missing
from gateway.settings import LOCAL_MODEL, Settings


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
