"""The rag server as an MCP host sees it: in-process and over stdio, in both eras of the protocol."""

import asyncio
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters

from mcp_tools.rag import create_server
from mcp_tools.rag.settings import SettingsError

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["auto", "legacy"])
def era(request):
    return request.param


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    (folder / "guide").mkdir(parents=True)
    (folder / "refunds.md").write_text("# Refunds\n\n## How long\n\nYour money is back within 14 days.\n")
    (folder / "guide" / "login.md").write_text("# Login\n\nChoose Forgot password on the sign-in page.\n")
    return folder


@pytest.fixture
def settings(tmp_path, docs):
    return {"data": str(tmp_path / "data"), "knowledge_bases": {"help": {"folder": str(docs)}}}


def text_of(result):
    return result.content[0].text


async def answer(client, name, **arguments):
    """The structured answer of a call that must work."""
    with anyio.fail_after(60):
        result = await client.call_tool(name, arguments)
    assert not result.is_error, text_of(result)
    return result.structured_content


async def answer_text(client, name, **arguments):
    """What the model reads of a call that must work."""
    with anyio.fail_after(60):
        result = await client.call_tool(name, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


async def refusal(client, name, **arguments):
    """The text of a call that must be refused."""
    with anyio.fail_after(60):
        result = await client.call_tool(name, arguments)
    assert result.is_error
    return text_of(result)


async def test_first_search_waits_for_the_folder_and_cites_file_and_heading(settings, era):
    async with Client(create_server(settings), mode=era) as client:
        with anyio.fail_after(60):
            result = await client.call_tool("search", {"query": "when do I get my money", "limit": 1})
    (passage,) = result.structured_content["passages"]
    assert passage["file"] == "refunds.md" and passage["heading"] == ["Refunds", "How long"]
    assert passage["page"] is None and passage["knowledge_base"] == "help" and 0 < passage["score"] <= 1
    assert "14 days" in passage["text"]
    first, *rest = text_of(result).splitlines()
    assert first == f"[1] refunds.md \u203a Refunds \u203a How long ({passage['score']:.2f})"
    assert "Your money is back within 14 days." in rest


async def test_a_question_that_nothing_fits_is_told_so_instead_of_passages(settings):
    async with Client(create_server(settings)) as client:
        with anyio.fail_after(60):
            result = await client.call_tool("search", {"query": "Which planet has the most moons?"})
    best = result.structured_content["passages"][0]
    assert text_of(result) == (
        f"Nothing fits: the best score is {best['score']:.2f}. These documents do not answer the question."
    )


async def test_server_works_over_stdio(settings, docs, era):
    arguments = ["-m", "mcp_tools.rag", "--data", settings["data"], "--kb", f"help={docs}"]
    program = StdioServerParameters(command=sys.executable, args=arguments, cwd=str(ROOT))
    async with Client(program, mode=era) as client:
        assert client.server_info.name == "rag"
        found = await answer(client, "search", query="forgotten password")
        assert found["passages"][0]["file"] == "guide/login.md"
        document = await answer(client, "read_document", file="guide/login.md")
        assert document["text"].startswith("# Login")


async def test_every_tool_says_that_it_changes_nothing(settings, era):
    async with Client(create_server(settings), mode=era) as client:
        tools = (await client.list_tools()).tools
    assert sorted(tool.name for tool in tools) == ["list_knowledge_bases", "read_document", "search"]
    for tool in tools:
        hints = tool.annotations
        assert (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint) == (True, False, True)
        assert hints.open_world_hint is False and tool.description and tool.output_schema


@pytest.fixture
def with_zoo(settings, tmp_path):
    """Settings with a second knowledge base, `zoo`."""
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    (zoo / "z.md").write_text("# Zebras\n\nThey live in Africa.\n")
    settings["knowledge_bases"]["zoo"] = {"folder": str(zoo)}
    return settings


async def test_a_search_that_names_no_knowledge_base_is_of_all_and_says_where_each_passage_is_from(with_zoo):
    async with Client(create_server(with_zoo)) as client:
        with anyio.fail_after(60):
            result = await client.call_tool("search", {"query": "Where do zebras live?", "limit": 2})
        passages = result.structured_content["passages"]
        assert [one["knowledge_base"] for one in passages] == ["zoo", "help"]
        assert passages[0]["file"] == "z.md" and passages[0]["score"] > passages[1]["score"]
        assert text_of(result).startswith(f"[1] z.md \u203a Zebras ({passages[0]['score']:.2f}, knowledge base zoo)\n")
        money = await answer(client, "search", query="when do I get my money")
        assert (money["passages"][0]["knowledge_base"], money["passages"][0]["file"]) == ("help", "refunds.md")


async def test_a_search_that_names_a_knowledge_base_is_of_that_one(with_zoo):
    async with Client(create_server(with_zoo)) as client:
        unknown = await refusal(client, "search", query="zebras", knowledge_base="nope")
        assert "'nope'" in unknown and "help, zoo" in unknown
        found = await answer(client, "search", query="money", knowledge_base="zoo")
        assert [passage["file"] for passage in found["passages"]] == ["z.md"]


async def test_a_document_is_read_without_its_knowledge_base_unless_two_have_it(with_zoo, tmp_path):
    async with Client(create_server(with_zoo)) as client:
        document = await answer(client, "read_document", file="z.md")
        assert document["knowledge_base"] == "zoo" and "Africa" in document["text"]
        missing = await refusal(client, "read_document", file="y.md")
        assert "'help' has no file 'y.md'" in missing and "'zoo' has no file 'y.md'" in missing
    (tmp_path / "zoo" / "refunds.md").write_text("# Refunds\n\nTickets are not taken back.\n")
    async with Client(create_server({**with_zoo, "data": str(tmp_path / "new")})) as client:
        assert "help, zoo" in await refusal(client, "read_document", file="refunds.md")
        document = await answer(client, "read_document", file="refunds.md", knowledge_base="zoo")
        assert "Tickets" in document["text"]


async def test_list_tells_what_could_not_be_read(settings, docs):
    (docs / "photo.jpg").write_bytes(b"\xff\xd8\xff\x00")
    async with Client(create_server(settings)) as client:
        await answer(client, "search", query="anything")
        (base,) = (await answer(client, "list_knowledge_bases"))["knowledge_bases"]
    assert (base["id"], base["files"], base["chunks"], base["skipped_files"]) == ("help", 2, 2, 1)
    assert base["skipped"] == [{"file": "photo.jpg", "reason": "not a text file"}]
    assert base["synced_at"].endswith("+00:00")


async def test_long_document_is_read_in_parts(settings, docs):
    text = "# Long\n\n" + "".join(f"Line {n}.\n" for n in range(2000))
    (docs / "long.md").write_text(text)
    async with Client(create_server(settings)) as client:
        parts, start = [], 0
        while start is not None:
            part = await answer(client, "read_document", file="long.md", start=start, length=9000)
            assert part["total_characters"] == len(text)
            parts.append(part["text"])
            start = part["next_start"]
        assert len(parts) == 3 and "".join(parts) == text
        assert "must be smaller" in await refusal(client, "read_document", file="long.md", start=10**6)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search", {"query": ""}, "query"),
        ("search", {"query": "  \n"}, "empty"),
        ("search", {"query": "x", "limit": 0}, "limit"),
        ("search", {"query": "x", "limit": 51}, "limit"),
        ("search", {}, "query"),
        ("read_document", {"file": "nope.md"}, "no file 'nope.md'"),
        ("read_document", {"file": "../data/knowledge.sqlite3"}, "no file"),
        ("read_document", {"file": "/etc/passwd"}, "no file"),
    ],
)
async def test_wrong_arguments_are_refused_with_the_reason(settings, tool, arguments, said):
    async with Client(create_server(settings)) as client:
        assert said in await refusal(client, tool, **arguments)


async def test_missing_folder_breaks_its_own_knowledge_base_only(settings, tmp_path):
    settings["knowledge_bases"]["lost"] = {"folder": str(tmp_path / "lost")}
    async with Client(create_server(settings)) as client:
        assert "does not exist" in await refusal(client, "search", query="x", knowledge_base="lost")
        assert (await answer(client, "search", query="money", knowledge_base="help"))["passages"]
        everywhere = await answer_text(client, "search", query="when do I get my money")
        assert "refunds.md" in everywhere and "knowledge base lost could not be searched" in everywhere
        listed = (await answer(client, "list_knowledge_bases"))["knowledge_bases"]
    assert {base["id"]: base["state"] for base in listed} == {"help": "ready", "lost": "failed"}
    assert "does not exist" in listed[1]["problem"]


async def test_search_with_no_knowledge_base_says_how_to_add_one(tmp_path):
    async with Client(create_server({"data": str(tmp_path / "data")})) as client:
        assert "homeport kb add" in await refusal(client, "search", query="x")
        assert await answer(client, "list_knowledge_bases") == {"knowledge_bases": []}


async def test_new_file_is_found_without_a_restart(settings, docs):
    async with Client(create_server({**settings, "refresh_seconds": 0})) as client:
        await answer(client, "search", query="invoice")
        (docs / "invoices.md").write_text("# Invoices\n\nThey come by mail each month.\n")
        with anyio.fail_after(60):
            while True:
                found = await answer(client, "search", query="monthly invoices")
                if found["passages"][0]["file"] == "invoices.md":
                    break


async def test_restarted_server_answers_from_what_was_read_before(settings, docs):
    async with Client(create_server(settings)) as client:
        before = await answer(client, "search", query="money")
    docs.rename(docs.with_name("moved"))
    async with Client(create_server(settings)) as client:
        assert await answer(client, "search", query="money") == before


async def test_connections_at_once_share_one_server(settings):
    server = create_server(settings)
    async with Client(server) as first, Client(server, mode="legacy") as second:
        answers = await asyncio.gather(*(answer(one, "search", query="money") for one in (first, second)))
        assert answers[0] == answers[1]
    async with Client(server) as third:
        assert await answer(third, "search", query="money") == answers[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"data": "d", "folder": "x"}, "unknown key 'folder'"),
        ({}, "'data' is missing"),
        ({"data": "d", "knowledge_bases": {"a/b": {"folder": "x"}}}, "knowledge_bases.a/b"),
        ({"data": "d", "knowledge_bases": {"a": {"path": "x"}}}, "unknown key 'knowledge_bases.a.path'"),
        ({"data": "d", "refresh_seconds": -1}, "refresh_seconds"),
    ],
)
def test_wrong_settings_are_named(wrong, said):
    with pytest.raises(SettingsError) as told:
        create_server(wrong)
    assert said in str(told.value)


async def test_model_may_ingest_below_the_roots_only(settings, tmp_path, era):
    root = tmp_path / "allowed"
    (root / "notes").mkdir(parents=True)
    for n in range(3):
        (root / "notes" / f"{n}.md").write_text(f"# Note {n}\n\nWalrus number {n}.\n")
    (root / "sly").symlink_to(tmp_path / "docs")
    steps = []

    async def on_progress(progress, total, message):
        steps.append((progress, total))

    async with Client(create_server({**settings, "ingest_roots": [str(root)]}), mode=era) as client:
        (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == "ingest_folder"]
        assert tool.annotations.read_only_hint is False and tool.annotations.destructive_hint is False
        for folder in (str(tmp_path / "docs"), "..", "sly", "missing", "/"):
            said = await refusal(client, "ingest_folder", folder=folder, knowledge_base="notes")
            assert str(root) in said
        with anyio.fail_after(60):
            result = await client.call_tool(
                "ingest_folder", {"folder": "notes", "knowledge_base": "notes"}, progress_callback=on_progress
            )
        assert not result.is_error and result.structured_content["added"] == 3
        found = await answer(client, "search", query="walrus", knowledge_base="notes")
        assert len(found["passages"]) == 3
        await answer(client, "search", query="money", knowledge_base="help")
        taken = await refusal(client, "ingest_folder", folder=str(root), knowledge_base="help")
        assert "another folder" in taken
    assert steps == sorted(steps) and steps[-1] == (3, 3)
