"""What a client may name as `model`: the agents of the folder, the raw models that the settings list, and the models
for vectors that the gateway has itself."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from gateway.agents.spec import AgentSpec
from gateway.errors import InvalidRequest, NotFound

SCRIPTED = "scripted/"


class Catalog:
    """`agents` returns the current mapping name -> spec, so that a reload is seen by the next turn.

    `models` are LiteLLM model ids that clients may use without an agent; `*` matches anything, as in `openai/*`,
    except scripts. `embedders` are models that make vectors and nothing else.
    """

    def __init__(
        self,
        agents: Callable[[], Mapping[str, AgentSpec]],
        models: Sequence[str] = (),
        embedders: Sequence[str] = (),
    ) -> None:
        self._agents = agents
        self._models = tuple(models)
        self._embedders = frozenset(embedders)
        self._raw: dict[str, AgentSpec] = {}

    def find(self, name: str) -> AgentSpec:
        """The agent, or for a raw model an agent without instructions and tools. Raises NotFound."""
        if agent := self._agents().get(name):
            return agent
        if raw := self._raw.get(name):
            return raw
        if name in self._embedders:
            raise NotFound(
                f"The model '{name}' makes vectors and does not chat. Ask it with /v1/embeddings.",
                code="model_not_found",
                param="model",
            )
        if self._listed(name):
            if len(self._raw) < 1000:  # A wildcard lets clients invent names; they must not fill the memory.
                self._raw[name] = AgentSpec(name=name, model=name)
            return AgentSpec(name=name, model=name)
        raise self._unknown(name)

    def raw(self, name: str) -> AgentSpec:
        """The raw model, also one that only makes vectors. Raises InvalidRequest for an agent, and NotFound."""
        if name in self._agents():
            raise InvalidRequest(
                f"'{name}' is an agent, and agents make no vectors. Models that do are named provider/model; "
                "GET /v1/models lists those of this gateway.",
                code="unsupported_model",
                param="model",
            )
        if name in self._embedders or self._listed(name):
            return AgentSpec(name=name, model=name)
        raise self._unknown(name)

    def owner(self, name: str) -> str:
        """`homeport` for an agent, the provider for a raw model. Raises NotFound."""
        if name in self._agents():
            return "homeport"
        return self.raw(name).model.partition("/")[0]

    def _unknown(self, name: str) -> NotFound:
        return NotFound(
            f"The model '{name}' does not exist or you do not have access to it. Available: "
            f"{', '.join(self.names()) or 'none; put an agent document into the agents folder'}.",
            code="model_not_found",
            param="model",
        )

    def labelled(self, label: str, value: str) -> Sequence[AgentSpec]:
        """The agent of this name, or else all whose documents have this label."""
        agents = self._agents()
        named = agents.get(value)
        return [named] if named else [one for one in agents.values() if one.labels.get(label) == value]

    def _listed(self, name: str) -> bool:
        if "*" in name or name.endswith("/"):  # A provider is no model.
            return False
        # A script is a file of this machine: only the host decides which one may be read.
        if name.startswith(SCRIPTED):
            return name in self._models
        return any(fnmatchcase(name, pattern) for pattern in self._models)

    def names(self) -> list[str]:
        """Agents first, then raw models without wildcards; each sorted."""
        models = {model for model in self._models if "*" not in model} | self._embedders
        return [*sorted(self._agents()), *sorted(models)]
