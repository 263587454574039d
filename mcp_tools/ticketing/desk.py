"""The five operations, tracker-independent: arguments in, tickets and comments out. No MCP here, no HTTP.

`arguments` were checked against the schemas of `schemas`. All raise `TicketingError`.
"""

from typing import Any

from mcp_tools.ticketing.errors import OutcomeUnknown, TicketingError
from mcp_tools.ticketing.mapping import Json, Mapper
from mcp_tools.ticketing.once import Made, Once
from mcp_tools.ticketing.preset import ToolName
from mcp_tools.ticketing.steps import Names, run_steps
from mcp_tools.ticketing.tracker import Tracker


class Desk:
    """`call` takes the name of a tool; each of the others is one tool. `caller` is whose calls may count as one."""

    def __init__(self, tracker: Tracker, mapper: Mapper, once: Once) -> None:
        self._tracker = tracker
        self._mapper = mapper
        self._once = once

    async def call(self, tool: ToolName, arguments: Json, caller: str = "") -> Json:
        match tool:
            case "open_ticket":
                return await self.open(arguments, caller)
            case "read_ticket":
                return await self.read(arguments)
            case "update_ticket":
                return await self.update(arguments)
            case "add_comment":
                return await self.comment(arguments, caller)
            case "search_tickets":
                return await self.search(arguments)

    async def open(self, arguments: Json, caller: str) -> Json:
        """A ticket, and `created`: whether this call made it."""
        args, key = _without_key(arguments)
        made = await self._once.make("open_ticket", args, key, caller)
        try:
            ticket = await self._ticket_of(made)
        except TicketingError:
            # It exists, whatever became of reading it back.
            ticket = {"id": made.id, "url": self._mapper.url(made.id), "title": args["title"], "status": None}
        return {**ticket, "created": made.new}

    async def read(self, arguments: Json) -> Json:
        """A ticket with its newest comments, oldest first."""
        names = await self._run("read_ticket", arguments)
        path = self._tracker.preset.tools["read_ticket"].result.comments
        comments = [self._mapper.comment(item, path or "") for item in self._mapper.several(names, path)]
        comments.sort(key=lambda comment: comment.get("created_at", ""))
        return {**self._ticket(names, "read_ticket"), "comments": comments}

    async def update(self, arguments: Json) -> Json:
        """The ticket as it is afterwards."""
        try:
            names = await self._run("update_ticket", arguments)
        except OutcomeUnknown as error:
            raise OutcomeUnknown(
                f"Outcome unknown: the change may or may not have been made. {error} Read the ticket to see; calling "
                "update_ticket again with the same arguments is safe."
            ) from error
        return self._ticket(names, "update_ticket")

    async def comment(self, arguments: Json, caller: str) -> Json:
        args, key = _without_key(arguments)
        made = await self._once.make("add_comment", args, key, caller)
        url = self._mapper.comment_url(args["id"], made.id)
        return {"id": made.id, "ticket_id": args["id"], "url": url, "created": made.new}

    async def search(self, arguments: Json) -> Json:
        args = {"limit": 20, "page": 1} | arguments
        names = await self._run("search_tickets", args)
        result = self._tracker.preset.tools["search_tickets"].result
        tickets = [
            self._mapper.ticket(item, result.tickets or "") for item in self._mapper.several(names, result.tickets)
        ]
        total = self._mapper.number(names, result.total)
        seen = args["page"] * args["limit"]
        more = len(tickets) >= args["limit"] if total is None else seen < total
        return {"tickets": tickets, "total": total, "page": args["page"], "has_more": more}

    async def _run(self, tool: ToolName, args: Json) -> Names:
        names: dict[str, Any] = {**self._tracker.names, "args": args}
        return await run_steps(self._tracker, self._tracker.preset.tools[tool].steps, names)

    def _ticket(self, names: Names, tool: ToolName) -> Json:
        path = self._tracker.preset.tools[tool].result.ticket or ""
        return self._mapper.ticket(self._mapper.thing(names, path), path)

    async def _ticket_of(self, made: Made) -> Json:
        operation = self._tracker.preset.tools["open_ticket"]
        if made.names is None or operation.result.ticket is None:
            return self._ticket(await self._run("read_ticket", {"id": made.id}), "read_ticket")
        effect = next(number for number, step in enumerate(operation.steps) if step.effect)
        names = await run_steps(self._tracker, operation.steps[effect + 1 :], made.names)
        return self._ticket(names, "open_ticket")


def _without_key(arguments: Json) -> tuple[Json, str | None]:
    """The arguments proper, and the caller's own key."""
    args = dict(arguments)
    key = args.pop("idempotency_key", None)
    return args, key
