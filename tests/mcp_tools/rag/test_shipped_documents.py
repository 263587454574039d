"""What is asked of the shipped agent in `make demo`, put to its search: the documents must keep answering it."""

import anyio
import pytest
from mcp import Client

from gateway.retrieval.records import LOOSE
from mcp_tools.rag import create_server
from scripts.demo import ANSWERED, ROOT, UNANSWERED

pytestmark = pytest.mark.anyio

SURE = 0.5


async def test_the_questions_of_the_demo_are_clearly_answered_or_clearly_not(tmp_path):
    folder = {"folder": str(ROOT / "agents" / "knowledge")}
    scores = {}
    async with Client(create_server({"data": str(tmp_path), "knowledge_bases": {"homeport": folder}})) as client:
        for question in (*ANSWERED, *UNANSWERED):
            with anyio.fail_after(60):
                found = await client.call_tool("search", {"query": question})
            scores[question] = found.structured_content["passages"][0]["score"]
    assert {question for question, score in scores.items() if score > SURE} == set(ANSWERED), scores
    assert {question for question, score in scores.items() if score < LOOSE} == set(UNANSWERED), scores
