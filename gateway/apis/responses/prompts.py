"""`prompt: {id, version, variables}` names an agent, as it named a prompt that OpenAI kept.

OpenAI ends its hosted prompts on 30 November 2026 (deprecations page of 3 June 2026). The id is an agent's name, or the
old `pmpt_…` id that its document keeps under `labels: {prompt: …}`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.agents.catalog import Catalog
from gateway.agents.spec import AgentSpec
from gateway.apis.responses.schema import PromptReference, ResponsesRequest
from gateway.errors import InvalidRequest, NotFound

VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")
SHORTEST_DIGEST = 7
"""Characters of a digest that may stand for the whole, as in git."""


def agent_of(body: ResponsesRequest, catalog: Catalog) -> AgentSpec:
    """The agent that this request asks, with the prompt's variables filled in.

    `model` beside a prompt replaces the agent's model. Raises NotFound and InvalidRequest.
    """
    if body.prompt is None:
        if not body.model:
            raise InvalidRequest(
                "Missing required parameter: 'model'.", param="model", code="missing_required_parameter"
            )
        return catalog.find(body.model)
    agent = prompted(body.prompt, catalog)
    if body.model and body.model != agent.name:
        agent = replace(agent, model=catalog.find(body.model).model)
    return replace(agent, instructions=filled(agent.instructions, body.prompt.variables or {}))


def prompted(prompt: PromptReference, catalog: Catalog) -> AgentSpec:
    agent = catalog.labelled("prompt", prompt.name)
    if agent is None:
        raise NotFound(
            f"Prompt with id '{prompt.name}' not found. It is the name of an agent, or the label `prompt` of one.",
            param="prompt.id",
            code="prompt_not_found",
        )
    version = prompt.version
    if version and not is_version(version, agent):
        raise NotFound(
            f"Version '{version}' of prompt '{prompt.name}' not found; there is {agent.digest}.",
            param="prompt.version",
            code="prompt_version_not_found",
        )
    return agent


def is_version(version: str, agent: AgentSpec) -> bool:
    """A version is the document's digest, the beginning of it, or its label `prompt_version`."""
    digest = agent.digest.removeprefix("sha256:")
    short = version.removeprefix("sha256:")
    return version == agent.labels.get("prompt_version") or (len(short) >= SHORTEST_DIGEST and digest.startswith(short))


def filled(instructions: str, variables: Mapping[str, Any]) -> str:
    """The instructions with every `{{name}}` replaced, once. Raises InvalidRequest for one that is not given."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        match variables.get(name):
            case str(text) | {"type": "input_text", "text": str(text)}:
                return text
            case None:
                raise InvalidRequest(
                    f"Missing prompt variable: '{name}'.",
                    param=f"prompt.variables.{name}",
                    code="missing_required_parameter",
                )
            case _:
                raise InvalidRequest(
                    f"The prompt variable '{name}' must be text: it stands in the agent's instructions.",
                    param=f"prompt.variables.{name}",
                    code="invalid_type",
                )

    return VARIABLE.sub(value, instructions)
