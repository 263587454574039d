"""Which models a client may name without an agent."""

import pytest

from gateway.providers.settings import ProviderSettings

pytestmark = pytest.mark.anyio

SERVER = ProviderSettings(name="x", base_url="http://127.0.0.1:9")


async def asked(gateway, model):
    message = {"role": "user", "content": "Hi."}
    return await gateway.http.post("/v1/chat/completions", json={"model": model, "messages": [message]})


@pytest.mark.parametrize("pattern", ["*", "scripted*", "scripted/*", "?cripted/*", "[s]*/*"])
async def test_a_wildcard_lets_nobody_read_files_of_the_host(start_gateway, tmp_path, pattern):
    (tmp_path / "secret.yaml").write_text("- {say: hunter2}\n")
    async with start_gateway(providers={"x": SERVER}, models=(pattern,)) as gateway:
        answer = await asked(gateway, f"scripted/{tmp_path}/secret.yaml")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "does not exist or you do not have access" in answer.text


async def test_a_script_may_be_named_by_an_agent_or_in_full(start_gateway, home):
    script = f"scripted/{home}/script.yaml"
    (home / "script.yaml").write_text("- {say: Hi.}\n- {say: Hi.}\n")
    (home / "agents" / "actor.yaml").write_text(f"name: actor\nmodel: {script}\n")
    async with start_gateway(providers={"x": SERVER}, models=("*", script)) as gateway:
        answers = [await asked(gateway, name) for name in ("actor", script)]
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == ["Hi.", "Hi."]
