"""Reads agent documents from files: `load_agent` one, `load_agents` a folder.

An included prompt must lie inside the agents folder. `{{env.NAME}}` in any string is replaced from the mapping the
caller passes in (this module never looks at the process's environment), and only for names listed under `env`.
"""

import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gateway.agents.digest import digest
from gateway.agents.document import NAME, Checks, Document, PromptFile, content, seconds
from gateway.agents.positions import DocumentError, Positions, Problem, read_text
from gateway.agents.problems import problems_of
from gateway.agents.spec import CONTEXT, EVERYTHING, AgentSpec, Context, ToolGrant
from gateway.agents.strict_yaml import load
from gateway.agents.variables import VARIABLE, fill

logger = logging.getLogger(__name__)

SUFFIXES = (".yaml", ".yml", ".json")
MAX_PROMPT_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class LoadedAgent:
    """An agent, and every file it was made from (the document first, then its prompt)."""

    spec: AgentSpec
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class LoadedAgents:
    """The agents of a folder by name, their documents, and what is wrong with the files that gave none."""

    specs: Mapping[str, AgentSpec]
    errors: Mapping[Path, DocumentError]
    documents: Mapping[str, Path]


def load_agent(
    path: Path, env: Mapping[str, str], *, root: Path | None = None, memories: Collection[str] = (EVERYTHING,)
) -> AgentSpec:
    """The agent in a YAML or JSON file. `root` is the folder that included files must lie in (default: the file's own).

    `memories` are the strategies that it may name. Raises `DocumentError` with every problem's file, line and column.
    """
    return read_agent(path, env, root or path.parent, memories).spec


def load_agents(folder: Path, env: Mapping[str, str], *, memories: Collection[str] = (EVERYTHING,)) -> LoadedAgents:
    """Every agent of a folder. A file that cannot be used does not hide the others."""
    specs: dict[str, AgentSpec] = {}
    errors: dict[Path, DocumentError] = {}
    documents: dict[str, Path] = {}
    try:
        paths = documents_in(folder)
    except DocumentError as error:
        return LoadedAgents({}, {folder: error}, {})
    for path in paths:
        try:
            spec = load_agent(path, env, root=folder, memories=memories)
        except DocumentError as error:
            errors[path] = error
            continue
        if spec.name in specs:
            errors[path] = name_taken(path, spec.name)
        else:
            specs[spec.name], documents[spec.name] = spec, path
    return LoadedAgents(specs, errors, documents)


def documents_in(folder: Path) -> list[Path]:
    """The agent documents of a folder, sorted: its own YAML and JSON files, hidden ones and subfolders left out.

    A folder that is not there has none. Raises `DocumentError` for one that cannot be listed, which says nothing about
    what is in it.
    """
    try:
        entries = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DocumentError([Problem(folder, 1, 1, f"cannot be read: {error.strerror or error}")]) from error
    return [path for path in entries if path.suffix in SUFFIXES and not path.name.startswith(".") and _is_file(path)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True  # Reading it says what is wrong.


def name_taken(path: Path, name: str) -> DocumentError:
    return DocumentError([Problem(path, 1, 1, f"another file of this folder already defines an agent named `{name}`")])


def read_agent(path: Path, env: Mapping[str, str], root: Path, memories: Collection[str]) -> LoadedAgent:
    """`load_agent`, with the files it read. Raises `DocumentError` and nothing else, so that no document can keep the
    others from being served."""
    try:
        return _read(path, env, root, memories)
    except DocumentError:
        raise
    except Exception as error:
        logger.exception("reading %s failed in a way that is a bug of Homeport", path)
        raise DocumentError([Problem(path, 1, 1, f"cannot be used: {type(error).__name__}: {error}")]) from error


def _read(path: Path, env: Mapping[str, str], root: Path, memories: Collection[str]) -> LoadedAgent:
    data, positions = load(path)
    template = _validated(data, positions, Checks(memories=memories, template=True))
    prompt = _prompt(template, positions, root)
    unset = [("env", n) for n, name in enumerate(template.env) if name not in env]
    if unset:
        names = [f"the environment variable {template.env[n]} is not set" for _, n in unset]
        raise DocumentError([positions.problem(where, name) for where, name in zip(unset, names, strict=True)])
    filled = fill(data, env, positions, template.env)
    document = _validated(filled, positions, Checks(memories=memories))
    _refuse_repeated_tools(document, positions)
    _refuse_two_strategies(document, positions)
    if prompt is None:
        text, instructions = str(template.instructions), str(document.instructions)
    else:
        text, instructions = prompt.text, str(fill(prompt.text, env, prompt, template.env))
    name = document.name or path.stem
    if not NAME.fullmatch(name):
        raise DocumentError([positions.problem((), f"give the agent a `name`: the file's name {name!r} cannot be one")])
    spec = _spec(name, document, instructions, digest(content(template, text)))
    return LoadedAgent(spec, (path, prompt.file) if prompt else (path,))


def _validated(data: object, positions: Positions, checks: Checks) -> Document:
    try:
        return Document.model_validate(data, context=checks)
    except ValidationError as error:
        raise DocumentError(problems_of(error, Document, positions)) from error


def _prompt(document: Document, positions: Positions, root: Path) -> Positions | None:
    """The prompt file that `instructions: {file: …}` names; None when the instructions stand in the document."""
    if not isinstance(document.instructions, PromptFile):
        return None
    name, where = document.instructions.file, ("instructions", "file")
    file = root / name
    if VARIABLE.search(name):
        raise DocumentError([positions.problem(where, "the name of a prompt file cannot come from the environment")])
    if "\0" in name:
        raise DocumentError([positions.problem(where, f"no file can be named {name!r}")])
    # Not Path.resolve: before Python 3.13 it raises for a loop of links, which reading the file reports as well.
    if not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(root)):
        raise DocumentError([positions.problem(where, f"{name!r} is outside the agents folder")])
    try:
        return Positions(file, read_text(file, MAX_PROMPT_BYTES))
    except DocumentError as error:
        problem = error.problems[0]
        if problem.line > 1 or problem.column > 1:
            raise
        message = f"the prompt file {name!r} {problem.message}"
        raise DocumentError([positions.problem(where, message)], [file]) from error


def _refuse_repeated_tools(document: Document, positions: Positions) -> None:
    names = [grant.tool for grant in document.tools]
    again = [index for index, name in enumerate(names) if name in names[:index]]
    if again:
        raise DocumentError([positions.problem(("tools", n), f"`{names[n]}` is listed twice") for n in again])


def _refuse_two_strategies(document: Document, positions: Positions) -> None:
    if document.context and "memory" in document.model_fields_set and document.memory != CONTEXT:
        message = f"`memory`: with a `context` the strategy is `{CONTEXT}`: leave one of the two out"
        raise DocumentError([positions.problem(("memory",), message)])


def _spec(name: str, document: Document, instructions: str, content_digest: str) -> AgentSpec:
    limits = document.limits
    tools = [
        ToolGrant(
            tool=grant.tool,
            effect=grant.effect,
            idempotent=grant.idempotent,
            args=grant.args,
            per_run=grant.limits.per_run,
            asks=grant.approval.when,
            approval_timeout=seconds(grant.approval.timeout),
        )
        for grant in sorted(document.tools, key=lambda grant: grant.tool)
    ]
    return AgentSpec(
        name=name,
        model=document.model.primary,
        instructions=instructions,
        description=document.description,
        fallbacks=tuple(document.model.fallbacks),
        params=document.model.params.model_dump(exclude_none=True),
        tools=tuple(tools),
        memory=CONTEXT if document.context else document.memory,
        context=document.context.spec() if document.context else Context(),
        max_steps=limits.max_steps,
        max_tokens=limits.max_tokens,
        deadline=None if limits.deadline is None else seconds(limits.deadline),
        labels=document.labels,
        digest=content_digest,
    )
