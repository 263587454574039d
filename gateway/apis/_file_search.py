"""`file_search_call`: a search of knowledge bases that a client asked for, as Responses and Conversations show it."""

from typing import Any

import orjson

from gateway.citations import passages_in
from gateway.items import ToolCall, ToolResult

Wire = dict[str, Any]


def file_search_call(call: ToolCall, result: ToolResult | None, status: str, *, results: bool = False) -> Wire:
    """`status` is that of a call without a result; with `results` the passages that were found are in it."""
    if result is not None:
        status = "failed" if result.is_error else "completed"
    found = [to_result(passage) for passage in passages_in([result])] if results and result is not None else None
    return {"id": call.id, "type": "file_search_call", "status": status, "queries": queries(call), "results": found}


def queries(call: ToolCall) -> list[str]:
    try:
        arguments: object = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        return []
    match arguments:
        case {"query": str(query)}:
            return [query]
        case _:
            return []


def to_result(passage: Wire) -> Wire:
    file = str(passage.get("file", ""))
    score: Any = passage.get("score")
    return {
        "file_id": file,
        "filename": file.rpartition("/")[2],
        "score": min(1.0, max(0.0, float(score))) if isinstance(score, int | float) else 0.0,
        "text": str(passage.get("text", "")),
        "attributes": {"knowledge_base": str(passage.get("knowledge_base", ""))},
    }
