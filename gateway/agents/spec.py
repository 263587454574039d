"""An agent document, parsed and defaulted. Values only; `load.py` reads them from YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.items import ToolType

Effect = Literal["read", "write", "external", "destructive"]
Asks = Literal["always", "never", "destructive"]
WEEK = 7 * 86400.0
EVERYTHING = "everything"
"""The memory strategy of an agent that names none: the model sees the whole conversation."""
CONTEXT = "context"
"""The memory strategy of an agent whose document has a `context`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the model gets to see of a conversation; None stands for no limit, or for what is not done.

    `budget_tokens` bounds all of it, the new input included and the instructions not. `last` is how many of the newest
    exchanges are shown, an exchange being a message of the user's and all that follows. `top_k` is how many older ones
    are, of those that are nearest to the new input. `summary_at` is the part of the budget, above 0 and up to 1, from
    which on what is older is summarised.
    """

    budget_tokens: int | None = None
    last: int | None = None
    top_k: int = 0
    summary_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolGrant:
    """Leave for one tool, named `server.tool`; `server.*` is every tool of that server.

    `effect` and `idempotent` override what the server's annotations say (None: believe them). `args` is a
    JSON Schema laid over the tool's own, which it may only narrow; the `const` of an argument is filled in where the
    model leaves it out. `per_run` is the most calls one run may make. `type` is for a tool that a client asked for by
    another name than its server's. `asks` is when a person must approve a call (`destructive`: if the tool is),
    `approval_timeout` for how many seconds they may.
    """

    tool: str
    effect: Effect | None = None
    idempotent: bool | None = None
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    per_run: int | None = None
    type: ToolType = "function"
    asks: Asks = "never"
    approval_timeout: float = WEEK


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class AgentSpec:
    """One agent. `digest` identifies its content (agent_document: sha256 of canonical JSON, names left out).

    `params` are sampling options in the vocabulary of `ports.ModelCall.options`. `deadline` is in seconds and
    spans a whole run; `max_tokens` is the most output tokens of a run. `memory` names a strategy, `context` is for the
    one of that name. An empty digest means an agent made up for a raw model.
    """

    name: str
    model: str
    instructions: str = ""
    description: str = ""
    fallbacks: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tools: tuple[ToolGrant, ...] = ()
    memory: str = EVERYTHING
    context: Context = Context()
    max_steps: int = 12
    max_tokens: int | None = None
    deadline: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    digest: str = ""
