"""`prompt: {id, version, variables}` names an agent, as it named a prompt that OpenAI kept.

OpenAI ends its hosted prompts on 30 November 2026 (deprecations page of 3 June 2026). The id is an agent's name, or the
old `pmpt_…` id that its document keeps under `labels: {prompt: …}`; one document is one version of it. The instructions
are text: an image or a file that stands for a variable is shown in a message of the user's, under the variable's name.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.agents.catalog import Catalog
from gateway.agents.spec import AgentSpec
from gateway.apis._items import to_part
from gateway.apis.responses.schema import PromptReference, ResponsesRequest
from gateway.errors import InvalidRequest, NotFound
from gateway.items import Item, Message, Part, Text, new_id

VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")
VERSION = "prompt_version"
"""The label with the version that a document is of its prompt."""
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
    """The agent of the version that is asked for, or of the newest. Raises NotFound."""
    agents = sorted(catalog.labelled("prompt", prompt.name), key=age, reverse=True)
    if not agents:
        raise NotFound(
            f"Prompt with id '{prompt.name}' not found. It is the name of an agent, or the label `prompt` of one.",
            param="prompt.id",
            code="prompt_not_found",
        )
    version = prompt.version
    found = next((one for one in agents if not version or is_version(version, one)), None)
    if found is None:
        there = ", ".join(one.labels.get(VERSION) or one.digest for one in agents)
        raise NotFound(
            f"Version '{version}' of prompt '{prompt.name}' not found; there is {there}.",
            param="prompt.version",
            code="prompt_version_not_found",
        )
    return found


def age(agent: AgentSpec) -> tuple[int, str]:
    """What the versions of a prompt are sorted by, oldest first: numbers as numbers, and after what is none."""
    version = agent.labels.get(VERSION, "")
    return int(version) if version.isdecimal() else -1, version


def is_version(version: str, agent: AgentSpec) -> bool:
    """A version is the document's digest, the beginning of it, or its label `prompt_version`."""
    digest = agent.digest.removeprefix("sha256:")
    short = version.removeprefix("sha256:")
    return version == agent.labels.get(VERSION) or (len(short) >= SHORTEST_DIGEST and digest.startswith(short))


def filled(instructions: str, variables: Mapping[str, Any]) -> str:
    """The instructions with every `{{name}}` replaced, once. Raises InvalidRequest for one that is not given."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        match variables.get(name):
            case str(text) | {"type": "input_text", "text": str(text)}:
                return text
            case {"type": "input_image" | "input_file"}:
                return mark(name)
            case None:
                raise InvalidRequest(
                    f"Missing prompt variable: '{name}'.",
                    param=f"prompt.variables.{name}",
                    code="missing_required_parameter",
                )
            case _:
                raise InvalidRequest(
                    f"The prompt variable '{name}' must be a string, or an input_text, input_image or input_file.",
                    param=f"prompt.variables.{name}",
                    code="invalid_type",
                )

    return VARIABLE.sub(value, instructions)


def mark(name: str) -> str:
    """What stands for an image or a file where a variable is filled in, and in front of it where it is shown."""
    return f"[{name}]"


def without_media(prompt: Mapping[str, Any]) -> Mapping[str, Any]:
    """A request's `prompt` that fills in the same, for a conversation where its images and files were shown before."""
    variables: Mapping[str, Any] = prompt.get("variables") or {}
    return {
        **prompt,
        "variables": {name: mark(name) if is_media(value) else value for name, value in variables.items()},
    }


def is_media(value: object) -> bool:
    match value:
        case {"type": "input_image" | "input_file"}:
            return True
        case _:
            return False


def with_media(items: list[Item], prompt: PromptReference | None) -> list[Item]:
    """The input, and before its first message one with the images and files that stand for variables, if any do.

    Results of calls stay right behind these. Raises InvalidRequest with the variable's place.
    """
    parts: list[Part] = []
    for name, value in (prompt.variables or {} if prompt else {}).items():
        if is_media(value):
            parts += [Text(text=mark(name)), to_part(value, f"prompt.variables.{name}")]
    if not parts:
        return items
    place = next((number for number, item in enumerate(items) if isinstance(item, Message)), len(items))
    return [*items[:place], Message(id=new_id("msg"), role="user", content=tuple(parts)), *items[place:]]
