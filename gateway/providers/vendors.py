"""What is known about model vendors without asking anyone: one table.

It says which lane a vendor takes, and for those that speak OpenAI's wire where it is spoken, so that LiteLLM (2.5 s
and 170 MB to import) is not needed for them. Addresses and variable names are LiteLLM 1.106.2's; a test compares
them. A vendor that is not in the table is looked up in LiteLLM when it is first used.
"""

import re
from dataclasses import dataclass

from gateway.providers.settings import Lane

OPENAI_OPTIONS = (
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "prediction",
)
"""`ModelCall.options` about how OpenAI serves a request. An answer without them is what was asked for, so they are sent
to who is known to take them and to nobody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One vendor.

    `keys` and `bases` are the environment variables of its API key and base URL; the first that is set wins.
    `base_path` is added to a base URL that does not end in it. `needs_key` is False for servers one runs oneself.
    `max_tokens` is its name for the output limit, `seed` for the seed. `developer` says that it knows the role of
    that name, `names` that messages may say who speaks, `refusals` that it takes refusals back, `usage_option` that it
    takes `stream_options`, `rich_results` that a tool's result may hold images, `tokens` that its embedding models take
    OpenAI's tokens in place of text. `options` are those of OPENAI_OPTIONS that its chat completions take. `call_ids`
    is the exact length of its tool call ids (letters and digits), where it has one.
    """

    lane: Lane = "openai"
    base_url: str = ""
    base_path: str = ""
    keys: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    needs_key: bool = True
    max_tokens: str = "max_tokens"
    seed: str = "seed"
    developer: bool = False
    names: bool = False
    refusals: bool = False
    usage_option: bool = True
    rich_results: bool = False
    tokens: bool = False
    options: tuple[str, ...] = ()
    call_ids: int | None = None


def _vendor(base_url: str, variable: str, *, key: str = "API_KEY", more: tuple[str, ...] = ()) -> Vendor:
    return Vendor(base_url=base_url, keys=(f"{variable}_{key}", *more), bases=(f"{variable}_API_BASE",))


def _own_server(variable: str, base_url: str = "", base_path: str = "") -> Vendor:
    return Vendor(
        base_url=base_url,
        base_path=base_path,
        keys=(f"{variable}_API_KEY",),
        bases=(f"{variable}_API_BASE",),
        needs_key=False,
    )


VENDORS: dict[str, Vendor] = {
    "scripted": Vendor(lane="scripted", needs_key=False),
    "openai": Vendor(
        base_url="https://api.openai.com/v1",
        keys=("OPENAI_API_KEY",),
        bases=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        # The older name is refused by OpenAI's reasoning models; the newer one is taken by all its chat models.
        max_tokens="max_completion_tokens",
        developer=True,
        names=True,
        refusals=True,
        tokens=True,
        options=OPENAI_OPTIONS,
    ),
    "mistral": Vendor(
        base_url="https://api.mistral.ai/v1",
        keys=("MISTRAL_API_KEY",),
        bases=("MISTRAL_API_BASE", "MISTRAL_AZURE_API_BASE"),
        seed="random_seed",
        # Mistral refuses fields it does not know, and always reports usage.
        usage_option=False,
        call_ids=9,
    ),
    "deepseek": _vendor("https://api.deepseek.com", "DEEPSEEK"),
    "groq": _vendor("https://api.groq.com/openai/v1", "GROQ"),
    "openrouter": _vendor("https://openrouter.ai/api/v1", "OPENROUTER", more=("OR_API_KEY",)),
    "together_ai": _vendor(
        "https://api.together.ai/v1", "TOGETHERAI", more=("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY")
    ),
    "fireworks_ai": _vendor("https://api.fireworks.ai/inference/v1", "FIREWORKS", more=("FIREWORKS_AI_API_KEY",)),
    "xai": _vendor("https://api.x.ai/v1", "XAI"),
    "cerebras": _vendor("https://api.cerebras.ai/v1", "CEREBRAS"),
    "perplexity": _vendor("https://api.perplexity.ai", "PERPLEXITYAI", more=("PERPLEXITY_API_KEY",)),
    "nvidia_nim": _vendor("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM"),
    "deepinfra": _vendor("https://api.deepinfra.com/v1/openai", "DEEPINFRA"),
    "sambanova": _vendor("https://api.sambanova.ai/v1", "SAMBANOVA"),
    "moonshot": _vendor("https://api.moonshot.ai/v1", "MOONSHOT"),
    "dashscope": _vendor("https://dashscope.aliyuncs.com/compatible-mode/v1", "DASHSCOPE"),
    "zai": _vendor("https://api.z.ai/api/paas/v4", "ZAI"),
    "nebius": _vendor("https://api.studio.nebius.ai/v1", "NEBIUS"),
    "novita": _vendor("https://api.novita.ai/v3/openai", "NOVITA"),
    "hyperbolic": _vendor("https://api.hyperbolic.xyz/v1", "HYPERBOLIC"),
    "vercel_ai_gateway": _vendor("https://ai-gateway.vercel.sh/v1", "VERCEL_AI_GATEWAY"),
    "ollama": _own_server("OLLAMA", "http://localhost:11434", base_path="/v1"),
    "ollama_chat": _own_server("OLLAMA", "http://localhost:11434", base_path="/v1"),
    "hosted_vllm": _own_server("HOSTED_VLLM"),
    "lm_studio": _own_server("LM_STUDIO"),
    "llamafile": _own_server("LLAMAFILE", "http://127.0.0.1:8080/v1"),
    "anthropic": Vendor(
        lane="transformed",
        keys=("ANTHROPIC_API_KEY",),
        bases=("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        max_tokens="max_tokens",
        rich_results=True,
    ),
    # Gemini has no request path that can be driven from outside; Bedrock and Vertex sign, Azure builds its own URLs.
    "gemini": Vendor(lane="litellm", keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"), bases=("GEMINI_API_BASE",)),
    "vertex_ai": Vendor(lane="litellm", needs_key=False, rich_results=True),
    "bedrock": Vendor(lane="litellm", needs_key=False, rich_results=True),
    "azure": Vendor(
        lane="litellm",
        keys=("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
        bases=("AZURE_API_BASE",),
        # Where it speaks OpenAI's wire; LiteLLM has paths of its own.
        base_path="/openai/v1",
        names=True,
        refusals=True,
        tokens=True,
    ),
    "azure_ai": Vendor(lane="litellm", keys=("AZURE_AI_API_KEY",), bases=("AZURE_AI_API_BASE",)),
    "cohere": Vendor(lane="litellm", keys=("COHERE_API_KEY", "CO_API_KEY"), bases=("COHERE_API_BASE",)),
    "cohere_chat": Vendor(lane="litellm", keys=("COHERE_API_KEY", "CO_API_KEY"), bases=("COHERE_API_BASE",)),
}

ONLY_RESPONSES = re.compile(r"(o\d|gpt-\d).*-(codex|pro|deep-research)(-|$)|gpt-daybreak-")
"""OpenAI's models that it does not serve as chat completions. A test compares them with LiteLLM's list."""

INTERACTIVE = frozenset({"github_copilot", "chatgpt"})
"""LiteLLM logs in to these by asking a person to open a browser; a server cannot."""
