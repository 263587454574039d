"""What survives the process. Adding one: a file here, a line in STORES; tests/stores then covers it unasked."""

from collections.abc import Callable

from gateway.storage import Store
from gateway.stores.sqlite import SQLiteStore

STORES: dict[str, Callable[[str], Store]] = {
    "sqlite": SQLiteStore,
}
"""URL scheme -> store, built from the whole URL and opened by `async with`."""
