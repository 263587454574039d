"""What `make bench` writes. It is not run here: the tables are made of results that are made up."""

import pytest

from bench.report import BEGIN, END, README, markdown, sheets, summary
from bench.scenarios import CELLS, SCENARIOS

NUMBERS = ("cpu_s", "p50_ms", "p99_ms", "ttft_p50_ms", "ttft_p99_ms", "transit_p50_ms", "transit_p99_ms", "gap_max_ms")
MEASURED = {**dict.fromkeys(NUMBERS, 1.0), "requests": 1, "seconds": 1.0, "tokens": 1, "stalls": 0, "errors": 0}


@pytest.fixture
def run():
    results = [
        {**MEASURED, "scenario": scenario.name, "cell": cell.name, "round": 0}
        for cell in CELLS
        for scenario in SCENARIOS
    ]
    starts = [
        {"server": server, "round": 0, "healthy_s": 1.0, "answer_s": 1.0, "idle_mb": 1.0, "loaded_mb": 1.0}
        for server in ("floor", "gateway", "litellm")
    ]
    return results, starts


def test_the_page_has_every_way_to_ask_at_every_load(run):
    page = markdown(sheets(*run), ["today"])
    for scenario in SCENARIOS:
        assert page.count(f"| {scenario.name} |") == len(CELLS)
    for connections in (1, 16, 64, 256):
        assert f"## {connections} connection" in page
    assert "## Start and memory" in page


def test_the_readme_has_a_place_for_the_summary_and_the_summary_every_way_to_ask(run):
    *loads, start = summary(*run)
    assert [[row[0] for row in sheet.rows] for sheet in loads] == [[one.name for one in SCENARIOS]] * 3
    assert [row[0] for row in start.rows] == ["floor", "gateway", "litellm"]
    readme = README.read_text()
    assert readme.index(BEGIN) < readme.index(END)
    # Both dialects, with and without an agent, stored and not.
    asked = {(one.path, one.model, bool(one.extra.get("store"))) for one in SCENARIOS if one.server == "gateway"}
    ways = {(path, "bench", kept) for path in ("/v1/chat/completions", "/v1/responses") for kept in (True, False)}
    raw = {("/v1/chat/completions", "fake/gpt"), ("/v1/responses", "fake/gpt"), ("/v1/responses", "told/gpt")}
    assert asked >= ways | {(*way, False) for way in raw}
