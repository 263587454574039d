"""A schema made ready to check values against, within a bound on the work."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jsonschema import SchemaError, ValidationError
from jsonschema.exceptions import UndefinedTypeCheck, UnknownType
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from gateway.json_schema.drafts import draft_of
from gateway.json_schema.meter import MAX_WORK, Meter, SchemaUnusable

MAX_PROBLEMS = 100
"""More are not looked for."""
_EMPTY: Any = EMPTY_REGISTRY
"""A registry that knows no document but the schema itself and fetches none."""
_BROKEN = (
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    RecursionError,
    SchemaError,
    UnknownType,
    UndefinedTypeCheck,
)
"""What jsonschema raises on its way through something that is no schema."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a value: where in it, with dots, empty for the whole; and what."""

    where: str
    message: str


class Schema:
    """A schema of its own draft, 2020-12 where it names none. References stay within it. Threads may share it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        draft: Any = draft_of(schema)
        resource: Any = draft.SPECIFICATION.create_resource(schema)
        try:
            uri = resource.id() or ""
            # Crawled now, or every reference to an anchor would do it again.
            resolver = _EMPTY.with_resource(uri, resource).crawl().resolver(base_uri=uri)
        except _BROKEN as error:
            raise SchemaUnusable(type(error).__name__) from None
        self._draft, self._schema, self._resolver = draft, schema, resolver

    def problems(self, value: Any, work: int = MAX_WORK) -> list[Problem]:
        """What is wrong with a value, by place; empty when it fits. Raises `CannotCheck` children."""
        validator: Any = self._draft(self._schema, format_checker=Meter(work), _resolver=self._resolver)
        try:
            errors: list[ValidationError] = list(islice(validator.iter_errors(value), MAX_PROBLEMS))
        except Unresolvable as error:
            raise SchemaUnusable(f"it refers to something outside of itself: {error.ref}") from None
        except RecursionError:
            raise SchemaUnusable("it refers to itself without end") from None
        except _BROKEN as error:
            raise SchemaUnusable(type(error).__name__) from None
        places = [[str(step) for step in error.absolute_path] for error in errors]
        found = sorted(zip(places, [error.message for error in errors], strict=True))
        return [Problem(".".join(place), message) for place, message in found]
