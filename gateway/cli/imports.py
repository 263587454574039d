"""`homeport import`: makes agent documents of what other places keep."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from rich.console import Console
from rich.markup import escape

from gateway.agents.load import load_agent, load_agents
from gateway.agents.positions import DocumentError
from gateway.errors import InvalidRequest
from gateway.memory import STRATEGIES
from gateway.settings import Settings

console = Console(highlight=False)

MODEL = "openai/gpt-4o-mini"
"""Of a prompt that names none."""
PARAMS = (
    "temperature",
    "top_p",
    "max_output_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "parallel_tool_calls",
    "reasoning_effort",
    "verbosity",
)
"""Settings that are called the same in an agent document."""
HEAD = ("system", "developer")
SAID = "The conversation begins with these messages:"
"""Stands over the messages of the user and the assistant: an agent document has no place for them but this."""
TAKEN = frozenset(
    "instructions messages input model name id version prompt reasoning text response_format".split()
).union(PARAMS)
"""What is taken over, at least in parts that are looked at one by one."""
OF_ONE_ANSWER = frozenset(
    "object created_at updated_at completed_at status output usage error incomplete_details previous_response_id "
    "conversation store background billing is_default".split()
)
"""What a response or a list of prompts tells beside the settings."""
DEFAULTS = {"tool_choice": "auto", "truncation": "disabled", "presence_penalty": 0, "frequency_penalty": 0}
"""OpenAI's, which a response repeats and an agent has too."""
WHY = {
    "tools": "name servers' tools in the document, or give functions with each request",
    "tool_choice": "it comes with each request",
    "variables": "their values come with each request",
    "max_tool_calls": "bound a tool with `limits: {per_run: …}` in the document",
}

Json = Mapping[str, Any]


def prompt(settings: Settings, path: Path, name: str | None) -> None:
    """Write the agent document of a saved prompt into the agents folder, and say what could not be taken over.

    The file is JSON or YAML: a prompt as OpenAI's dashboard or a response shows it (`instructions` or `messages`,
    `model`, parameters, `id`, `version`). A file of any other kind is taken as the instructions themselves. Raises
    InvalidRequest when there is nothing to take, or an agent of this name or of this version of the prompt is there
    already.
    """
    given = read(path)
    instructions, notes = instructions_of(given)
    if not instructions:
        raise InvalidRequest(f"{path} holds neither instructions nor messages.")
    params, left_out = params_of(given)
    agent = slug(name or str(given.get("name") or path.stem))
    target = settings.agents / f"{agent}.yaml"
    check_new(settings, target, given)
    settings.agents.mkdir(parents=True, exist_ok=True)
    target.write_text(document(agent, given, instructions, params))
    try:
        load_agent(target, settings.environment, memories=STRATEGIES)
    except DocumentError as error:
        target.unlink()
        raise InvalidRequest(f"No agent can be made of {path}: {error}") from None
    console.print(f"[green]✓[/] {escape(str(target))}", soft_wrap=True)
    if (id := identity(given, "id")) is not None:
        console.print(f"  Requests with prompt id {escape(id)} are answered by it.", soft_wrap=True)
    if not given.get("model"):
        notes.append(f"no model is named, so the document has {MODEL}")
    notes += [f"not taken over: {what}" for what in [*left_out, *others(given)]]
    for note in notes:
        console.print(f"[yellow]![/] {escape(note)}", soft_wrap=True)


def read(path: Path) -> Json:
    try:
        text = path.read_text()
        loaded: object = text
        if path.suffix == ".json":
            loaded = json.loads(text)
        elif path.suffix in (".yaml", ".yml"):
            loaded = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}") from None
    if isinstance(loaded, str):
        return {"instructions": loaded}
    if not isinstance(loaded, dict):
        raise InvalidRequest(f"{path} is no prompt: expected an object with `instructions` or `messages`.")
    return cast(Json, loaded)


def check_new(settings: Settings, target: Path, given: Json) -> None:
    """Raises InvalidRequest if requests could not reach the document, or another one any more."""
    there = load_agents(settings.agents, settings.environment, memories=STRATEGIES)
    if target.exists() or target.stem in there.specs:
        where = target if target.exists() else there.documents[target.stem]
        raise InvalidRequest(f"{where} is there already. Choose another name: --name NAME.")
    id, version = identity(given, "id"), identity(given, "version")
    for name, spec in there.specs.items():
        if id and (spec.labels.get("prompt"), spec.labels.get("prompt_version")) == (id, version):
            which = f"{id}, version {version}" if version else id
            raise InvalidRequest(
                f"{there.documents[name]} answers to prompt {which} already. Remove it first, or change its labels."
            )


def instructions_of(given: Json) -> tuple[str, list[str]]:
    """The text, and what became of what is not simply text of it. Raises InvalidRequest for what is no message."""
    head, said, notes = list[str](), list[str](), list[str]()
    for key in ("instructions", "messages", "input"):
        part = given.get(key)
        if isinstance(part, str):
            head.append(part)
        for message in cast(Sequence[object], part if isinstance(part, list) else ()):
            if not isinstance(message, dict):
                raise InvalidRequest(f"`{key}` is a text or a list of messages; {message!r} is none.")
            one = cast(Json, message)
            role = str(one.get("role") or one.get("type"))
            text, others = text_of(one.get("content"))
            notes += [f"not taken over: {other} in a message of the {role}" for other in others]
            if role in HEAD:
                head.append(text)
            elif role in ("user", "assistant"):
                said.append(f"{role.capitalize()}: {text.strip()}")
                notes.append(f"stands in the instructions: a message of the {role}: {text[:60]!r}")
            else:
                notes.append(f"not taken over: an item of type {role}")
    return "\n\n".join(text.strip() for text in [*head, *([SAID] if said else ()), *said] if text.strip()), notes


def text_of(content: object) -> tuple[str, list[str]]:
    """The text of a message, and the types of its parts that have none."""
    if isinstance(content, str):
        return content, []
    parts = cast(Sequence[Json], content if isinstance(content, list) else ())
    text = "".join(str(part.get("text", "")) for part in parts)
    return text, [str(part.get("type")) for part in parts if "text" not in part]


def params_of(given: Json) -> tuple[dict[str, Any], list[str]]:
    """The parameters of the model as an agent document has them, and the settings beside these that it has not."""
    params = {key: given[key] for key in PARAMS if given.get(key) not in (None, DEFAULTS.get(key))}
    reasoning, text = table(given, "reasoning"), table(given, "text")
    if reasoning.get("effort"):
        params["reasoning_effort"] = reasoning["effort"]
    if text.get("verbosity"):
        params["verbosity"] = text["verbosity"]
    form = table(text, "format") or table(given, "response_format")
    if form.get("type", "text") != "text":
        # Chat completions have the schema one level further down.
        flat = {"type": form["type"], **table(form, "json_schema"), **form}
        kept = ("type", "name", "description", "schema", "strict")
        params["response_format"] = {key: flat[key] for key in kept if flat.get(key) is not None}
    left_out = [f"reasoning.{key}" for key, value in reasoning.items() if key != "effort" and value]
    left_out += [f"text.{key}" for key, value in text.items() if key not in ("format", "verbosity") and value]
    return params, left_out


def table(given: Json, key: str) -> Json:
    value = given.get(key)
    return cast(Json, value) if isinstance(value, dict) else {}


def others(given: Json) -> Iterator[str]:
    """Every other setting that says something, with what to do instead where there is something."""
    for key, value in given.items():
        if key not in TAKEN | OF_ONE_ANSWER and value and value != DEFAULTS.get(key):
            yield f"{key}: {WHY[key]}" if key in WHY else key


def document(name: str, given: Json, instructions: str, params: Json) -> str:
    model = str(given.get("model") or MODEL)
    primary = model if "/" in model else f"openai/{model}"
    fields: dict[str, Any] = {"name": name, "model": {"primary": primary, "params": params} if params else primary}
    if labels := labels_of(given):
        fields["labels"] = labels
    lines = "".join(f"  {line}\n" if line else "\n" for line in instructions.splitlines())
    # Not a block that dumping would choose: instructions are to be read and edited by people.
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True) + f"instructions: |\n{lines}"


def labels_of(given: Json) -> dict[str, str]:
    labels = {"prompt": identity(given, "id"), "prompt_version": identity(given, "version")}
    return {key: value for key, value in labels.items() if value}


def identity(given: Json, key: str) -> str | None:
    """The prompt's own `id` or `version`, at the top or in the `prompt` of a response."""
    inner = given.get("prompt")
    value = cast(Json, inner).get(key) if isinstance(inner, dict) else given.get(key)
    return str(value) if value else None


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "prompt"
