"""From the tracker's JSON to the tickets and comments that every tracker has in common. No I/O."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mcp_tools.ticketing.errors import TicketingError
from mcp_tools.ticketing.preset import CommentPlaces, Place, Preset, TicketPlaces
from mcp_tools.ticketing.template import find, render

Json = dict[str, Any]


class Mapper:
    """Reads answers the way a preset says. Raises `TicketingError` that names the preset and the path."""

    def __init__(self, preset: Preset, names: Mapping[str, Any], max_text: int) -> None:
        self._preset = preset
        self._names = names
        self._max_text = max_text

    def ticket(self, source: Any, where: str) -> Json:
        """{id, url, title, status, ...}: what the tracker has of it; absent things are left out."""
        ticket = self._read(self._preset.ticket, source, where, needed=("id", "title", "status"))
        ticket["id"] = str(ticket["id"])
        return {"id": ticket.pop("id"), "url": self.url(str(find(source, _path(self._preset.ticket.id)))), **ticket}

    def comment(self, source: Any, where: str) -> Json:
        comment = self._read(self._preset.comment, source, where, needed=("id",))
        return {**comment, "id": str(comment["id"]), "body": comment.get("body", "")}

    def several(self, names: Mapping[str, Any], path: str | None) -> list[Any]:
        """The list at a path of the steps' answers; an absent step is an empty one."""
        if path is None or path.split(".")[0] not in names:
            return []
        found = find(names, path)
        if not isinstance(found, list):
            raise self.unexpected(path, "list")
        return found

    def thing(self, names: Mapping[str, Any], path: str) -> Any:
        """The mapping at a path of the steps' answers."""
        found = find(names, path)
        if not isinstance(found, Mapping):
            raise self.unexpected(path, "object")
        return found

    def number(self, names: Mapping[str, Any], path: str | None) -> int | None:
        found = find(names, path) if path else None
        return found if isinstance(found, int) else None

    def unexpected(self, path: str, wanted: str) -> TicketingError:
        return TicketingError(
            f"The tracker's answer is not what preset {self._preset.name} expects: no {wanted} at {path!r}. "
            "Trying again does not help: tell the person who runs this server."
        )

    def url(self, id: str) -> str:
        return str(render(self._preset.url, {**self._names, "id": id}))

    def comment_url(self, id: str, comment_id: str) -> str:
        names = {**self._names, "id": id, "comment_id": comment_id}
        return str(render(self._preset.comment_url or self._preset.url, names))

    def _read(self, places: TicketPlaces | CommentPlaces, source: Any, where: str, needed: tuple[str, ...]) -> Json:
        found: Json = {}
        for name in type(places).model_fields:
            place = getattr(places, name)
            value = None if place is None else self._at(place, source)
            if value is None and name in needed:
                raise self.unexpected(f"{where}.{_path(place or name)}", name)
            if value is not None:
                found[name] = value
        return found

    def _at(self, place: str | Place, source: Any) -> Any:
        value = find(source, _path(place))
        if isinstance(place, Place) and value is not None:
            if place.each is not None or place.count:
                value = value if isinstance(value, list) else []
                if place.count:
                    return len(value)
                value = [found for found in (find(item, place.each or "") for item in value) if found is not None]
            if place.date is not None:
                return _iso(str(value), place.date)
        if isinstance(value, list):
            return [self._cut(str(item)) for item in value]
        return value if value is None or isinstance(value, int) else self._cut(str(value))

    def _cut(self, text: str) -> str:
        left = len(text) - self._max_text
        return text if left <= 0 else f"{text[: self._max_text]}\n[cut here: {left} more characters]"


def _path(place: str | Place) -> str:
    return place.path if isinstance(place, Place) else place


def _iso(text: str, form: str) -> str:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
    except ValueError:
        return text  # another form than the preset's says more than nothing
