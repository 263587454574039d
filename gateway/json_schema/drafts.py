"""jsonschema's validators with another core: one that counts, and never leaves the draft that it began in.

jsonschema goes over to its own unbounded validators where an inner schema has a `$schema`, writes whole values into
messages that nobody reads, and checks on when a value is already known to be too long.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

from jsonschema import (
    Draft3Validator,
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
    ValidationError,
    validators,
)
from referencing.jsonschema import specification_with

from gateway.json_schema.keywords import BOUNDED
from gateway.json_schema.meter import Meter

MAX_MESSAGE = 300
DECISIVE = frozenset({"type", "maxLength", "maxItems", "maxProperties"})
"""Checked first; where one of them fails, the rest is not worth the work."""
_UNTYPED = cast("Any", validators)


def _descend(
    self: Any, instance: Any, schema: Any, path: Any = None, schema_path: Any = None, resolver: Any = None
) -> Iterator[ValidationError]:
    self.format_checker.spend(1)
    if schema is True:
        return
    if schema is False:
        yield _forbidden(instance)
        return
    if resolver is None:
        resolver = self._resolver
        if "$id" in schema or "id" in schema:
            resolver = resolver.in_subresource(self.SPECIFICATION.create_resource(schema))
    for error in _errors(self.evolve(schema=schema, _resolver=resolver), instance, schema):
        if path is not None:
            error.path.appendleft(path)
        if schema_path is not None:
            error.schema_path.appendleft(schema_path)
        yield error


def _iter_errors(self: Any, instance: Any) -> Iterator[ValidationError]:
    if self.schema is False:
        yield _forbidden(instance)
    elif self.schema is not True:
        yield from _errors(self, instance, self.schema)


def _evolve(self: Any, **changes: Any) -> Any:
    self.format_checker.spend(1)
    kept = {name: getattr(self, attribute) for attribute, name in self.FIELDS if name not in changes}
    return type(self)(**kept, **changes)


def _forbidden(instance: Any) -> ValidationError:
    return ValidationError("no value is allowed here", validator="", validator_value=False, instance=instance)


def _errors(validator: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    meter: Meter = validator.format_checker
    keywords: list[tuple[str, Any]] = list(cast("Any", type(validator))._APPLICABLE_VALIDATORS(schema))
    for name, value in sorted(keywords, key=lambda keyword: keyword[0] not in DECISIVE):
        keyword = validator.VALIDATORS.get(name)
        if keyword is None:
            continue
        meter.spend(_work(name, value, instance))
        failed = False
        for error in keyword(validator, value, instance, schema) or ():
            failed = True
            meter.spend(1 + len(error.message) // 32)
            if len(error.message) > MAX_MESSAGE:
                # The value comes first and what is wrong with it last.
                error.message = f"{error.message[: MAX_MESSAGE // 2]}…{error.message[-MAX_MESSAGE // 2 :]}"
            error._set(
                validator=name,
                validator_value=value,
                instance=instance,
                schema=schema,
                type_checker=validator.TYPE_CHECKER,
            )
            if name not in ("if", "$ref"):
                error.schema_path.appendleft(name)
            yield error
        if failed and name in DECISIVE:
            return


def _work(name: str, value: Any, instance: Any) -> int:
    """What a keyword costs besides what it has other keywords do."""
    work = 1 + len(cast("list[Any]", value)) // 8 if isinstance(value, list | dict | str) else 1
    if name in ("dependentRequired", "dependencies") and isinstance(value, dict):
        lists = cast("dict[str, Any]", value).values()
        work += sum(len(cast("list[Any]", each)) for each in lists if isinstance(each, list)) // 8
    elif name in ("unevaluatedProperties", "unevaluatedItems") and isinstance(instance, list | dict):
        # jsonschema looks for each member in a list of all that were evaluated.
        work += len(cast("list[Any]", instance)) ** 2 // 64
    return work


def _bounded(draft: Any) -> Any:
    made = _UNTYPED.extend(draft, BOUNDED)
    made.VALIDATORS.pop("format", None)
    made.SPECIFICATION = cast("Any", specification_with)(draft.ID_OF(draft.META_SCHEMA))
    made.FIELDS = tuple((field.name, field.alias) for field in made.__attrs_attrs__ if field.init)
    made.descend, made.iter_errors, made.evolve = _descend, _iter_errors, _evolve
    return made


DRAFTS: Mapping[Any, Any] = MappingProxyType(
    {
        draft: _bounded(draft)
        for draft in (
            Draft3Validator,
            Draft4Validator,
            Draft6Validator,
            Draft7Validator,
            Draft201909Validator,
            Draft202012Validator,
        )
    }
)
"""The bounded validator of each draft that jsonschema knows."""


def draft_of(schema: Mapping[str, Any]) -> Any:
    """The bounded validator of the draft that a schema names; 2020-12 where it names none that is known."""
    return DRAFTS[_UNTYPED.validator_for(schema, default=Draft202012Validator)]
