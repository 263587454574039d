"""What the `homeport` command says of agent documents."""

import re

from tests.command import homeport


def test_a_wrong_agent_document_is_named_with_line_column_and_the_nearest_key(home):
    (home / "agents" / "wrong.yaml").write_text("name: wrong\nmodel: openai/x\ninstrucions: hi\n")
    status, said = homeport(home, "agent", "validate")
    assert status == 1
    assert re.search(r"wrong\.yaml:3:1: .*did you mean `instructions`", said)
    assert "✓ helper" in said


def test_a_mistake_that_looks_like_markup_is_shown_as_it_was_written(home):
    (home / "agents" / "wrong.yaml").write_text("model: openai/x\n'[/b]': hi\n")
    status, said = homeport(home, "agent", "validate")
    assert (status, "[/b]" in said, "Traceback" in said) == (1, True, False), said


def test_an_agent_is_shown_with_its_digest(home):
    status, said = homeport(home, "agent", "show", "helper", COLUMNS="40")
    assert status == 0
    assert re.search(r"sha256:[0-9a-f]{64}\n", said), said
    assert "You help." in said


def test_an_agent_is_shown_with_its_context(home):
    kept = "{budget_tokens: 900, keep: [{last: 12}, {semantic: {}}, {summary: {}}]}"
    (home / "agents" / "keeper.yaml").write_text(f"model: openai/x\ncontext: {kept}\n")
    status, said = homeport(home, "agent", "show", "keeper")
    shown = " ".join(said.split())
    assert status == 0
    assert "900 tokens; the last 12 exchanges; the nearest 6 of the older ones; a summary from 75% on" in shown


DEMANDING = """name: demanding
model: mistral/mistral-small-latest
tools:
  - rag.serch
  - {tool: rga.search}
  - ticketing.open_ticket
"""


def test_validate_says_which_tools_and_which_model_are_not_here(home):
    (home / "agents" / "demanding.yaml").write_text(DEMANDING)
    status, said = homeport(home, "agent", "validate")
    assert status == 1
    assert re.search(r"✗ .*demanding\.yaml:5:5: .*no tool server `rga`: did you mean `rag\.search`", said), said
    assert re.search(r"✗ .*demanding\.yaml:4:5: .*has no tool `serch`: did you mean `rag\.search`", said)
    assert re.search(r"! .*demanding\.yaml:6:5: `ticketing\.open_ticket`: .*TICKETING_URL", said)
    assert re.search(r"! .*demanding\.yaml:2:8: .*MISTRAL_API_KEY", said)
    assert "✓ helper" in said
    assert "✓ demanding" not in said


def test_what_only_the_installation_lacks_does_not_make_a_document_wrong(home):
    (home / "agents" / "demanding.yaml").write_text(
        DEMANDING.replace("rga.search", "filesystem.write_file").replace("serch", "search")
    )
    status, said = homeport(home, "agent", "validate")
    assert (status, "✓ demanding" in said, "TICKETING_URL" in said) == (0, True, True), said
    tracker = {"TICKETING_URL": "http://127.0.0.1:9/", "TICKETING_USER": "ada", "TICKETING_PASSWORD": "secret"}
    found = homeport(home, "agent", "validate", **tracker, MISTRAL_API_KEY="k")
    assert (found[0], "!" in found[1]) == (0, False), found[1]


def test_doctor_asks_the_servers_for_the_tools_that_agents_list(home):
    (home / "agents" / "demanding.yaml").write_text(DEMANDING)
    (home / "agents" / "lost.yaml").write_text("name: lost\nmodel: opnai/x\n")
    status, said = homeport(home, "doctor")
    shown = " ".join(said.split())
    assert status == 1
    assert "✗ tool rag.serch of demanding the tool server `rag` has no tool `serch`: did you mean `rag.search`" in shown
    assert "✗ tool rga.search of demanding there is no tool server `rga`" in shown
    assert re.search(r"! tool ticketing\.open_ticket of demanding .*TICKETING_URL", shown)
    assert re.search(r"✗ model of demanding .*MISTRAL_API_KEY", shown)
    assert re.search(r"✗ model of lost .*no provider 'opnai'", shown)


MISTAKEN = """name: mistaken
model: {primary: opnai/gpt-4o-mini, fallbacks: [openai/gpt-4o-mini, "{{env.OTHER}}", nobody/m]}
tools: [ticketing.open_tiket, weather.forecast, weather.*]
env: [OTHER]
"""


def test_validate_says_which_models_nobody_has_and_which_tools_it_did_not_check(home):
    (home / "agents" / "mistaken.yaml").write_text(MISTAKEN)
    (home / "gateway.yaml").write_text("servers: {weather: {command: [no-such-command]}}\n")
    status, said = homeport(home, "agent", "validate", OTHER="elsewhere/m")
    assert status == 1
    assert re.search(r"✗ .*mistaken\.yaml:2:18: `opnai/gpt-4o-mini`: .*Did you mean `openai/gpt-4o-mini`", said), said
    assert re.search(r"✗ .*mistaken\.yaml:2:86: `nobody/m`: .*no provider 'nobody'", said), said
    assert re.search(
        r"✗ .*mistaken\.yaml:3:9: .*`ticketing` has no tool `open_tiket`: did you mean `ticketing\.open", said
    )
    assert "the tools of `weather` are not checked: it is at a command, and only `homeport doctor` asks it" in said
    # What the environment brings is not a mistake of the document.
    assert "elsewhere" not in said
    assert not (home / ".data").exists()


def test_every_mistake_of_a_document_is_marked(home):
    (home / "agents" / "wrong.yaml").write_text("name: wrong\nmodel: openai/x\nfoo: 1\nbar: 2\n")
    status, said = homeport(home, "agent", "validate")
    assert status == 1
    assert re.findall(r"^✗ agents/wrong\.yaml:(\d):1:", said, re.MULTILINE) == ["3", "4"], said


GRANTS = """name: careful
model: openai/x
tools:
  - rag.search
  - {tool: ticketing.open_ticket, approval: {when: always, timeout: 2h}, limits: {per_run: 3}}
  - {tool: filesystem.write_file, approval: destructive, args: {properties: {path: {const: notes.md}}}}
  - {tool: filesystem.move_file, effect: write}
  - weather.*
"""


def test_an_agent_is_shown_with_what_its_document_says_of_each_tool(home):
    (home / "agents" / "careful.yaml").write_text(GRANTS)
    (home / "gateway.yaml").write_text("servers: {weather: {command: [no-such-command]}}\n")
    status, said = homeport(home, "agent", "show", "careful")
    shown = [" ".join(line.split()) for line in said.splitlines()]
    assert status == 0
    assert "rag.search read, idempotent never any any" in shown, said
    assert "ticketing.open_ticket write always 2h 3 any" in shown
    assert 'filesystem.write_file destructive, idempotent destructive 7d any path: "notes.md"' in shown
    assert "filesystem.move_file write never any any" in shown
    assert "weather.* as its server says never any any" in shown
