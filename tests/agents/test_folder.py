"""Edits of the agents folder while the gateway runs."""

import logging
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from gateway.agents.folder import AgentFolder

pytestmark = pytest.mark.anyio


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_an_edit_makes_a_new_revision_and_the_old_one_stays_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "model: one\n")
    folder = AgentFolder(tmp_path, {})
    running, mapping = folder.agents["a"], folder.agents
    write(tmp_path, "a.yaml", "model: two\n")
    assert folder.refresh()
    assert folder.agents["a"].model == "two"
    assert folder.agents["a"].digest != running.digest
    assert (running.model, mapping["a"]) == ("one", running)


def test_nothing_happens_when_nothing_changed(tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", "model: one\n")
    folder = AgentFolder(tmp_path, {})
    agent = folder.agents["a"]
    assert not folder.refresh()
    file.touch()
    assert not folder.refresh()
    assert folder.agents["a"] is agent


def test_an_invalid_edit_keeps_the_last_good_revision_and_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "a.yaml", "model: one\n")
    folder = AgentFolder(tmp_path, {})
    write(tmp_path, "a.yaml", "modle: two\n")
    with caplog.at_level(logging.WARNING):
        folder.refresh()
        folder.refresh()
    assert folder.agents["a"].model == "one"
    assert [problem.line for problem in folder.problems] == [1, 1]
    assert caplog.text.count("did you mean `model`?") == 1
    write(tmp_path, "a.yaml", "model: two\n")
    folder.refresh()
    assert (folder.agents["a"].model, folder.problems) == ("two", [])


def test_files_come_and_go(tmp_path: Path) -> None:
    folder = AgentFolder(tmp_path / "agents", {})
    assert folder.agents == {}
    (tmp_path / "agents").mkdir()
    file = write(tmp_path / "agents", "b.json", '{"model": "m"}')
    assert folder.refresh()
    assert list(folder.agents) == ["b"]
    file.unlink()
    assert folder.refresh()
    assert folder.agents == {}


def test_an_edit_of_a_prompt_file_is_an_edit_of_the_agent(tmp_path: Path) -> None:
    prompt = write(tmp_path, "p.md", "one")
    write(tmp_path, "a.yaml", "model: m\ninstructions: {file: p.md}\n")
    folder = AgentFolder(tmp_path, {})
    write(tmp_path, "p.md", "two")
    assert folder.refresh()
    assert folder.agents["a"].instructions == "two"
    prompt.unlink()
    assert folder.refresh()
    assert folder.agents["a"].instructions == "two"
    assert "p.md" in folder.problems[0].message
    write(tmp_path, "p.md", "three")
    assert folder.refresh()
    assert (folder.agents["a"].instructions, folder.problems) == ("three", [])


def test_a_name_that_another_file_has_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "model: first\nname: x\n")
    write(tmp_path, "b.yaml", "model: second\nname: x\n")
    folder = AgentFolder(tmp_path, {})
    assert folder.agents["x"].model == "first"
    assert "already defines an agent named `x`" in folder.problems[0].message
    write(tmp_path, "a.yaml", "model: first\nname: y\n")
    folder.refresh()
    assert (folder.agents["x"].model, folder.problems) == ("second", [])


@pytest.mark.parametrize("name", ['"a\\0b"', "loop.md"])
def test_a_document_that_was_never_good_is_reported_at_the_start_and_the_others_serve(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "loop.md").symlink_to("loop.md")
    write(tmp_path, "bad.yaml", f"model: m\ninstructions: {{file: {name}}}\n")
    write(tmp_path, "good.yaml", "model: m\n")
    folder = AgentFolder(tmp_path, {})
    assert list(folder.agents) == ["good"]
    assert [(problem.file.name, problem.line, problem.column) for problem in folder.problems] == [("bad.yaml", 2, 22)]


def test_a_prompt_that_was_missing_is_picked_up_when_it_comes(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "model: m\ninstructions: {file: p.md}\n")
    folder = AgentFolder(tmp_path, {})
    assert folder.agents == {}
    write(tmp_path, "p.md", "here")
    assert folder.refresh()
    assert (folder.agents["a"].instructions, folder.problems) == ("here", [])


def test_a_folder_that_cannot_be_listed_keeps_what_it_had_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "agents"
    path.mkdir()
    write(path, "a.yaml", "model: m\n")
    folder = AgentFolder(path, {})
    path.rename(tmp_path / "aside")
    path.symlink_to(path)
    assert folder.refresh()
    assert list(folder.agents) == ["a"]
    assert "cannot be read" in folder.problems[0].message
    assert not folder.refresh()
    path.unlink()
    (tmp_path / "aside").rename(path)
    assert folder.refresh()
    assert (list(folder.agents), folder.problems) == (["a"], [])


async def seen(folder: AgentFolder, name: str) -> None:
    with anyio.fail_after(10):
        while name not in folder.agents:
            await anyio.lowlevel.checkpoint()


async def test_it_can_be_watched_in_the_background(tmp_path: Path) -> None:
    folder = AgentFolder(tmp_path, {})
    async with anyio.create_task_group() as group:
        group.start_soon(folder.watch, 0.01)
        write(tmp_path, "a.yaml", "model: m\n")
        await seen(folder, "a")
        group.cancel_scope.cancel()


class FullDisk(logging.Handler):
    """A log that cannot be written to, once."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = 0

    def emit(self, record: logging.LogRecord) -> None:
        if not self.refused:
            self.refused += 1
            raise OSError("No space left on device")


async def test_watching_goes_on_whatever_happens_to_one_look(tmp_path: Path) -> None:
    folder, log = AgentFolder(tmp_path, {}), FullDisk()
    logging.getLogger("gateway.agents.folder").addHandler(log)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(folder.watch, 0.01)
            write(tmp_path, "bad.yaml", "modle: m\n")
            write(tmp_path, "a.yaml", "model: m\n")
            await seen(folder, "a")
            write(tmp_path, "b.yaml", "model: m\n")
            await seen(folder, "b")
            group.cancel_scope.cancel()
    finally:
        logging.getLogger("gateway.agents.folder").removeHandler(log)
    assert log.refused == 1
