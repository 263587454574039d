"""`include`: what a client wants to see of items that is else left out."""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from starlette.datastructures import QueryParams

from gateway.apis._items import Wire, to_wire
from gateway.errors import InvalidRequest
from gateway.items import Item
from gateway.runs import Runs

Included = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]


def included(query: QueryParams) -> Sequence[str]:
    """`include` as the SDKs write it, with brackets, and without. Raises InvalidRequest."""
    include = [*query.getlist("include[]"), *query.getlist("include")]
    for one in include:
        if one not in get_args(Included):
            raise InvalidRequest(
                f"Invalid value for 'include': {one[:64]!r} is not one of {', '.join(get_args(Included))}.",
                param="include",
                code="invalid_value",
            )
    return include


async def shown(items: Iterable[Item], include: Sequence[str], runs: Runs, owner: str) -> list[Wire]:
    """Items of this owner's as a page shows them. Raises StorageFull where no key to seal with can be made."""
    if "reasoning.encrypted_content" in include:
        items = await runs.sealed([*items], owner)
    return to_wire(items, results="file_search_call.results" in include)
