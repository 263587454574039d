"""`homeport keys`: safe beside a running gateway, which sees the change with its next request."""

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from gateway.settings import Settings
from gateway.stores.keys import KeyRing

console = Console(highlight=False)


def ring(settings: Settings) -> KeyRing:
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return KeyRing(settings.keys_path)


def create(settings: Settings, name: str) -> None:
    """Prints the key as the last word, so that a script can take it."""
    key = ring(settings).create(name)
    console.print(f"Key for [bold]{name}[/]; it is not shown again:", soft_wrap=True)
    console.print(key, soft_wrap=True, markup=False)


def show(settings: Settings) -> None:
    infos = ring(settings).list()
    if not infos:
        console.print("There are no keys. Make one: homeport keys create NAME")
        return
    table = Table("name", "begins with", "made")
    for info in infos:
        table.add_row(
            info.name, f"{info.prefix}…", f"{datetime.fromtimestamp(info.created_at, UTC):%Y-%m-%d %H:%M} UTC"
        )
    console.print(table)


def revoke(settings: Settings, name: str) -> None:
    ring(settings).revoke(name)
    console.print(f"Revoked [bold]{name}[/].")


def local_key(settings: Settings) -> str:
    """The key that this machine's own commands use: made once, kept in a file that only its user can read."""
    path, keys = settings.local_key_path, ring(settings)
    if path.exists() and keys.verify(key := path.read_text().strip()):
        return key
    if any(info.name == "local" for info in keys.list()):
        keys.revoke("local")
    key = keys.create("local")
    path.touch(mode=0o600)
    path.write_text(key + "\n")
    return key
