"""Drives what a gateway has beside agents, as `drive.py` does: `python drive_raw.py URL KEY`. Prints JSON.

Vectors come as base64, which the client unpacks itself, and as numbers. Where the client's own types refuse what OpenAI
sends (packed vectors, null as a finish reason in a stream), they are not enforced.
"""

import json
import sys
from typing import Any

import openai

LOCAL = "local/all-minilm-l6-v2"


def main(url: str, key: str) -> dict[str, Any]:
    """What was seen, by feature."""
    options: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0}
    strict = openai.OpenAI(**options, _strict_response_validation=True)
    client = openai.OpenAI(**options)
    seen: dict[str, Any] = {"version": openai.__version__}
    packed = client.embeddings.create(model=LOCAL, input=["one", "two"])
    plain = strict.embeddings.create(model=LOCAL, input=["one", "two"], encoding_format="float")
    seen["vectors"] = [len(one.embedding) for one in plain.data]
    seen["packed"] = [one.embedding for one in packed.data] == [one.embedding for one in plain.data]
    seen["usage"] = packed.usage.total_tokens
    seen["tokens"] = client.embeddings.create(model=LOCAL, input=[606]).data[0].embedding == packed.data[0].embedding
    seen["of a vendor"] = client.embeddings.create(model="x/m", input="one").data[0].embedding
    done = strict.completions.create(model="actor", prompt=["a", "b"], echo=True)
    seen["completion"] = [choice.text for choice in done.choices]
    chunks = client.completions.create(model="actor", prompt="a", stream=True)
    seen["completion stream"] = "".join(chunk.choices[0].text for chunk in chunks)
    seen["models"] = [model.id for model in strict.models.list()]
    seen["a model"] = strict.models.retrieve("x/a/b").id
    refused = {}
    for name, ask in {
        "agent": lambda: client.embeddings.create(model="actor", input="a"),
        "deleted": lambda: client.models.delete("x/m"),
        "batches": lambda: client.batches.list(),
        "images": lambda: client.images.generate(prompt="a"),
    }.items():
        try:
            ask()
        except openai.APIStatusError as error:
            refused[name] = [error.status_code, error.code, bool(error.request_id)]
    seen["refused"] = refused
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
