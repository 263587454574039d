"""Items of tools that work elsewhere: clients send whole histories back, whoever had the conversation before."""

import json
from typing import Any, cast

from gateway.errors import InvalidRequest
from gateway.items import Item, Summary, Text, ToolCall, ToolResult, new_id
from gateway.tool_names import provider_name

SEARCH = ("rag", "search")
"""The server and the name of the tool that searches knowledge bases here."""


def to_foreign(raw: dict[str, Any], where: str) -> list[Item]:
    """What is left of such an item for the model. Raises InvalidRequest for a kind that no tool here makes."""
    match raw.get("type"):
        case "file_search_call":
            return to_search(raw)
        case "compaction_trigger":
            raise InvalidRequest(
                f"Invalid value for '{where}.type': a compaction_trigger is the last item of a response's input.",
                param=f"{where}.type",
                code="invalid_value",
            )
        case kind:
            raise InvalidRequest(
                f"Invalid value for '{where}.type': {kind!r} is not supported; there is no such tool here.",
                param=f"{where}.type",
                code="invalid_value",
            )


def own_summary(raw: dict[str, Any]) -> Summary | None:
    """The summary that a gateway like this one made, as its client sends it back; None for one that cannot be read."""
    said = "".join(
        str(cast("dict[str, Any]", one).get("text", "")) for one in listed(raw.get("summary")) if isinstance(one, dict)
    )
    if not said:
        return None
    return Summary(id=str(raw.get("id") or new_id("cmp")), text=said, digest=str(raw.get("encrypted_content") or ""))


def to_search(raw: dict[str, Any]) -> list[Item]:
    """A search with its results as the call it was; without them, which is how most clients have it, nothing: what the
    model made of them stands in its answer."""
    results = [cast("dict[str, Any]", one) for one in listed(raw.get("results")) if isinstance(one, dict)]
    if not results:
        return []
    id = raw.get("id")
    call_id = id if isinstance(id, str) and id else new_id("fs")
    queries = "; ".join(str(query) for query in listed(raw.get("queries")))
    passages = [{"file": str(one.get("filename") or ""), "text": str(one.get("text") or "")} for one in results]
    found = "\n\n".join(f"{one['file']}:\n{one['text']}" for one in passages)
    call = ToolCall(
        id=call_id,
        call_id=call_id,
        name=provider_name(*SEARCH),
        arguments=json.dumps({"query": queries}),
        server=SEARCH[0],
        tool=SEARCH[1],
        type="file_search",
    )
    content, structured = (Text(text=found),), {"passages": passages}
    return [
        call,
        ToolResult(id=new_id("fco"), call_id=call_id, content=content, type="file_search", structured=structured),
    ]


def listed(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
