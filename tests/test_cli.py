"""The `homeport` command, as a process, the way a person runs it."""

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.command import Serving, environment, homeport
from tests.conftest import say
from tests.upstream import upstream

ROOT = Path(__file__).parent.parent


def test_a_key_is_the_last_word_of_create_and_never_shown_again(home):
    status, said = homeport(home, "keys", "create", "ada")
    key = said.split()[-1]
    _, listed = homeport(home, "keys", "list")
    assert (status, key.startswith("hp_")) == (0, True)
    assert "ada" in listed
    assert key not in listed


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_it_says_which_version_it_is(home, option):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert homeport(home, option) == (0, f"homeport {project['version']}\n")


def test_revoking_an_unknown_key_is_an_error_that_says_so(home):
    status, said = homeport(home, "keys", "revoke", "nobody")
    assert status == 1
    assert "nobody" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prot: 1\n", r"gateway\.yaml:1:1: .*did you mean `port`"),
        ("port: many\n", r"gateway\.yaml:1:7: .*port"),
        ("providers: {mine: {api_key: '{{env.NOPE}}'}}\n", r"gateway\.yaml:1:\d+: .*NOPE"),
        ("servers: {x: {comand: [a]}}\n", r"gateway\.yaml:1:\d+: .*command"),
    ],
)
def test_wrong_settings_are_named_with_line_and_column(home, text, problem):
    (home / "gateway.yaml").write_text(text)
    status, said = homeport(home, "keys", "list")
    assert status == 1
    assert re.search(problem, said), said
    assert "Traceback" not in said


def test_a_folder_becomes_a_knowledge_base_that_can_be_searched(home):
    (home / "docs").mkdir()
    (home / "docs" / "tea.md").write_text("# Tea\n\nGreen tea is steeped at 80 degrees.\n")
    assert homeport(home, "kb", "add", "drinks", "docs")[0] == 0
    _, again = homeport(home, "kb", "add", "drinks", "docs")
    _, listed = homeport(home, "kb", "list")
    _, found = homeport(home, "kb", "search", "drinks", "how", "hot", "for", "green", "tea")
    assert "1 unchanged" in again
    assert "drinks" in listed
    assert "tea.md" in found
    assert "80 degrees" in found


def test_doctor_says_what_is_missing_and_what_to_do(home):
    status, said = homeport(home, "doctor")
    assert status == 1
    assert "homeport model pull" in said
    assert "tool server rag" in said


def test_the_port_that_is_taken_is_an_error_and_not_a_traceback(home):
    async def tried():
        async with upstream() as other:
            port = other.url.rpartition(":")[2].partition("/")[0]
            return await asyncio.to_thread(homeport, home, "serve", "--port", port)

    status, said = asyncio.run(tried())
    assert status == 1
    assert "is in use: another program has it." in said
    assert "--port 0" in said
    assert "Traceback" not in said


def test_the_port_of_another_homeport_and_a_folder_that_is_served_are_told_apart(home):
    with Serving(home) as gateway:
        port = gateway.url.rpartition(":")[2]
        taken = homeport(home, "serve", "--data", "elsewhere", "--port", port)
        twice = homeport(home, "serve", "--port", "0")
    assert (taken[0], f"another Homeport listens at {gateway.url}. Take another" in taken[1]) == (1, True), taken[1]
    assert (twice[0], f"is already at {gateway.url}/v1" in twice[1]) == (1, True), twice[1]


def test_chat_finds_the_gateway_of_its_data_folder_on_whatever_port(home):
    async def talked():
        async with upstream({"text": "hello there"}) as provider:
            (home / "gateway.yaml").write_text(f"providers: {{fake: {{base_url: '{provider.url}'}}}}\n")
            (home / "agents" / "talker.yaml").write_text("name: talker\nmodel: fake/m\n")
            return await asyncio.to_thread(in_a_chat)

    def in_a_chat():
        with Serving(home) as gateway:
            done = homeport(home, "chat", "talker", "-m", "hi", HOMEPORT_PORT="9")
            gateway.process.send_signal(signal.SIGINT)
            gateway.process.wait(timeout=60)
        return *done, (home / ".data" / "address").exists()

    status, said, left = asyncio.run(talked())
    assert status == 0, said
    assert "hello there" in said
    assert "starting one for this chat" not in said
    assert not left


def test_chat_does_not_believe_an_address_that_a_crash_left(home):
    async def talked():
        async with upstream({"text": "hello there"}) as provider, upstream() as stranger:
            (home / "gateway.yaml").write_text(f"port: 9\nproviders: {{fake: {{base_url: '{provider.url}'}}}}\n")
            (home / "agents" / "talker.yaml").write_text("name: talker\nmodel: fake/m\n")
            with Serving(home) as gateway:
                gateway.process.kill()
                gateway.process.wait()
            address = home / ".data" / "address"
            assert address.read_text() == gateway.url
            # The port is somebody else's by now.
            address.write_text(stranger.url.removesuffix("/v1"))
            done = await asyncio.to_thread(homeport, home, "chat", "talker", "-m", "hi")
            return *done, stranger.requests

    status, said, sent = asyncio.run(talked())
    assert status == 0, said
    assert "starting one for this chat" in said
    assert "hello there" in said
    assert sent == []


def test_chat_streams_an_answer_from_a_gateway_of_its_own(home):
    async def talked():
        async with upstream({"text": "hello there"}) as provider:
            (home / "gateway.yaml").write_text(f"port: 9\nproviders: {{fake: {{base_url: '{provider.url}'}}}}\n")
            (home / "agents" / "talker.yaml").write_text("name: talker\nmodel: fake/m\n")
            return await asyncio.to_thread(homeport, home, "chat", "talker", "-m", "hi")

    status, said = asyncio.run(talked())
    assert status == 0, said
    assert "hello there" in said


def test_chat_looks_for_the_agent_before_it_greets(home):
    (home / "agents" / "notes.yaml").write_text("name: notes\nmodel: fake/m\n")
    with Serving(home) as gateway:
        near = homeport(home, "chat", "note", typed="hi\n")
        far = homeport(home, "chat", "zzzzzz", typed="hi\n")
        other = homeport(home, "chat", "zzzzzz", "--url", gateway.url, "--key", "hp_wrong", typed="hi\n")
    assert (near[0], "no agent named 'note'" in near[1], "Did you mean notes?" in near[1]) == (1, True, True), near[1]
    assert (far[0], "Here are: helper, notes" in far[1]) == (1, True), far[1]
    assert (other[0], "key" in other[1]) == (1, True), other[1]
    assert "Talking to" not in near[1] + far[1] + other[1]


def test_chat_takes_the_address_as_clients_are_given_it(home, start_gateway):
    async def talked():
        async with start_gateway([say("hello there")]) as gateway:
            address = ("--url", f"{gateway.url}/v1", "--key", gateway.key)
            return await asyncio.to_thread(homeport, home, "chat", "helper", "-m", "hi", *address)

    status, said = asyncio.run(talked())
    assert status == 0, said
    assert "hello there" in said


@pytest.mark.parametrize(("typed", "runs"), [("y\n", True), ("n\n", False), ("", False)])
def test_chat_asks_the_person_about_a_call_that_needs_it(home, typed, runs):
    async def talked():
        async with upstream({"call": ("clock__count", '{"forever": false}')}, {"text": "all done"}) as provider:
            (home / "gateway.yaml").write_text(
                f"port: 9\nproviders: {{fake: {{base_url: '{provider.url}'}}}}\n"
                f"servers: {{clock: {{module: tests.servers.clock, settings: {{folder: '{home}'}}}}}}\n"
            )
            (home / "agents" / "careful.yaml").write_text(
                "name: careful\nmodel: fake/m\ntools: [{tool: clock.count, approval: always}]\n"
            )
            done = await asyncio.to_thread(homeport, home, "chat", "careful", "-m", "hi", typed=typed)
            return *done, provider.requests[-1]["messages"][-1]["content"]

    status, said, told = asyncio.run(talked())
    assert status == 0, said
    assert ("clock.count" in said, '"forever": false' in said, "all done" in said) == (True, True, True)
    assert (told == "counted", (home / "tally").exists()) == (runs, runs)


def test_serve_shows_the_key_in_a_terminal_only(home):
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, cwd=home, env=environment(home), stdout=theirs, stderr=subprocess.DEVNULL
    ) as process:
        os.close(theirs)
        shown = ""
        while "Ctrl-C" not in shown:
            shown += os.read(ours, 4096).decode()
        process.send_signal(signal.SIGINT)
    os.close(ours)
    assert (home / ".data" / "local.key").read_text().strip() in shown


def test_serve_prints_what_one_needs_and_stops_cleanly(home):
    (home / "agents" / "wrong.yaml").write_text("model: openai/x\n'[/b]': hi\n")
    with Serving(home) as gateway:
        pass
    assert re.search(r"http://127\.0\.0\.1:\d+/v1", gateway.shown)
    assert re.search(r"wrong\.yaml:2:1: unknown key `\[/b\]`", gateway.shown)
    # What does not go to a terminal is kept somewhere: it says where the key is.
    assert gateway.key not in gateway.shown + gateway.said
    assert f"$(cat {home / '.data' / 'local.key'})" in gateway.shown
    with Serving(home, "--show-key") as gateway:
        pass
    assert f"Bearer {gateway.key}" in gateway.shown
    assert "curl http" in gateway.shown
    assert "from openai import OpenAI" in gateway.shown
    assert "Traceback" not in gateway.said


COPILOT = 'name: copilot\nmodel: "{{env.HOMEPORT_MODEL}}"\nenv: [HOMEPORT_MODEL]\n'


def test_serve_says_which_agents_cannot_answer_yet_and_what_to_do(home):
    (home / "agents" / "copilot.yaml").write_text(COPILOT)
    (home / "agents" / "far.yaml").write_text("name: far\nmodel: mistral/mistral-small-latest\n")
    (home / "agents" / "safe.yaml").write_text("name: safe\nmodel: {primary: groq/x, fallbacks: [ollama/y]}\n")
    with Serving(home) as gateway:
        # What it says is so.
        assert gateway.post("/v1/responses", {"model": "copilot", "input": "hi"}).status_code == 503
        assert gateway.post("/v1/responses", {"model": "far", "input": "hi"}).status_code == 502
    before, _, _ = gateway.shown.partition("\ncurl")
    assert re.search(r"copilot cannot answer yet: .*`export OPENAI_API_KEY=…`.* `homeport model pull`", before)
    assert re.search(r"far cannot answer yet: .*MISTRAL_API_KEY", before)
    assert "safe cannot" not in before
    assert "helper cannot" not in before


def test_without_engine_and_weights_everyone_is_told_both_steps(home):
    (home / "agents" / "copilot.yaml").write_text(COPILOT)
    bare = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'local_model' / 'without_engine'}"}
    steps = f"`{sys.executable} -m pip install xllamacpp` and `homeport model pull`"
    with Serving(home, **bare) as gateway:
        answer = gateway.post("/v1/responses", {"model": "copilot", "input": "hi"})
    assert (answer.status_code, steps in answer.json()["error"]["message"]) == (503, True), answer.text
    assert steps in " ".join(gateway.shown.split())
    status, said = homeport(home, "model", "status", **bare)
    assert (status, f"run `{sys.executable} -m pip install xllamacpp`" in said) == (1, True), said


def test_serve_has_nothing_to_say_of_agents_whose_model_has_a_key(home):
    (home / "agents" / "copilot.yaml").write_text(COPILOT)
    with Serving(home, OPENAI_API_KEY="sk-x") as gateway:
        pass
    assert "cannot answer" not in gateway.shown


def test_the_log_is_made_of_sentences(home):
    (home / "agents" / "knowledge").mkdir()
    (home / "agents" / "knowledge" / "tea.md").write_text("# Tea\n\nGreen tea is steeped at 80 degrees.\n")
    (home / "agents" / "mute.yaml").write_text("name: mute\nmodel: fake/m\n")
    (home / "agents" / "odd.yaml").write_text("name: odd\nmodel: my provider/m\n")
    (home / "gateway.yaml").write_text(
        "providers: {fake: {base_url: 'http://127.0.0.1:9/v1'}}\n"
        "servers: {gone: {command: [no-such-command]}, ill: {module: no_such_module}}\n"
    )
    with Serving(home, HOMEPORT_LOG_LEVEL="debug") as gateway:
        gateway.until("1 files added")
        gateway.until("gone: cannot be reached")
        assert gateway.post("/v1/responses", {"model": "mute", "input": "hi"}).status_code == 502
        assert gateway.post("/v1/responses", {"model": "odd", "input": "hi"}).status_code == 400
        assert "TICKETING_URL" in gateway.post("/mcp/ticketing", {}).json()["error"]["message"]
        assert "No module named" in gateway.post("/mcp/ill", {}).json()["error"]["message"]
        (home / "agents" / "mute.yaml").unlink()
        gateway.until("agent mute is gone")
    assert "agent mute is here: sha256:" in gateway.said
    assert re.search(r"fake/m failed \(.+\); trying again", gateway.said)
    for inward in (" object at 0x", "Report(", "None", "Traceback"):
        assert inward not in gateway.said
