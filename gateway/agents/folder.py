"""The agents folder as it is now: edits are picked up while the gateway runs.

An edit that is not valid keeps the last good revision of that agent and is reported. A running turn keeps the
`AgentSpec` it began with, for specs never change. Nothing here decides when to look: `watch` does so every second,
tests call `refresh`.
"""

import hashlib
import logging
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import time_ns
from types import MappingProxyType

import anyio
import anyio.to_thread

from gateway.agents.load import LoadedAgent, documents_in, name_taken, read_agent
from gateway.agents.positions import DocumentError, Problem
from gateway.agents.spec import EVERYTHING, AgentSpec
from gateway.agents.strict_yaml import MAX_BYTES

logger = logging.getLogger(__name__)

FRESH_NS = 2_000_000_000
"""A file that changed less than this before it was read may have changed again within its file system's clock tick."""


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What a file held. Two stamps are equal when the content was; the rest saves reading a file that is still."""

    content: str
    moved: tuple[int, int, int] = field(compare=False)
    read_at: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One document as last read: its files, the last good agent, and what is wrong with it now."""

    stamps: Mapping[Path, _Stamp | None]
    agent: LoadedAgent | None
    error: DocumentError | None


class AgentFolder:
    """`path` holds the documents; `env` fills in their `{{env.X}}`, `memories` are the strategies that they may name.

    The folder is read at once.
    """

    def __init__(self, path: Path, env: Mapping[str, str], *, memories: Collection[str] = (EVERYTHING,)) -> None:
        self.path = path
        self._env = dict(env)
        self._memories = frozenset(memories)
        self._entries: dict[Path, _Entry] = {}
        self._agents: Mapping[str, AgentSpec] = MappingProxyType({})
        self._errors: Mapping[Path, DocumentError] = MappingProxyType({})
        self.refresh()

    @property
    def agents(self) -> Mapping[str, AgentSpec]:
        """Name to agent, sorted by file. The mapping is never changed: a reload puts another in its place."""
        return self._agents

    @property
    def errors(self) -> Mapping[Path, DocumentError]:
        """What is wrong with which file. Its agent, if there ever was a good revision, still serves."""
        return self._errors

    @property
    def problems(self) -> list[Problem]:
        """Every mistake in the folder's documents, by file and place."""
        return [problem for error in self._errors.values() for problem in error.problems]

    def refresh(self) -> bool:
        """Look for changes. Costs one `stat` a file when there are none. True if anything changed."""
        try:
            paths = documents_in(self.path)
        except DocumentError as error:
            return self._unlisted(error)
        before, entries = self._entries, {path: self._entry(path) for path in paths}
        self._entries = entries
        if (
            self.path not in self._errors
            and entries.keys() == before.keys()
            and all(
                entry.agent is before[path].agent and entry.error is before[path].error
                for path, entry in entries.items()
            )
        ):
            return False
        agents: dict[str, AgentSpec] = {}
        errors: dict[Path, DocumentError] = {}
        for path, entry in entries.items():
            if entry.error:
                errors[path] = entry.error
            if entry.agent and entry.agent.spec.name in agents:
                errors[path] = name_taken(path, entry.agent.spec.name)
            elif entry.agent:
                agents[entry.agent.spec.name] = entry.agent.spec
        self._publish(agents, errors)
        return True

    async def watch(self, seconds: float = 1.0) -> None:
        """Refresh for ever, off the event loop; cancel it to stop. Whatever goes wrong is logged, and tried again."""
        last = ""
        while True:
            await anyio.sleep(seconds)
            try:
                await anyio.to_thread.run_sync(self.refresh)
                last = ""
            except Exception as error:
                if (now := repr(error)) != last:
                    logger.exception("the agents folder %s could not be looked at; trying again", self.path)
                last = now

    def _unlisted(self, error: DocumentError) -> bool:
        """What was there stays: a folder that cannot be listed, for want of a file descriptor say, is not empty."""
        if str(self._errors.get(self.path)) == str(error):
            return False
        self._publish(self._agents, {**self._errors, self.path: error})
        return True

    def _entry(self, path: Path) -> _Entry:
        before = self._entries.get(path)
        if before:
            stamps = {file: _stamp(file, old) for file, old in before.stamps.items()}
            if stamps == before.stamps:
                return replace(before, stamps=stamps)
        good = before.agent if before else None
        started, own = time_ns(), _stamp(path, None)
        try:
            agent, error = read_agent(path, self._env, self.path, self._memories), None
        except DocumentError as wrong:
            # What is wrong may be put right in a prompt file, without the document being touched.
            agent, error = good, wrong
        files = {*(agent.files if agent else ()), *(error.files if error else ())}
        if error is None and good and agent and agent.spec == good.spec and agent.files == good.files:
            agent = good
        return _Entry({**{file: _later(file, started) for file in files}, path: own}, agent, error)

    def _publish(self, agents: Mapping[str, AgentSpec], errors: Mapping[Path, DocumentError]) -> None:
        old_agents, old_errors = self._agents, self._errors
        # Before it is reported, for a log may fail.
        self._agents, self._errors = MappingProxyType(agents), MappingProxyType(errors)
        for path, error in errors.items():
            if old_errors.get(path) is not error:
                logger.warning("agent document not used:\n%s", error, extra={"path": str(path)})
        for name, new in agents.items():
            if old_agents.get(name) is not new:
                logger.info("agent %s is %s: %s", name, "changed" if name in old_agents else "here", new.digest)
        for name in old_agents.keys() - agents.keys():
            logger.info("agent %s is gone", name)


def _stamp(file: Path, before: _Stamp | None) -> _Stamp | None:
    """None for a file that is not there. `before` saves reading a file that has long been still."""
    try:
        found = file.stat()
        moved = (found.st_mtime_ns, found.st_size, found.st_ino)
        if before and before.moved == moved and before.read_at - found.st_mtime_ns > FRESH_NS:
            return before
        read_at = time_ns()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            return _Stamp(str(moved), moved, read_at)  # It is refused unread, so its content does not matter.
        return _Stamp(hashlib.sha256(file.read_bytes()).hexdigest(), moved, read_at)
    except OSError:
        return None


def _later(file: Path, started: int) -> _Stamp | None:
    """The stamp of a file that was read after `started`: never equal to a later one if it may have changed since."""
    stamp = _stamp(file, None)
    return replace(stamp, content="") if stamp and stamp.moved[0] >= started else stamp
