"""What a client may name as `model`: the agents of the folder, and the raw models that the settings list."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from gateway.agents.spec import AgentSpec
from gateway.errors import NotFound

SCRIPTED = "scripted/"


class Catalog:
    """`agents` returns the current mapping name -> spec, so that a reload is seen by the next turn.

    `models` are LiteLLM model ids that clients may use without an agent; `*` matches anything, as in `openai/*`,
    except scripts.
    """

    def __init__(self, agents: Callable[[], Mapping[str, AgentSpec]], models: Sequence[str] = ()) -> None:
        self._agents = agents
        self._models = tuple(models)
        self._raw: dict[str, AgentSpec] = {}

    def find(self, name: str) -> AgentSpec:
        """The agent, or for a raw model an agent without instructions and tools. Raises NotFound."""
        if agent := self._agents().get(name):
            return agent
        if raw := self._raw.get(name):
            return raw
        if self._listed(name):
            if len(self._raw) < 1000:  # A wildcard lets clients invent names; they must not fill the memory.
                self._raw[name] = AgentSpec(name=name, model=name)
            return AgentSpec(name=name, model=name)
        raise NotFound(
            f"The model '{name}' does not exist or you do not have access to it. Available: "
            f"{', '.join(self.names()) or 'none; put an agent document into the agents folder'}.",
            code="model_not_found",
            param="model",
        )

    def _listed(self, name: str) -> bool:
        if "*" in name:
            return False
        # A script is a file of this machine: only the host decides which one may be read.
        if name.startswith(SCRIPTED):
            return name in self._models
        return any(fnmatchcase(name, pattern) for pattern in self._models)

    def names(self) -> list[str]:
        """Agents first, then raw models without wildcards; each sorted."""
        return [*sorted(self._agents()), *sorted(model for model in self._models if "*" not in model)]
