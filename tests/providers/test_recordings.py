"""The contract of every lane, over recorded traffic of real vendors: whole, in single bytes, cut off, and early ended.

The recordings are not part of the project: `HOMEPORT_RECORDINGS` says where they are, and then they must be there; else
they are looked for in `../shared/recordings`. Where there are none, the contract runs over answers that were written by
hand alone (`written.py`).
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ProviderError
from gateway.events import (
    ArgumentsDelta,
    ItemDone,
    ItemStarted,
    ReasoningDelta,
    RefusalDelta,
    StepDone,
    SummaryDelta,
    TextDelta,
)
from gateway.items import Message, Reasoning, ToolCall
from gateway.providers.settings import Limits
from tests.providers.conftest import Asked, ask
from tests.providers.replay import Recording, Upstream, recordings
from tests.providers.written import arguments_of, text_of, written

pytestmark = pytest.mark.anyio

REQUIRED = "HOMEPORT_RECORDINGS" in os.environ
ROOT = Path(os.environ.get("HOMEPORT_RECORDINGS", Path(__file__).parents[3] / "shared" / "recordings"))

RECORDED = list(recordings(ROOT))
RECORDINGS = {recording.name: recording for recording in (*written(), *RECORDED)}
WIRES = {"openai", "responses", "anthropic", "gemini", "bedrock", "mistral", "ollama"}

BASES = {
    "mistral": "/v1",
    "groq": "/openai/v1",
    "ollama": "/v1",
    "openai": "/v1",
    "responses": "/v1",
    "gemini": "/v1beta",
}
AWS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "aws_region_name": "us-east-1"}

LANES = {
    "openai": ("openai", "transformed", "litellm"),
    "responses": ("responses",),
    "mistral": ("openai", "transformed", "litellm"),
    "groq": ("openai", "transformed", "litellm"),
    "deepseek": ("openai", "transformed", "litellm"),
    "ollama": ("openai",),
    "anthropic": ("transformed", "litellm"),
    "gemini": ("litellm",),
    "bedrock": ("litellm",),
}
"""Every lane that can be asked for a vendor's wire, the one that is used first."""


def is_stream(recording: Recording) -> bool:
    return "json" not in recording.answer.content_type


def readable(recording: Recording) -> bool:
    """Whether the recording is an answer: not a refusal, not the other API that Google has at the same address."""
    body = recording.answer.body
    return recording.answer.status == 200 and b'"interaction' not in body and body != b""


def answered(name: str, lane: str) -> bool:
    """Nothing but calls of the vendor's own tools is an answer, except for LiteLLM, where it may be a lost one."""
    recording = RECORDINGS[name]
    only_own_tools = (
        is_stream(recording)
        and b"server_tool_use" in recording.answer.body
        and b"text_delta" not in recording.answer.body
    )
    return readable(recording) and not (lane == "litellm" and only_own_tools)


def named(chosen: list[tuple[str, str]]):
    return pytest.mark.parametrize(("name", "lane"), chosen, ids=[f"{lane}-{name}" for name, lane in chosen])


ALL = [(name, lane) for name, recording in RECORDINGS.items() for lane in LANES[recording.vendor]]
ANSWERS = [leg for leg in ALL if answered(*leg)]
STREAMS = [leg for leg in ANSWERS if is_stream(RECORDINGS[leg[0]])]


async def play(asking, upstream, recording: Recording, lane: str, said: list | None = None) -> Asked:
    settings = {
        "name": recording.vendor,
        "litellm_provider": "openai" if recording.vendor == "responses" else recording.vendor,
        "lane": lane,
        "extra": AWS if recording.vendor == "bedrock" else {},
    }
    async with asking(upstream.url + BASES.get(recording.vendor, ""), limits=Limits(retries=0), **settings) as router:
        try:
            call = ask(model=f"{recording.vendor}/{recording.model or 'm'}")
            return await router(replace(call, live=is_stream(recording)))
        finally:
            if said is not None:
                said.extend(router.said)


def check(asked: Asked) -> None:
    """Every item started, its deltas equal to it, done once; ids new and short; one StepDone, last."""
    started: dict[str, str] = {}
    summaries: dict[str, str] = {}
    done: list[str] = []
    call_ids: list[str] = []
    for event in asked.events[:-1]:
        match event:
            case ItemStarted():
                started[event.item.id] = summaries[event.item.id] = ""
            case SummaryDelta():
                assert event.item_id not in done
                summaries[event.item_id] += event.text
            case TextDelta() | ReasoningDelta() | ArgumentsDelta() | RefusalDelta():
                assert event.item_id not in done
                started[event.item_id] += event.text
            case ItemDone(item=item):
                done.append(item.id)
                match item:
                    case Message():
                        words = "".join(part.text for part in item.content)
                    case Reasoning():
                        words = item.text
                        assert summaries[item.id] == item.summary
                    case ToolCall():
                        words = item.arguments
                        call_ids.append(item.call_id)
                        assert item.name
                        assert not item.call_id.startswith("srvtoolu_")
                assert started[item.id] == words
            case other:
                pytest.fail(f"{other} is not the last event")
    assert set(done) == set(started)
    assert len(set(call_ids)) == len(call_ids)
    assert all(0 < len(id) <= 64 for id in call_ids)
    assert asked.step.finish != "tool_calls" or call_ids


def test_there_are_recordings_of_every_wire():
    if not RECORDED and not REQUIRED:
        pytest.skip(f"there are no recordings at {ROOT}; HOMEPORT_RECORDINGS says where they are")
    assert {recording.vendor for recording in RECORDED} >= WIRES


@named(ANSWERS)
async def test_a_recorded_answer_is_read_by_the_contract(asking, name, lane):
    recording = RECORDINGS[name]
    async with Upstream(recording.answer) as upstream:
        asked = await play(asking, upstream, recording, lane)
    check(asked)
    assert (
        asked.step.usage is not None
        or b"usage" not in recording.answer.body
        or b'"usage":null' in recording.answer.body
    )


@named([leg for leg in ANSWERS if leg[0].startswith("written/")])
async def test_every_wire_says_text_thoughts_and_parallel_calls(asking, name, lane):
    recording = RECORDINGS[name]
    async with Upstream(recording.answer) as upstream:
        asked = await play(asking, upstream, recording, lane)
    thoughts = [item.text or item.summary for item in asked.items if isinstance(item, Reasoning)]
    texts = [item.text for item in asked.items if isinstance(item, Message)]
    calls = [json.loads(item.arguments) for item in asked.items if isinstance(item, ToolCall)]
    assert asked.step.usage is not None and asked.step.usage.output_tokens == 7
    if name.endswith("calls"):
        assert (calls, asked.step.finish) == (arguments_of(recording.vendor), "tool_calls")
    else:
        assert (texts, calls, asked.step.finish) == ([text_of(recording.vendor)], [], "stop")
    assert bool(thoughts) is (recording.vendor in THINKING[name.endswith("calls")])


THINKING = ({"ollama", "mistral", "anthropic", "gemini", "responses"}, {"ollama", "anthropic", "gemini", "responses"})
"""Whose written text comes after thoughts, and whose calls do."""


@named(STREAMS)
async def test_a_recorded_stream_means_the_same_in_small_pieces(asking, name, lane):
    recording = RECORDINGS[name]
    found = []
    for piece in (65536, 1 if len(recording.answer.body) < 8000 else 97):
        async with Upstream(replace(recording.answer, piece=piece)) as upstream:
            asked = await play(asking, upstream, recording, lane)
        check(asked)
        found.append(([shape(item) for item in asked.items], asked.step))
    assert found[0] == found[1]


def shape(item) -> tuple[str, ...]:
    """What of an item does not change from one reading to the next."""
    return (item.kind, item.name, item.arguments) if isinstance(item, ToolCall) else (item.kind, item.text)


@named(STREAMS)
@pytest.mark.parametrize("fault", ["cut", "end"])
async def test_a_recorded_stream_that_breaks_off_is_never_done(asking, name, lane, fault):
    recording = RECORDINGS[name]
    half = len(recording.answer.body) // 2
    said: list = []
    async with Upstream(replace(recording.answer, **{fault: half})) as upstream:
        with pytest.raises(ProviderError):
            await play(asking, upstream, recording, lane, said)
    assert not any(isinstance(event, StepDone) for event in said)


@named([leg for leg in ALL if leg not in ANSWERS])
async def test_a_recording_that_is_no_answer_is_an_error(asking, name, lane):
    recording = RECORDINGS[name]
    async with Upstream(recording.answer) as upstream:
        with pytest.raises(ProviderError):
            await play(asking, upstream, recording, lane)
