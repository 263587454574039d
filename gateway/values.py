"""What items, events and their kind are: dataclasses that nobody changes once they are made.

The type checker sees to that, and not the interpreter. A dataclass that is frozen at run time sets each of its fields
by a call, so making a message takes 1.8 µs and not 0.7, and a turn makes some twenty such values. See
docs/decisions/0026-values.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Made = TypeVar("Made")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(*, kw_only: bool = True) -> Callable[[type[Made]], type[Made]]:
    """A class of values with these fields, which are compared by them. Fields are named unless `kw_only` is false."""
    return dataclass(slots=True, kw_only=kw_only, unsafe_hash=True)
