"""What `homeport doctor` claims, and what `--online` finds out."""

import asyncio
import re

from tests.command import homeport
from tests.upstream import upstream

SETTINGS = """providers:
  good: {{base_url: '{good}', api_key: sk-good}}
  bad: {{base_url: '{bad}', api_key: sk-wrong}}
  dead: {{base_url: 'http://127.0.0.1:9/v1'}}
"""
REFUSAL = {"error": {"message": "Incorrect API key\nprovided: sk-wrong.", "code": "invalid_api_key"}}


def rows(said):
    return [" ".join(line.split()) for line in said.splitlines()]


def looked(home, *arguments):
    """What it says of three providers, and what each of the two that live was asked."""
    (home / "agents" / "helper.yaml").write_text("name: helper\nmodel: {primary: good/m, fallbacks: [bad/m, dead/m]}\n")

    async def tried():
        async with upstream({"text": "OK"}) as good, upstream({"status": 401, "error": REFUSAL}) as bad:
            (home / "gateway.yaml").write_text(SETTINGS.format(good=good.url, bad=bad.url))
            done = await asyncio.to_thread(homeport, home, "doctor", *arguments, OPENAI_API_KEY="sk-x", COLUMNS="300")
            return *done, good.requests, bad.requests

    return asyncio.run(tried())


def test_doctor_does_not_claim_that_a_provider_answers_which_it_did_not_ask(home):
    status, said, *asked = looked(home)
    assert (status, asked) == (0, [[], []]), said
    shown = "\n".join(rows(said))
    assert "✓ model good/m not tried; `providers.good.api_key` is set" in shown
    assert "✓ model dead/m not tried; no key is set" in shown
    assert re.search(r"✓ default model openai/gpt-4o-mini: not tried; OPENAI_API_KEY is set", shown)
    assert "`homeport doctor --online`" in shown


def test_doctor_online_asks_each_model_once_and_says_what_to_do_in_a_line(home):
    status, said, good, bad = looked(home, "--online")
    assert (status, len(good), len(bad)) == (1, 1, 1), said
    shown = "\n".join(rows(said))
    assert "✓ model good/m answered" in shown
    refused = (
        r"✗ model bad/m .*401: Incorrect API key provided: \[key\]\. Look at the key: `providers\.bad\.api_key` is set"
    )
    assert re.search(refused, shown), said
    assert re.search(r"✗ model dead/m .*Look at the provider's `base_url`, the network and the proxy", shown)
    assert "--online" not in said
