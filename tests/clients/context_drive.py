"""Counts, compacts and goes on with whatever `openai` is installed here: `python context_drive.py URL KEY`.

Every body is validated against the client's types, but for those with messages of the user's in what `compact` answers:
the clients have no type for them. Prints JSON.
"""

import json
import sys
from typing import Any

import openai

SAID = [{"role": "user", "content": "I am Ada."}, {"role": "assistant", "content": "Hello Ada."}]
WELL = {"role": "user", "content": "And now?"}
MANAGED = [{"type": "compaction", "compact_threshold": 1000}]


def main(url: str, key: str) -> dict[str, Any]:
    """What was seen, by feature."""
    seen: dict[str, Any] = {"version": openai.__version__}
    asked = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0}
    client, lenient = openai.OpenAI(**asked, _strict_response_validation=True), openai.OpenAI(**asked)
    counted = client.responses.input_tokens.count(model="helper", input="a" * 400)
    seen["counted"] = [counted.object, counted.input_tokens > 100]
    first = client.responses.create(model="helper", input="hi")
    try:
        client.responses.compact(model="helper", input=SAID)
    except openai.APIResponseValidationError:
        seen["strict"] = "refused"
    made = lenient.responses.compact(model="helper", input=SAID)
    seen["compacted"] = [made.object, [item.type for item in made.output], made.usage.total_tokens]
    window = [item.model_dump(exclude_none=True, warnings=False) for item in made.output]
    seen["gone on"] = client.responses.create(model="helper", input=[*window, WELL]).output_text
    only = client.responses.compact(model="helper", input=SAID[1:])
    seen["strict without questions"] = [item.type for item in only.output]
    with client.responses.stream(
        model="helper", input="And?", previous_response_id=first.id, context_management=MANAGED
    ) as stream:
        done = [event.item.type for event in stream if event.type == "response.output_item.done"]
        final = stream.get_final_response()
    seen["managed"] = done
    kept = client.responses.retrieve(final.id)
    seen["retrieved"] = [item.id for item in kept.output] == [item.id for item in final.output]
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])) + "\n")
