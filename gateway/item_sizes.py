"""How much an item is, for limits on what is kept and what a model is shown."""

import orjson

from gateway.items import (
    Approval,
    ApprovalRequest,
    Compaction,
    File,
    Foreign,
    Image,
    Item,
    Message,
    Part,
    Reasoning,
    Refusal,
    Summary,
    Text,
    ToolCall,
    ToolList,
    ToolResult,
    dump,
)

ORDINARY = 64
"""Characters of a name or an id, at most, that do not count."""


def size_of(item: Item) -> int:
    """Characters of what it says, counted without looking at them: a URL of data is as long as it is."""
    return _size_of(item) + beyond(item.id)


def beyond(name: str) -> int:
    """What of a name or an id is more than such a one needs: of one that a client has chosen it may be everything."""
    size = len(name)
    return size - ORDINARY if size > ORDINARY else 0


def _size_of(item: Item) -> int:
    match item:
        case Message(content=parts, name=name):
            return beyond(name) + sum(map(part_size, parts))
        case ToolResult(content=parts, call_id=call_id, approval=approval):
            return beyond(call_id) + beyond(approval) + sum(map(part_size, parts))
        case Reasoning(text=text, summary=summary, sealed=sealed):
            return len(text) + len(summary) + len(sealed)
        case ToolCall(arguments=arguments, name=name, call_id=call_id, tool=tool, server=server):
            return len(arguments) + sum(map(beyond, (name, call_id, tool, server)))
        case ApprovalRequest(arguments=arguments, tool=tool, server=server, call_id=call_id):
            return len(arguments) + sum(map(beyond, (tool, server, call_id)))
        case Approval(reason=reason, request_id=request_id):
            return len(reason) + beyond(request_id)
        case Compaction(text=text, sealed=sealed):
            return len(text) + len(sealed)
        case Summary(text=text):
            return len(text)
        case ToolList():
            # Mostly schemas; there is one in a conversation, and not in each turn.
            return len(dump(item))
        case Foreign(wire=wire):
            # As long as what is told of it, or longer.
            return len(orjson.dumps(wire))


def part_size(part: Part) -> int:
    match part:
        case Text(annotations=annotations, logprobs=logprobs) if annotations or logprobs:
            return len(part.text) + len(orjson.dumps([annotations, logprobs]))
        case Text(text=text) | Refusal(text=text):
            return len(text)
        case Image(url=url):
            return len(url)
        case File(data=data, url=url, name=name, file_id=file_id):
            return len(data) + len(url) + beyond(name) + beyond(file_id)
