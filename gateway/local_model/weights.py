"""The weights of a local model on disk: which they are, whether they are here; check, remove. A start asks no more.

A file under its final name has been checked: it got that name by an atomic rename after its sha256 was right.
What is fetched so far stands in `<name>.part`, so every pull (`pulling`) continues where the last one stopped.
"""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.local_model.lock import locked

Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and what is being done in a few words."""

_BLOCK = 4 << 20
_LOCK_POLL = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One file of model weights. `size` is in bytes, `sha256` in hex; `licence` and `origin` are noted beside it."""

    name: str
    title: str
    size: int
    sha256: str
    licence: str
    origin: str


QWEN_CODER = Weights(
    name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    title="Qwen2.5-Coder-1.5B-Instruct, Q4_K_M",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    licence="Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0",
    origin="https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
)
"""The model that Homeport offers without a key. A demonstration model: small, made for code, good enough to search
the documentation, answer from it and open a ticket when its steps are constrained by a schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is on disk. `bytes_present` counts a complete file or what a broken pull left."""

    path: Path
    complete: bool
    bytes_present: int
    bytes_total: int


def status(target_dir: Path, weights: Weights = QWEN_CODER) -> Status:
    """What of `weights` is in `target_dir`. Looks at names and sizes only: `verify` reads the bytes."""
    path = target_dir / weights.name
    if path.is_file():
        return Status(path=path, complete=True, bytes_present=path.stat().st_size, bytes_total=weights.size)
    return Status(path=path, complete=False, bytes_present=size_of(part_of(path)), bytes_total=weights.size)


async def verify(path: Path, on_progress: Progress, weights: Weights = QWEN_CODER) -> bool:
    """Whether the file at `path` is byte for byte what `weights` names. Reads all of it, about a second a GB."""
    if size_of(path) != weights.size:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, _BLOCK):
            await asyncio.to_thread(digest.update, block)
            on_progress(file.tell(), weights.size, "checking sha256")
    return digest.hexdigest() == weights.sha256


async def remove(target_dir: Path, weights: Weights = QWEN_CODER) -> int:
    """Delete the weights, their note and what a broken pull left. Returns the bytes freed. Waits for a running pull."""
    async with only_pull(target_dir, weights, lambda done, total, phase: None):
        return await asyncio.to_thread(_delete, target_dir / weights.name)


@asynccontextmanager
async def only_pull(target_dir: Path, weights: Weights, on_progress: Progress) -> AsyncGenerator[None]:
    """While it is entered, nobody else pulls or removes these weights there."""
    with _lock_file(target_dir, weights).open("a+b") as file:
        while not locked(file):
            on_progress(status(target_dir, weights).bytes_present, weights.size, "waiting for another pull")
            await asyncio.sleep(_LOCK_POLL)
        # Closing the file gives the lock back, and so does the end of the process, however it comes.
        yield


def _delete(path: Path) -> int:
    freed = 0
    for file in (path, part_of(path), note_of(path)):
        freed += size_of(file)
        file.unlink(missing_ok=True)
    shutil.rmtree(scratch_of(path), ignore_errors=True)
    return freed


def size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _lock_file(target_dir: Path, weights: Weights) -> Path:
    target_dir.mkdir(parents=True, exist_ok=True)
    return target_dir / f".{weights.name}.lock"


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def note_of(path: Path) -> Path:
    return path.with_name(path.name + ".origin.txt")


def scratch_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.unpacking")
