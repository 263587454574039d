"""From a file to an agent, and from a mistake to a message."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.document import agent_schema
from gateway.agents.folder import AgentFolder
from gateway.agents.load import load_agent, load_agents
from gateway.agents.positions import DocumentError
from gateway.agents.spec import AgentSpec, ToolGrant

SHORT = """\
name: support-copilot
model: openai/gpt-4o-mini
instructions: |
  Answer from the docs.
tools:
  - ticketing.open_ticket
  - rag.search
"""
FULL = """\
name: full
labels: {team: support}
description: Answers.
instructions: {file: prompts/support.md}
model:
  primary: openai/gpt-4o-mini
  params: {temperature: 0.2, max_output_tokens: 1024}
  fallbacks: [anthropic/claude-sonnet-4-6, deepseek/deepseek-chat]
tools:
  - rag.*
  - tool: ticketing.open_ticket
    effect: write
    idempotent: true
    args: {properties: {subject: {maxLength: 200}}}
    limits: {per_run: 2}
limits: {max_steps: 5, max_tokens: 60000, deadline: 2m}
env: [COMPANY]
"""


def write(folder: Path, text: str, name: str = "agent.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def refused(folder: Path, text: str, env: dict[str, str] | None = None) -> list[str]:
    file = write(folder, text)
    with pytest.raises(DocumentError) as caught:
        load_agent(file, env or {})
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_the_short_form_is_enough(tmp_path: Path) -> None:
    agent = load_agent(write(tmp_path, SHORT), {})
    assert agent == AgentSpec(
        name="support-copilot",
        model="openai/gpt-4o-mini",
        instructions="Answer from the docs.\n",
        tools=(ToolGrant(tool="rag.search"), ToolGrant(tool="ticketing.open_ticket")),
        digest=agent.digest,
    )


def test_one_line_is_an_agent_named_after_its_file(tmp_path: Path) -> None:
    agent = load_agent(write(tmp_path, "model: m", "tiny.yaml"), {})
    assert (agent.name, agent.model, agent.instructions) == ("tiny", "m", "")


def test_the_full_form(tmp_path: Path) -> None:
    write(tmp_path, "You work for {{env.COMPANY}}.\r\n", "prompts/support.md")
    agent = load_agent(write(tmp_path, FULL), {"COMPANY": "Acme"})
    assert agent.instructions == "You work for Acme.\n"
    assert agent.params == {"temperature": 0.2, "max_output_tokens": 1024}
    assert agent.fallbacks == ("anthropic/claude-sonnet-4-6", "deepseek/deepseek-chat")
    assert (agent.max_steps, agent.max_tokens, agent.deadline) == (5, 60000, 120.0)
    assert agent.tools[1] == ToolGrant(
        tool="ticketing.open_ticket",
        effect="write",
        idempotent=True,
        args={"properties": {"subject": {"maxLength": 200}}},
        per_run=2,
    )
    assert (agent.labels, agent.description) == ({"team": "support"}, "Answers.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: m\n", "agent.yaml:1:1: unknown key `modle`: did you mean `model`?"),
        ("model: m\ninstrctions: x\n", "agent.yaml:2:1: unknown key `instrctions`: did you mean `instructions`?"),
        (
            "model:\n  primary: m\n  parms: {}\n",
            "agent.yaml:3:3: unknown key `parms`: did you mean `params`?",
        ),
        (
            "model: m\ntools:\n  - tool: a.b\n    limits: {per_rum: 1}\n",
            "agent.yaml:4:14: unknown key `per_rum`: did you mean `per_run`?",
        ),
        (
            "model: m\nlimits: {max_steps: '5'}\n",
            "agent.yaml:2:21: `limits.max_steps`: input should be a valid integer",
        ),
        (
            "model: m\nlimits: {deadline: soon}\n",
            "agent.yaml:2:20: `limits.deadline`: write a duration such as 120s, 5m, 2h or 7d",
        ),
        ("model: m\nlimits: {deadline: 0s}\n", "agent.yaml:2:20: `limits.deadline`: must be longer than zero"),
        (
            "model: m\ntools: [search]\n",
            "agent.yaml:2:9: `tools.0`: name a tool as `server.tool`, or `server.*` for all tools of a server",
        ),
        ("model: m\ntools: [a.b, a.b]\n", "agent.yaml:2:14: `a.b` is listed twice"),
        ("name: a/b\nmodel: m\n", "agent.yaml:1:7: `name`: a name is 1 to 64 letters, digits, `.`, `_` or `-`, and "
         "begins with a letter or digit"),
        ("model: ''\n", "agent.yaml:1:8: `model`: name a model, such as openai/gpt-4o-mini"),
        (
            "model: m\ntools: [{tool: a.b, args: {type: 5}}]\n",
            "agent.yaml:2:27: `tools.0.args`: is not a JSON Schema: type: 5 is not valid under any of the "
            "given schemas",
        ),
        (
            "model: m\ntools: [{tool: a.b, args: {properties: {x: {pattern: '('}}}}]\n",
            "agent.yaml:2:27: `tools.0.args`: is not a JSON Schema: properties.x.pattern: '(' is not a 'regex'",
        ),
        (
            "model: m\ntools: [{tool: a.b, args: {$ref: '#'}}]\n",
            "agent.yaml:2:27: `tools.0.args`: `$ref` cannot be used in a schema that is laid over another: "
            "write it out",
        ),
        ("model: {primary: m, params: {temperature: 9}}\n", "agent.yaml:1:43: `model.params.temperature`: "
         "input should be less than or equal to 2"),
    ],
)  # fmt: skip
def test_a_mistake_names_file_line_column_and_the_nearest_key(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("governance: {}\n", "2:13: `governance`"),
        ("memory: [{id: history}]\n", "2:9: `memory`"),
        ("agents: []\n", "2:9: `agents`"),
        ("limits: {max_cost_usd: 1}\n", "2:24: `limits.max_cost_usd`"),
        ("tools: [{tool: a.b, limits: {per_day: 1}}]\n", "2:39: `tools.0.limits.per_day`"),
    ],
)
def test_what_this_release_does_not_have_is_refused_and_said_so(tmp_path: Path, text: str, place: str) -> None:
    assert refused(tmp_path, "model: m\n" + text) == [
        f"agent.yaml:{place}: is not supported by this release of Homeport"
    ]


@pytest.mark.parametrize(
    ("approval", "problem"),
    [
        (
            "{when: \"call.args.severity == 'high'\"}",
            "2:38: `tools.0.approval.when`: write always, never or destructive: this release of Homeport evaluates no "
            "expressions here",
        ),
        (
            "sometimes",
            "2:31: `tools.0.approval`: write always, never or destructive: this release of Homeport evaluates no "
            "expressions here",
        ),
        ("{on_timeout: allow}", "2:44: `tools.0.approval.on_timeout`: input should be 'deny'"),
        ("{timeout: 7}", "2:41: `tools.0.approval.timeout`: write a duration such as 120s, 5m, 2h or 7d"),
        ("{timeout: 0s}", "2:41: `tools.0.approval.timeout`: must be longer than zero"),
        ("{wen: always}", "2:32: unknown key `wen`: did you mean `when`?"),
    ],
)
def test_an_approval_that_cannot_be_kept_is_refused(tmp_path: Path, approval: str, problem: str) -> None:
    assert refused(tmp_path, f"model: m\ntools: [{{tool: a.b, approval: {approval}}}]\n") == [f"agent.yaml:{problem}"]


def test_a_call_is_approved_within_a_week_if_nothing_else_is_said(tmp_path: Path) -> None:
    text = "model: m\ntools: [a.a, {tool: a.b, approval: always}, {tool: a.c, approval: {timeout: 2h}}]\n"
    grants = load_agent(write(tmp_path, text), {}).tools
    assert [(grant.asks, grant.approval_timeout) for grant in grants] == [
        ("never", 604800.0),
        ("always", 604800.0),
        ("always", 7200.0),
    ]


def test_a_memory_strategy_is_picked_by_name(tmp_path: Path) -> None:
    known = ("everything", "newest")
    picked = load_agent(write(tmp_path, "model: m\nmemory: newest\n"), {}, memories=known)
    filled = load_agent(write(tmp_path, "model: m\nmemory: '{{env.M}}'\nenv: [M]\n"), {"M": "newest"}, memories=known)
    left_out = load_agent(write(tmp_path, "model: m\n"), {}, memories=known)
    assert (picked.memory, filled.memory, left_out.memory) == ("newest", "newest", "everything")
    assert picked.digest != left_out.digest
    assert load_agent(write(tmp_path, "model: m\nmemory: everything\n"), {}).digest == left_out.digest


def test_an_unknown_memory_strategy_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    file = write(tmp_path, "model: m\nmemory: newst\n")
    message = f"{file}:2:9: `memory`: there is no strategy named `newst`: there are everything, newest"
    with pytest.raises(DocumentError) as caught:
        load_agent(file, {}, memories=("newest", "everything"))
    assert str(caught.value) == message
    assert str(load_agents(tmp_path, {}, memories=("newest", "everything")).errors[file]) == message
    folder = AgentFolder(tmp_path, {}, memories=("newest", "everything"))
    assert [str(problem) for problem in folder.problems] == [message]


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    assert len(refused(tmp_path, "modle: m\nlimits: {max_steps: 0}\ngovernance: {}\n")) == 4


@pytest.mark.parametrize(
    ("text", "env", "message"),
    [
        ("model: '{{env.M}}'\nenv: [M]\n", {}, "agent.yaml:2:7: the environment variable M is not set"),
        ("model: m\ninstructions: |\n  a\n  b {{env.M}}\n", {"M": "x"}, "agent.yaml:4:5: `M` is not listed under `env` "
         "of this document"),
        ("model: m\nenv: [M]\n", {}, "agent.yaml:2:7: the environment variable M is not set"),
        ("model: m\nlimits: {deadline: '{{env.D}}'}\nenv: [D]\n", {"D": "soon"}, "agent.yaml:2:20: `limits.deadline`: "
         "write a duration such as 120s, 5m, 2h or 7d"),
    ],
)  # fmt: skip
def test_variables_must_be_listed_and_set(tmp_path: Path, text: str, env: dict[str, str], message: str) -> None:
    assert refused(tmp_path, text, env) == [message]


def test_a_variable_in_a_prompt_file_is_found_in_that_file(tmp_path: Path) -> None:
    write(tmp_path, "one\ntwo {{env.X}}", "p.md")
    assert refused(tmp_path, "model: m\ninstructions: {file: p.md}\n") == [
        "p.md:2:5: `X` is not listed under `env` of this document"
    ]


@pytest.mark.parametrize("name", ["../secret.md", "/etc/hostname", "link.md"])
def test_a_prompt_outside_the_agents_folder_is_refused(tmp_path: Path, name: str) -> None:
    agents = tmp_path / "agents"
    write(tmp_path, "secret", "secret.md")
    file = write(agents, f"model: m\ninstructions: {{file: {name}}}\n")
    (agents / "link.md").symlink_to(tmp_path / "secret.md")
    with pytest.raises(DocumentError, match=r"agent.yaml:2:22: .* is outside the agents folder"):
        load_agent(file, {})


def test_a_prompt_that_is_not_there_is_told_at_its_name(tmp_path: Path) -> None:
    assert refused(tmp_path, "model: m\ninstructions: {file: p.md}\n") == [
        "agent.yaml:2:22: the prompt file 'p.md' cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ('"a\\0b"', "no file can be named 'a\\x00b'"),
        ("loop.md", "the prompt file 'loop.md' cannot be read: Too many levels of symbolic links"),
        ("loop.md/below.md", "the prompt file 'loop.md/below.md' cannot be read: Too many levels of symbolic links"),
        ("folder", "the prompt file 'folder' is not a file"),
        ("pipe", "the prompt file 'pipe' is not a file"),
        ("endless", "'endless' is outside the agents folder"),
        ("large.md", "the prompt file 'large.md' is larger than 1048576 bytes"),
        ("x" * 300, f"the prompt file '{'x' * 300}' cannot be read: File name too long"),
    ],
    ids=lambda value: value[:20],
)
def test_a_prompt_that_is_no_plain_file_is_told_at_its_name(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "loop.md").symlink_to("loop.md")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    os.truncate(write(tmp_path, "", "large.md"), 2**40)
    (problem,) = refused(tmp_path, f"model: m\ninstructions: {{file: {name}}}\n")
    assert problem == f"agent.yaml:2:22: {message}"


@pytest.mark.parametrize("name", ["loop.yaml", "pipe.yaml", "folder.yaml", "gone.yaml"])
def test_what_is_no_plain_file_is_no_document(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    write(tmp_path, "model: m\n", "good.yaml")
    loaded = load_agents(tmp_path, {})
    assert (list(loaded.specs), loaded.errors) == (["good"], {})
    with pytest.raises(DocumentError):
        load_agent(tmp_path / name, {})


TEXTS = st.sampled_from([FULL, SHORT, '{"model": "m", "tools": ["a.b"], "limits": {"max_steps": 3}}'])


@given(TEXTS, st.integers(0, 700), st.integers(0, 12), st.text(max_size=6) | st.sampled_from("\0&*[{!|>%@`'\"\\"))
def test_however_a_document_is_mangled_it_loads_or_says_where_it_is_wrong(
    text: str, start: int, length: int, put_in: str
) -> None:
    mangled = text[:start] + put_in + text[start + length :]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / ("a.json" if text.startswith("{") else "a.yaml")
        file.write_bytes(mangled.encode("utf-8", "surrogatepass"))
        try:
            load_agent(file, {"COMPANY": "x"})
        except DocumentError as error:
            assert all("cannot be used" not in problem.message for problem in error.problems)


def test_one_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    write(tmp_path, "model: m\n", "good.yaml")
    write(tmp_path, '{"model": "m", "name": "json"}', "other.json")
    write(tmp_path, "modle: m\n", "bad.yml")
    write(tmp_path, "model: m\nname: good\n", "same.yaml")
    write(tmp_path, "model: m\n", ".hidden.yaml")
    write(tmp_path, "not an agent", "prompts/text.yaml")
    loaded = load_agents(tmp_path, {})
    assert sorted(loaded.specs) == ["good", "json"]
    assert {path.name for path in loaded.errors} == {"bad.yml", "same.yaml"}


def test_the_schema_for_editors_knows_both_forms_and_only_what_is_supported() -> None:
    schema = agent_schema()
    assert {"type": "string"} in [
        {key: value for key, value in each.items() if key == "type"} for each in schema["properties"]["model"]["anyOf"]
    ]
    assert "governance" not in schema["properties"]
    assert schema["required"] == ["model"]
    assert schema["additionalProperties"] is False
