"""Turns pydantic's complaints about a document into problems with file, line, column and the nearest known key."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, cast, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import ErrorDetails

from gateway.agents.positions import Positions, Problem


class Refused:
    """Marks a key that is known only to be refused, so it is never suggested."""


def _refuse(value: object) -> object:
    raise ValueError("is not supported by this release of Homeport")


Unsupported = Annotated[SkipJsonSchema[object], BeforeValidator(_refuse), Refused()]
"""The type of a key that this release does not have: named so that it is refused honestly, left out of JSON Schemas."""


def problems_of(error: ValidationError, model: type[BaseModel], positions: Positions) -> list[Problem]:
    """What `model` did not accept in the document that `positions` belongs to, in the order of the file."""
    found = {_problem(each, model, positions): None for each in error.errors(include_url=False)}
    return sorted(found, key=lambda problem: (problem.line, problem.column))


def describe(error: ValidationError, positions: Positions | None, model: type[BaseModel]) -> list[str]:
    """The same as lines of text, for data that may come only in part from a file: what does not has no position."""
    lines: list[str] = []
    for each in error.errors(include_url=False):
        if positions and positions.known(each["loc"][:1]):
            lines.append(str(_problem(each, model, positions)))
        else:
            lines.append(_message(each, each["loc"], model))
    return list(dict.fromkeys(lines))


def _problem(error: ErrorDetails, model: type[BaseModel], positions: Positions) -> Problem:
    where = positions.known(error["loc"])
    return positions.problem(where, _message(error, where, model), key=error["type"] == "extra_forbidden")


def _message(error: ErrorDetails, where: Sequence[str | int], model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        return _unknown(str(error["loc"][-1]), known_keys(model, where[:-1]))
    if error["type"] == "missing" and tuple(where) != error["loc"]:
        where = (*where, error["loc"][-1])
    name = ".".join(str(step) for step in where)
    if error["type"] == "missing":
        return f"the key `{name}` is missing"
    message = error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"`{name}`: {message}" if name else message


def _unknown(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.5)
    if near:
        return f"unknown key `{key}`: did you mean `{near[0]}`?"
    return f"unknown key `{key}`" + (f": the keys here are {', '.join(known)}" if known else "")


def known_keys(model: type[BaseModel], where: Iterable[str | int]) -> list[str]:
    """The keys that may stand in the mapping at `where` of a document that `model` describes."""
    models = [model]
    for step in where:
        if isinstance(step, int):
            continue
        fields = [each.model_fields for each in models]
        kinds = [known[step].annotation for known in fields if step in known]
        # A step that is no field is the free key of a mapping, whose values were looked into already.
        models = [found for kind in kinds for found in _models_in(kind)] if kinds else models
    return sorted({name for each in models for name, field in each.model_fields.items() if not _hidden(field.metadata)})


def _models_in(kind: Any) -> list[type[BaseModel]]:
    """The models in an annotation such as `list[Grant] | None`."""
    if isinstance(kind, type) and get_origin(kind) is None:
        return [kind] if issubclass(kind, BaseModel) else []
    parts = get_args(kind)[:1] if get_origin(kind) is Annotated else get_args(kind)
    return [found for part in parts for found in _models_in(part)]


def _hidden(metadata: Sequence[Any]) -> bool:
    return any(isinstance(each, Refused) for each in cast("Sequence[object]", metadata))
