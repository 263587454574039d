"""The recipes of docs/adding.md work as written.

What is followed here is cut out of the page itself, put into a copy of the tree, and used through a gateway process
that runs from that copy.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "adding.md").read_text()
RECIPES = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"`((?:[\w-]+/)*[\w-]+\.(?:py|toml|yaml))`")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "model", "node")
"""Neither needed here nor small: the weights of the search, and the packages of the Inspector."""


def blocks(recipe: str) -> list[tuple[str, str, str]]:
    """(language, file, text) of each block of a recipe. The file is the last one named before the block."""
    section = PAGE.split(f"## {recipe}\n")[1].split("\n## ")[0]
    return [(found[1], FILE.findall(section[: found.start()])[-1], found[2]) for found in BLOCK.finditer(section)]


def changed(source: str, diff: str) -> str:
    """`source` with a diff applied. Its context and what it takes away must be there, in one place."""
    lines = [line or " " for line in diff.splitlines()]
    before = "".join(f"{line[1:]}\n" for line in lines if line[0] != "+")
    after = "".join(f"{line[1:]}\n" for line in lines if line[0] != "-")
    assert source.count(before) == 1, f"not there, or not once:\n{before}"
    return source.replace(before, after)


@dataclass(frozen=True, slots=True)
class Place:
    """A copy of the tree and a home beside it, in which a recipe was followed."""

    tree: Path
    home: Path

    def follow(self, recipe: str) -> None:
        for language, file, text in blocks(recipe):
            path = self.tree / file
            if language == "diff":
                path.write_text(changed(path.read_text(), text))
            elif language == "yaml":
                with (self.home / file).open("a") as settings:
                    settings.write(text)
            else:
                assert not path.exists(), f"{file} is not new"
                path.write_text(text)

    def agent(self, name: str, lines: str) -> None:
        (self.home / "agents" / f"{name}.yaml").write_text(f"model: acme/m\n{lines}\n")

    def run(self, *command: str) -> str:
        """What a command says. It must succeed."""
        done = subprocess.run(command, cwd=self.tree, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {"PATH": path, "PYTHONPATH": str(self.tree), "HOME": str(self.home), "COLUMNS": "200"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "tree", tmp_path / "home")
    for folder in ("gateway", "mcp_tools", "tests"):
        shutil.copytree(ROOT / folder, made.tree / folder, ignore=NOT_COPIED)
    shutil.copy(ROOT / "pyproject.toml", made.tree)
    (made.home / "agents").mkdir(parents=True)
    (made.home / "agents" / "helper.yaml").write_text("model: acme/m\n")
    presets = made.tree / "mcp_tools" / "ticketing" / "presets"
    shutil.copy(presets / "github.yaml", presets / "acme.yaml")
    return made


Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
"""`async with serve(provider, VARIABLE="…") as http`: the gateway of the copy, with `acme/…` at `provider`."""


@pytest.fixture
def serve(place: Place) -> Serve:
    @asynccontextmanager
    async def serving(provider: Upstream, **environment: str) -> AsyncIterator[httpx.AsyncClient]:
        with (place.home / "log").open("w") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", "--port", "0"),
                cwd=place.home,
                env={**place.environment, "ACME_URL": provider.url, "ACME_KEY": "k", **environment},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        try:
            found = None
            while not found:
                line = (await process.stdout.readline()).decode()
                assert line, (place.home / "log").read_text()
                found = re.search(r"http://127\.0\.0\.1:\d+", line)
            key = (place.home / ".data" / "local.key").read_text().strip()
            headers = {"authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(base_url=found[0], headers=headers, timeout=30) as http:
                with anyio.fail_after(60):
                    yield http
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()

    return serving


async def asked(http: httpx.AsyncClient, agent: str, text: str, **more: str) -> dict[str, Any]:
    """The response object."""
    answer = await http.post("/v1/responses", json={"model": agent, "input": text, **more})
    return answer.json()


async def a_tool_server(place: Place, serve: Serve) -> None:
    place.agent("timekeeper", "tools: [clock.now]")
    async with upstream({"call": ("clock__now", "{}")}, {"text": "noon"}) as provider, serve(provider) as http:
        response = await asked(http, "timekeeper", "time?")
    assert re.match(r"\d{4}-\d\d-\d\dT", response["output"][0]["output"])


async def a_model_provider(place: Place, serve: Serve) -> None:
    (place.home / "agents" / "other.yaml").write_text("model: parasail/n\n")
    async with upstream({"text": "one"}, {"text": "two"}) as provider:
        async with serve(provider, PARASAIL_API_KEY="k", PARASAIL_API_BASE=provider.url) as http:
            for agent in ("helper", "other"):
                assert (await asked(http, agent, "hello"))["status"] == "completed"
    assert [request["model"] for request in provider.requests] == ["m", "n"]


async def a_rule(place: Place, serve: Serve) -> None:
    async with upstream({"text": "fine"}) as provider, serve(provider) as http:
        refused = await asked(http, "helper", "charge 4111 1111 1111 1111")
        assert provider.requests == []
        assert (await asked(http, "helper", "charge it"))["status"] == "completed"
    assert "Leave it out" in refused["error"]["message"]


async def a_memory_strategy(place: Place, serve: Serve) -> None:
    place.agent("forgetful", "memory: newest\ninstructions: Be brief.")
    async with upstream(*({"text": f"answer {n}"} for n in range(5))) as provider, serve(provider) as http:
        last: dict[str, str] = {}
        for n in range(5):
            last = {"previous_response_id": (await asked(http, "forgetful", f"question {n}", **last))["id"]}
    seen = [message["content"] for message in provider.requests[-1]["messages"]]
    assert seen == ["Be brief.", "question 2", "answer 2", "question 3", "answer 3", "question 4"]


async def a_dialect(place: Place, serve: Serve) -> None:
    async with upstream({"text": "forty two"}) as provider, serve(provider) as http:
        answer = await http.post("/v1/plain/helper", content="How many?")
        unknown = await http.post("/v1/plain/nobody", content="How many?")
    assert (answer.status_code, answer.text) == (200, "forty two")
    assert unknown.status_code == 404
    assert "dialects do not know each other KEPT" in place.run("lint-imports", "--no-cache")


async def a_store(place: Place, serve: Serve) -> None:
    url = f"audited:///{place.home / 'audited.db'}"
    async with upstream({"text": "fine"}) as provider, serve(provider, HOMEPORT_STORE=url) as http:
        id = (await asked(http, "helper", "hello"))["id"]
        read = (await http.get(f"/v1/responses/{id}")).json()
    assert read["output"][0]["content"][0]["text"] == "fine"
    assert f"{id} completed after 5 output tokens" in (place.home / "log").read_text()
    said = place.run("pytest", "-p", "no:cacheprovider", "tests/stores/test_store.py", "-k", "audited")
    assert re.search(r"\d\d passed", said)


async def a_tracker(place: Place, serve: Serve) -> None:
    place.agent("desk", "tools: [tracker.*]")
    async with upstream({"text": "fine"}) as provider, serve(provider) as http:
        await asked(http, "desk", "hello")
    offered = {tool["function"]["name"] for tool in provider.requests[0]["tools"]}
    assert {"tracker__open_ticket", "tracker__read_ticket"} <= offered


USES: dict[str, Callable[[Place, Serve], Awaitable[None]]] = {
    "A tool server": a_tool_server,
    "A model provider": a_model_provider,
    "A rule": a_rule,
    "A memory strategy": a_memory_strategy,
    "A dialect": a_dialect,
    "A store": a_store,
    "A tracker for the ticketing server": a_tracker,
}


@pytest.mark.parametrize("recipe", RECIPES)
async def test_a_recipe_works_as_written(place: Place, serve: Serve, recipe: str) -> None:
    for each in {"A model provider": None, recipe: None}:  # The answers come from the provider that it adds.
        place.follow(each)
    if written := sorted({file for _, file, _ in blocks(recipe) if file.endswith(".py")}):
        place.run("ruff", "check", *written)
        place.run("ruff", "format", "--check", *written)
    await USES[recipe](place, serve)
