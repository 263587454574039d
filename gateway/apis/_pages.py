"""Pages of a list as OpenAI has them: `limit`, `order`, `after` and `before` in the query, and the list object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.errors import InvalidRequest, NotFound

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class PageQuery:
    """At most `limit` (1 to 100) entries, after the one named `after` and before the one named `before`; with `before`
    alone, those right before it."""

    limit: int
    newest_first: bool
    after: str | None = None
    before: str | None = None

    def cut(self, between: Sequence[Entry]) -> tuple[Sequence[Entry], bool]:
        """The page of what is between the two, and whether that was more than a page."""
        page = between[-self.limit :] if self.before and not self.after else between[: self.limit]
        return page, len(between) > self.limit


def page_query(query: Mapping[str, str], order: str = "desc") -> PageQuery:
    """What the query asks for, 20 entries in this `order` if it does not say. Raises InvalidRequest."""
    given, order = query.get("limit", "20"), query.get("order", order)
    if not given.isdecimal() or len(given) > 3 or not 1 <= int(given) <= 100:
        raise InvalidRequest("Invalid value for 'limit': a number from 1 to 100.", param="limit", code="invalid_value")
    if order not in ("asc", "desc"):
        raise InvalidRequest("Invalid value for 'order': 'asc' or 'desc'.", param="order", code="invalid_value")
    return PageQuery(int(given), order == "desc", query.get("after") or None, query.get("before") or None)


def list_of(data: Sequence[Mapping[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """`first_id` and `last_id` are where the page begins and ends, which the SDKs hand back as `after`."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}


def page_of(oldest_first: Sequence[Mapping[str, Any]], query: Mapping[str, str], order: str = "desc") -> dict[str, Any]:
    """The page of a list that is at hand. Raises InvalidRequest, and NotFound for an entry that is not in it."""
    asked = page_query(query, order)
    entries = list(reversed(oldest_first)) if asked.newest_first else list(oldest_first)
    ids = [entry["id"] for entry in entries]
    begin = place(ids, asked.after, "after") + 1 if asked.after else 0
    end = place(ids, asked.before, "before") if asked.before else len(entries)
    page, has_more = asked.cut(entries[begin:end])
    return list_of(page, has_more=has_more)


def place(ids: Sequence[str], id: str, param: str) -> int:
    if id not in ids:
        raise NotFound(f"Item with id '{id}' not found.", param=param)
    return ids.index(id)
