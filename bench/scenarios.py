"""What is measured: one row a scenario, one row a cell. Add a line to measure one more thing."""

from dataclasses import dataclass
from typing import Any, Literal

MODEL, AGENT = "fake/gpt", "bench"
RESPONSES_MODEL = "told/gpt"
"""The same at a provider that is asked with Responses."""

_PROMPT = "What is the tallest mountain on Earth? Answer briefly, and say where you know it from."
_SYSTEM = "You are a helpful assistant. Answer briefly and cite your sources. " * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One way to ask. `server` is a key of `servers.SERVERS`; `extra` is merged into the body.

    With `conversations`, each request belongs to the next one of that many conversations made before the cell.
    """

    name: str
    server: Literal["floor", "gateway", "litellm"]
    path: Literal["/v1/chat/completions", "/v1/responses"]
    model: str
    extra: dict[str, Any]
    conversations: int = 0

    def body(self, cell: "Cell") -> dict[str, Any]:
        prompt = f"{_PROMPT} {cell.directive}".strip()
        # A raw model gets as many words as an agent whose instructions are these.
        system = _SYSTEM if self.model in (MODEL, RESPONSES_MODEL) else ""
        if self.path == "/v1/responses":
            body: dict[str, Any] = {"model": self.model, "input": prompt}
            body |= {"instructions": system} if system else {}
        else:
            messages = [{"role": "user", "content": prompt}]
            body = {"model": self.model, "messages": [{"role": "system", "content": system}, *messages]}
            body = body if system else {"model": self.model, "messages": messages}
        return body | {"stream": cell.streamed} | self.extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How much of it at once. A streamed answer has `tokens` tokens, `every_ms` apart (0: as fast as they go)."""

    name: str
    connections: int
    tokens: int = 0
    every_ms: int = 0

    @property
    def streamed(self) -> bool:
        return self.tokens > 0

    @property
    def directive(self) -> str:
        """What tells the fake provider, inside the prompt, how to answer."""
        return f"[[{self.tokens} x {self.every_ms} ms]]" if self.streamed else ""


CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"

FLOOR = Scenario(name="bare pass-through", server="floor", path=CHAT, model=MODEL, extra={})
"""Everything is a ratio to this."""

SCENARIOS = (
    FLOOR,
    Scenario(name="raw model, chat", server="gateway", path=CHAT, model=MODEL, extra={}),
    Scenario(
        name="raw model, responses", server="gateway", path=RESPONSES, model=RESPONSES_MODEL, extra={"store": False}
    ),
    Scenario(
        name="raw model, responses from chat", server="gateway", path=RESPONSES, model=MODEL, extra={"store": False}
    ),
    Scenario(name="stateless agent, chat", server="gateway", path=CHAT, model=AGENT, extra={}),
    Scenario(name="stateless agent, responses", server="gateway", path=RESPONSES, model=AGENT, extra={"store": False}),
    Scenario(name="stored agent turn, chat", server="gateway", path=CHAT, model=AGENT, extra={"store": True}),
    Scenario(name="stored agent turn, responses", server="gateway", path=RESPONSES, model=AGENT, extra={"store": True}),
    Scenario(
        name="stored agent turn, conversation",
        server="gateway",
        path=RESPONSES,
        model=AGENT,
        extra={"store": True},
        conversations=1024,
    ),
    Scenario(name="LiteLLM proxy, chat", server="litellm", path=CHAT, model=MODEL, extra={}),
)

CELLS = (
    Cell(name="c1", connections=1),
    Cell(name="c16", connections=16),
    Cell(name="c64", connections=64),
    Cell(name="c256", connections=256),
    Cell(name="stream", connections=16, tokens=200),
    Cell(name="paced", connections=64, tokens=100, every_ms=20),
)

STALL_MS = 100.0
"""In a paced stream (a token every 20 ms), a longer silence between two tokens is called a stall."""

AGENT_DOCUMENT = f'name: {AGENT}\nmodel: {MODEL}\ninstructions: "{_SYSTEM.strip()}"\n'
