"""What OpenAI's API has and the gateway has not: an error that the SDKs understand and a person, too."""

import openai
import pytest

from gateway.apis._unserved import UNSERVED

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("part", sorted(UNSERVED))
async def test_it_is_said_to_be_not_served(start_gateway, method, part):
    async with start_gateway() as gateway:
        answers = [await gateway.http.request(method, f"{part}{rest}") for rest in ("", "/a", "/a/b?c=d")]
        answers += [await gateway.http.request(method, f"/v1/{part}/a")]
    for answer in answers:
        error = answer.json()["error"]
        assert sorted(error) == ["code", "message", "param", "type"]
        assert (answer.status_code, error["type"], error["code"]) == (404, "invalid_request_error", "unknown_url")
        assert error["message"].endswith(f"{UNSERVED[part]} is not served by this gateway.")


async def test_a_client_is_told(start_gateway):
    async with start_gateway() as gateway:
        with pytest.raises(openai.NotFoundError, match="Moderation is not served"):
            await gateway.openai.moderations.create(input="a")
        with pytest.raises(openai.NotFoundError, match="Audio is not served"):
            await gateway.openai.audio.speech.create(input="a", model="tts-1", voice="alloy")
        with pytest.raises(openai.NotFoundError, match="Image generation is not served"):
            await gateway.openai.images.generate(prompt="a")


async def test_a_mistyped_url_is_another_matter(start_gateway):
    async with start_gateway() as gateway:
        answer = await gateway.http.get("/v1/audios")
        keyless = await gateway.http.get("/v1/audio/speech", headers={"authorization": ""})
    assert answer.json()["error"]["message"] == "Invalid URL (GET /v1/audios)"
    assert keyless.status_code == 401
