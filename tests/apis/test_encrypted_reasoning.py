"""`reasoning.encrypted_content`: who keeps the conversation keeps the provider's proof of its thoughts, sealed."""

import openai
import pytest

from gateway.items import Reasoning
from tests.conftest import say

pytestmark = pytest.mark.anyio

STATE = {"provider": "scripted", "thinking_blocks": [{"thinking": "Hm.", "signature": "proof"}]}
THOUGHT = Reasoning(id="rs_1", text="Hm.", state=STATE)
SEALED = ["reasoning.encrypted_content"]
QUESTION = {"role": "user", "content": "Why?"}


async def thought(gateway, **fields):
    """A reasoning item as the client was given it."""
    response = await gateway.openai.responses.create(
        model="helper", input=[QUESTION], store=False, include=SEALED, **fields
    )
    return next(item for item in response.output if item.type == "reasoning").model_dump()


async def test_the_providers_state_travels_with_the_client_and_comes_back(start_gateway, home):
    async with start_gateway([THOUGHT, say("So.")], [say("Sure.", "msg_2")]) as gateway:
        kept = await thought(gateway)
        await gateway.openai.responses.create(model="helper", input=[QUESTION, kept, QUESTION], store=False)
        seen = next(item for item in gateway.provider.calls[1].items if isinstance(item, Reasoning))
    assert seen.state == STATE
    assert "proof" not in kept["encrypted_content"] and "signature" not in kept["encrypted_content"]
    assert (home / "data" / "sealing.key").stat().st_mode & 0o777 == 0o600


async def test_it_outlives_the_process_that_sealed_it(start_gateway):
    async with start_gateway([THOUGHT, say("So.")]) as gateway:
        kept = await thought(gateway)
    async with start_gateway([say("Sure.")]) as gateway:
        await gateway.openai.responses.create(model="helper", input=[QUESTION, kept, QUESTION], store=False)
        seen = next(item for item in gateway.provider.calls[0].items if isinstance(item, Reasoning))
    assert seen.state == STATE


async def test_a_stream_and_what_is_read_back_have_the_same_content(start_gateway):
    async with start_gateway([THOUGHT, say("So.")]) as gateway:
        stream = await gateway.openai.responses.create(model="helper", input="Why?", include=SEALED, stream=True)
        events = [event async for event in stream]
        stored = await gateway.openai.responses.retrieve(events[-1].response.id)
    done = next(event.item for event in events if event.type == "response.output_item.done")
    assert done.encrypted_content.startswith("hp1.")
    assert done.encrypted_content == events[-1].response.output[0].encrypted_content
    assert done.encrypted_content == stored.output[0].encrypted_content


async def test_who_does_not_ask_for_it_is_not_given_it(start_gateway):
    async with start_gateway([THOUGHT, say("So.")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input="Why?")
    assert response.output[0].encrypted_content is None


@pytest.mark.parametrize("change", [lambda text: text[:-6] + "AAAAA=", lambda text: text[:20], lambda text: text + "!"])
async def test_what_was_changed_is_refused(start_gateway, change):
    async with start_gateway([THOUGHT, say("So.")]) as gateway:
        kept = await thought(gateway)
        kept["encrypted_content"] = change(kept["encrypted_content"])
        with pytest.raises(openai.BadRequestError) as refused:
            await gateway.openai.responses.create(model="helper", input=[QUESTION, kept, QUESTION], store=False)
        assert len(gateway.provider.calls) == 1
    assert (refused.value.param, refused.value.code) == ("input", "invalid_encrypted_content")


async def test_what_another_service_has_sealed_is_let_by(start_gateway):
    item = {"type": "reasoning", "id": "rs_x", "summary": [], "encrypted_content": "gAAAAABelsewhere"}
    async with start_gateway([say("So.")]) as gateway:
        response = await gateway.openai.responses.create(model="helper", input=[QUESTION, item, QUESTION])
        seen = next(one for one in gateway.provider.calls[0].items if isinstance(one, Reasoning))
    assert (response.output_text, seen.state) == ("So.", {})
