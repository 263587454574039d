"""`prompt` on a response names an agent and fills its variables; saved prompts become agent documents."""

import json

import openai
import pytest
from typer.testing import CliRunner

from gateway.agents.load import load_agent
from gateway.cli.main import app
from gateway.errors import InvalidRequest
from gateway.memory import STRATEGIES
from tests.conftest import call, say

pytestmark = pytest.mark.anyio

NAME = "prompt.variables.name"
GREETER = """name: greeter
labels: {prompt: pmpt_abc123, prompt_version: "2"}
model: scripted/one
instructions: "Greet {{ name }} in {{language}}, never {{ name }}'s dog."
"""


@pytest.fixture
def greeter(home):
    (home / "agents" / "greeter.yaml").write_text(GREETER)


@pytest.mark.parametrize("id", ["greeter", "pmpt_abc123"])
async def test_a_prompt_names_an_agent_and_fills_its_variables(start_gateway, greeter, id):
    variables = {"name": "Ada", "language": {"type": "input_text", "text": "French"}}
    async with start_gateway([say("Bonjour Ada")]) as gateway:
        response = await gateway.openai.responses.create(
            prompt={"id": id, "version": "2", "variables": variables}, input="hi"
        )
        stored = await gateway.openai.responses.retrieve(response.id)
        told = gateway.provider.calls[0].items[0].text
    assert told == "Greet Ada in French, never Ada's dog."
    assert (response.model, response.prompt.id, response.prompt.version) == ("greeter", id, "2")
    assert stored.prompt.variables["name"] == "Ada"


async def test_input_may_be_left_out_and_the_model_replaced(start_gateway, greeter, home):
    (home / "agents" / "other.yaml").write_text("name: other\nmodel: scripted/two\n")
    body = {"prompt": {"prompt_id": "greeter", "variables": {"name": "Ada", "language": "French"}}, "model": "other"}
    async with start_gateway([say("Bonjour")]) as gateway:
        answer = await gateway.http.post("/v1/responses", json=body)
        models = gateway.provider.calls[0].models
    assert (answer.status_code, answer.json()["model"], models) == (200, "other", ("scripted/two",))


@pytest.mark.parametrize(
    ("prompt", "status", "param"),
    [
        ({"id": "nobody"}, 404, "prompt.id"),
        ({"id": "greeter", "version": "9"}, 404, "prompt.version"),
        ({"id": "greeter", "variables": {"name": "Ada"}}, 400, "prompt.variables.language"),
        ({"id": "greeter", "variables": {"language": "x", "name": {"type": "output_text", "text": "y"}}}, 400, NAME),
        ({"id": "greeter", "variables": {"language": "x", "name": {"type": "input_text"}}}, 400, NAME),
        (
            {"id": "greeter", "variables": {"language": "x", "name": {"type": "input_image", "image_url": "y"}}},
            400,
            f"{NAME}.image_url",
        ),
    ],
)
async def test_a_prompt_that_cannot_be_filled_is_refused_with_its_place(start_gateway, greeter, prompt, status, param):
    async with start_gateway() as gateway:
        with pytest.raises(openai.APIStatusError) as refused:
            await gateway.openai.responses.create(prompt=prompt, input="hi")
    assert (refused.value.status_code, refused.value.param) == (status, param)


async def test_each_version_of_a_prompt_is_reached_and_without_one_the_newest(start_gateway, home):
    # The newest is neither the first nor the last of the folder, nor that of text order.
    for file, version in (("a", "2"), ("b", "10"), ("c", "9")):
        labels = f'{{prompt: pmpt_1, prompt_version: "{version}"}}'
        document = f"name: {file}\nmodel: scripted/one\nlabels: {labels}\ninstructions: Version {version}.\n"
        (home / "agents" / f"{file}.yaml").write_text(document)
    async with start_gateway(*[[say("ok")] for _ in range(4)]) as gateway:
        for version in ("2", "9", "10", None):
            await gateway.openai.responses.create(prompt={"id": "pmpt_1", "version": version}, input="hi")
        told = [made.items[0].text for made in gateway.provider.calls]
        with pytest.raises(openai.NotFoundError) as refused:
            await gateway.openai.responses.create(prompt={"id": "pmpt_1", "version": "1"}, input="hi")
    assert told == ["Version 2.", "Version 9.", "Version 10.", "Version 10."]
    assert (refused.value.param, "there is 10, 9, 2." in refused.value.message) == ("prompt.version", True)


async def test_images_and_files_for_variables_are_shown_in_a_message_before_the_input(start_gateway, greeter):
    photo = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"}
    contract = {"type": "input_file", "filename": "c.txt", "file_data": "data:text/plain;base64,aGk="}
    variables = {"name": photo, "language": contract}
    async with start_gateway([say("Bonjour")], [call("mine")], [say("done", "b")]) as gateway:
        response = await gateway.openai.responses.create(prompt={"id": "greeter", "variables": variables}, input="hi")
        system, shown, asked = gateway.provider.calls[0].items
        listed = (await gateway.http.get(f"/v1/responses/{response.id}/input_items?order=asc")).json()["data"]
        tools = [{"type": "function", "name": "mine", "parameters": {"type": "object", "properties": {}}}]
        body = {"prompt": {"id": "greeter", "variables": {"name": "Ada", "language": "French"}}, "tools": tools}
        calling = await gateway.openai.responses.create(**body, input="go")
        output = {"type": "function_call_output", "call_id": "call_1", "output": "ok"}
        body |= {"prompt": {"id": "greeter", "variables": variables}, "previous_response_id": calling.id}
        await gateway.openai.responses.create(**body, input=[output])
        kinds = [item.kind for item in gateway.provider.calls[-1].items]
    assert system.text == "Greet [name] in [language], never [name]'s dog."
    assert [part.kind for part in shown.content] == ["text", "image", "text", "file"]
    assert (shown.role, shown.content[0].text, shown.content[1].detail) == ("user", "[name]", "low")
    assert (shown.content[2].text, shown.content[3].name, asked.text) == ("[language]", "c.txt", "hi")
    assert [part["type"] for part in listed[0]["content"]] == ["input_text", "input_image", "input_text", "input_file"]
    assert kinds[-3:] == ["tool_call", "tool_result", "message"]


async def test_a_version_is_the_documents_digest_or_its_beginning(start_gateway, greeter, home):
    digest = load_agent(home / "agents" / "greeter.yaml", {}, memories=STRATEGIES).digest
    variables = {"name": "Ada", "language": "French"}
    async with start_gateway([say("a")], [say("b")]) as gateway:
        for version in (digest, digest[7:19]):
            prompt = {"id": "greeter", "version": version, "variables": variables}
            assert (await gateway.openai.responses.create(prompt=prompt, input="hi")).status == "completed"


async def test_without_a_prompt_model_and_input_are_needed(start_gateway):
    async with start_gateway() as gateway:
        for body, param in (({"input": "hi"}, "model"), ({"model": "helper"}, "input")):
            answer = await gateway.http.post("/v1/responses", json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


SAVED = {
    "id": "pmpt_saved1",
    "version": 3,
    "name": "Refund Helper",
    "model": "gpt-4o-mini",
    "temperature": 0.2,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "x", "schema": {}, "strict": True}},
    "messages": [
        {"role": "developer", "content": [{"type": "input_text", "text": "Help {{customer}}.\n\nBe: kind # now"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "{{question}}"}, {"type": "input_image"}]},
    ],
    "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}],
    "tool_choice": "required",
    "truncation": "disabled",
    "metadata": {},
}


def imported(home, saved, *more, file="saved.json"):
    """The outcome of the command for a file of this content."""
    (home / file).write_text(saved if isinstance(saved, str) else json.dumps(saved))
    return CliRunner().invoke(app, ["import", "prompt", str(home / file), "--agents", str(home / "agents"), *more])


async def test_a_saved_prompt_becomes_an_agent_that_answers_to_its_id(start_gateway, home):
    done = imported(home, SAVED)
    async with start_gateway([say('{"a": 1}')]) as gateway:
        prompt = {"id": "pmpt_saved1", "version": "3", "variables": {"customer": "Ada", "question": "Why?"}}
        await gateway.openai.responses.create(prompt=prompt, input="hi")
        asked = gateway.provider.calls[0]
    assert done.exit_code == 0, done.output
    assert "refund-helper.yaml" in done.output.replace("\n", "")
    begins = "The conversation begins with these messages:\n\nUser: Why?"
    assert asked.items[0].text.strip() == f"Help Ada.\n\nBe: kind # now\n\n{begins}"
    assert asked.models == ("openai/gpt-4o-mini",)
    expected = {"temperature": 0.2, "reasoning_effort": "low", "verbosity": "low"}
    expected["response_format"] = {"type": "json_schema", "name": "x", "schema": {}, "strict": True}
    assert {key: asked.options[key] for key in expected} == expected


def test_everything_that_is_not_taken_over_of_a_prompt_is_named(home):
    lines = imported(home, SAVED).output.splitlines()
    assert [line for line in lines if line.startswith("!")] == [
        "! not taken over: input_image in a message of the user",
        "! stands in the instructions: a message of the user: '{{question}}'",
        "! not taken over: reasoning.summary",
        "! not taken over: tools: name servers' tools in the document, or give functions with each request",
        "! not taken over: tool_choice: it comes with each request",
    ]


def test_one_document_answers_to_a_version_of_a_prompt(home):
    first = imported(home, SAVED)
    same = imported(home, SAVED)
    other = imported(home, SAVED, "--name", "other")
    newer = imported(home, {**SAVED, "version": 4}, "--name", "newer")
    assert (first.exit_code, same.exit_code, other.exit_code, newer.exit_code) == (0, 1, 1, 0)
    assert "is there already" in str(same.exception)
    assert "answers to prompt pmpt_saved1, version 3 already" in str(other.exception)
    assert {path.name for path in (home / "agents").iterdir()} == {"helper.yaml", "refund-helper.yaml", "newer.yaml"}


@pytest.mark.parametrize(
    ("file", "saved"),
    [
        ("list.json", "[1, 2]"),
        ("messages.json", '{"messages": [1]}'),
        ("broken.json", "{"),
        ("nothing.json", "{}"),
        ("hot.json", '{"instructions": "x", "temperature": "hot"}'),
    ],
)
def test_a_file_that_is_no_prompt_makes_no_agent(home, file, saved):
    refused = imported(home, saved, file=file)
    assert isinstance(refused.exception, InvalidRequest)
    assert [path.name for path in (home / "agents").iterdir()] == ["helper.yaml"]
