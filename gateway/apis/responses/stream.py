"""A run's events as a response: its output item by item, and for who watches the frames of the stream.

A response that nobody watches, and one that is read back, go the same way without the frames. So a place in the
output, a call's result and a status are decided here and nowhere else.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace

import orjson

from gateway.apis._calls import free_text, function_call, gateway_call, mcp_call
from gateway.apis._items import Wire, one_to_wire
from gateway.apis._wire import DONE
from gateway.apis.responses.parts import (
    PARTS,
    Open,
    content_part,
    delta_before,
    opening,
    part_said,
    summary_part,
    summary_place,
)
from gateway.apis.responses.to_wire import to_ending, to_response
from gateway.events import (
    ArgumentsDelta,
    CallsStarted,
    Event,
    ItemDone,
    ItemStarted,
    ReasoningDelta,
    RefusalDelta,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunPaused,
    RunStarted,
    ScoredDelta,
    StepDone,
    SummaryDelta,
    TextDelta,
)
from gateway.items import (
    NO_SERVER,
    ApprovalRequest,
    Item,
    Message,
    Reasoning,
    Refusal,
    ToolCall,
    ToolList,
    ToolResult,
)
from gateway.ports import Turn
from gateway.recorder import to_end
from gateway.storage import TurnEnd

SEARCHING = ("in_progress", "searching")


class ResponseStream:
    """Renders one run, event by event: its items are numbered from 0, opened and closed, their ids the same throughout.

    `earlier` are calls of the gateway's that an earlier turn left open, `begun` the call_ids of those that the run has
    begun; a live run says both itself. Unless `watched`, no frames are made. `after`: the reader has the frames up to
    this number already.
    """

    def __init__(
        self,
        turn: Turn,
        *,
        earlier: Iterable[ToolCall] = (),
        begun: AbstractSet[str] = frozenset(),
        watched: bool = True,
        after: int = -1,
    ) -> None:
        self._response = to_response(turn)
        self._include = frozenset[str](turn.wire.get("include", ()))
        self._watched = watched
        self._after = after
        self._begun = begun
        self._number = 0
        self._output: list[Wire] = []
        self._open: dict[str, Open] = {}
        # The gateway's calls by call_id: of an earlier turn, not yet decided on, and running.
        self._earlier = {call.call_id: call for call in earlier}
        self._waiting: dict[str, ToolCall] = {}
        self._running: dict[str, ToolCall] = {}
        self._held: tuple[Item, Wire] | None = None

    def render(self, event: Event) -> bytes:
        """The frames of one event, `b""` for none."""
        match event:
            case ScoredDelta():
                return self._scored(event)
            case TextDelta() | RefusalDelta() | ReasoningDelta():
                return self._delta(event.item_id, event.text, PARTS[type(event)])
            case SummaryDelta(item_id=item_id, text=text):
                return self._summary(item_id, text)
            case ArgumentsDelta(item_id=item_id, text=text):
                return self._arguments(item_id, text)
            case RunStarted():
                return self._created()
            case ItemStarted(item=item):
                return self._release() + self._started(item)
            case CallsStarted(calls=calls):
                return self._release() + b"".join([self._begin_call(call) for call in calls])
            case ItemDone(item=ToolResult() as result):
                return self._result_done(result)
            case ItemDone(item=item):
                return self._release() + self._done(item)
            case StepDone(finish=finish):
                return self._release(cut_off=finish in ("length", "content_filter"))
            case RunPaused() | RunCompleted() | RunFailed() | RunCancelled():
                return self.end(to_end(event))

    def end(self, end: TurnEnd) -> bytes:
        """The frames of the ending."""
        frames = [self._release()]
        frames += [self._close(call, gateway_call(call, status="incomplete")) for call in self._running.values()]
        # What a run that failed had only begun to say is not in the response, as it is not in the store.
        left_out = {opened.index for opened in self._open.values()}
        output = [wire for index, wire in enumerate(self._output) if index not in left_out]
        self._response |= {"output": output, **to_ending(end)}
        # There is no `response.cancelled` in the protocol; a reader of a cancelled run gets the end of the stream.
        last = b"" if end.status == "cancelled" else self._lifecycle(self._response["status"])
        return b"".join((*frames, last, DONE))

    def response(self) -> Wire:
        """The object as far as it has got."""
        if self._response["status"] in ("queued", "in_progress"):
            self._release()
            self._begin_calls()
            self._response["output"] = self._output
        return self._response

    def _created(self) -> bytes:
        """A response in the background is said to be queued first."""
        begun = self._lifecycle("created")
        if self._response["status"] == "queued":
            begun += self._lifecycle("queued")
            self._response["status"] = "in_progress"
        return begun + self._lifecycle("in_progress")

    def _started(self, item: Item) -> bytes:
        if isinstance(item, ToolList):
            return self._list_begun(item)
        return b"" if self._is_ours(item) else self._add(item)

    def _is_ours(self, item: Item) -> bool:
        """A call the gateway answers is shown once it is decided that it runs, not while the model writes it."""
        return isinstance(item, ToolCall) and bool(item.server)

    def _event(self, kind: str, fields: Wire) -> bytes:
        if not self._watched:
            return b""
        number, self._number = self._number, self._number + 1
        if number <= self._after:
            return b""
        body = {"type": f"response.{kind}", **fields, "sequence_number": number}
        return b"event: response.%b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(body))

    def _lifecycle(self, kind: str) -> bytes:
        return self._event(kind, {"response": self._response})

    def _add(self, item: Item, wire: Wire | None = None) -> bytes:
        opened = self._open[item.id] = Open(index=len(self._output))
        shown = wire or opening(item)
        self._output.append(shown)
        return self._event("output_item.added", {"output_index": opened.index, "item": shown})

    def _close(self, item: Item, wire: Wire) -> bytes:
        opened = self._open.pop(item.id)
        self._output[opened.index] = wire
        return self._event("output_item.done", {"output_index": opened.index, "item": wire})

    def _hold(self, item: Item, wire: Wire) -> bytes:
        """Close the item with the next event: the end of the step says whether a limit cut it off."""
        self._held = item, wire
        return b""

    def _release(self, *, cut_off: bool = False) -> bytes:
        if self._held is None:
            return b""
        (item, wire), self._held = self._held, None
        if cut_off:
            wire["status"] = "incomplete"
        return self._close(item, wire)

    def _delta(self, item_id: str, text: str, part: str) -> bytes:
        opened = self._open[item_id]
        begin = self._turn_to(item_id, opened, part)
        return begin + self._piece(opened.before, text)

    def _piece(self, before: bytes, text: str) -> bytes:
        """A delta whose frame is encoded up to its text."""
        number, self._number = self._number, self._number + 1
        if number <= self._after:
            return b""
        return b'%b%b,"sequence_number":%d}\n\n' % (before, orjson.dumps(text), number)

    def _summary(self, item_id: str, text: str) -> bytes:
        """A summary has one part here. It is closed when the thought is done: its text may come in between."""
        opened = self._open[item_id]
        begin = b""
        if not opened.summary:
            place = summary_place(item_id, opened)
            opened.summary = delta_before({"type": "response.reasoning_summary_text.delta", **place})
            begin = self._event("reasoning_summary_part.added", {**place, "part": summary_part("")})
        return begin + self._piece(opened.summary, text)

    def _reasoning_done(self, item: Reasoning) -> bytes:
        """Close its parts. A summary that never streamed is told in one piece."""
        begin = b"" if item.id in self._open else self._add(item)
        opened = self._open[item.id]
        if item.summary and self._watched and not opened.summary:
            begin += self._summary(item.id, item.summary)
        if opened.summary:
            place = summary_place(item.id, opened)
            begin += self._event("reasoning_summary_text.done", {**place, "text": item.summary})
            begin += self._event("reasoning_summary_part.done", {**place, "part": summary_part(item.summary)})
        begin += self._close_part(item.id, opened, content_part("reasoning_text", item.text))
        return begin + self._hold(item, one_to_wire(item))

    def _scored(self, delta: ScoredDelta) -> bytes:
        """Text with the probabilities of its tokens."""
        opened = self._open[delta.item_id]
        begin = self._turn_to(delta.item_id, opened, "output_text")
        place = {"item_id": delta.item_id, "output_index": opened.index, "content_index": opened.parts - 1}
        scores = list(delta.logprobs)
        return begin + self._event("output_text.delta", {**place, "logprobs": scores, "delta": delta.text})

    def _turn_to(self, item_id: str, opened: Open, part: str) -> bytes:
        """Make a part of this kind the one that is open."""
        if opened.part == part:
            return b""
        return self._close_part(item_id, opened, content_part(opened.part, "")) + self._open_part(item_id, opened, part)

    def _open_part(self, item_id: str, opened: Open, part: str) -> bytes:
        """Start a content part; what is the same in all of its deltas is encoded here, once."""
        opened.part = part
        place = {"item_id": item_id, "output_index": opened.index, "content_index": opened.parts}
        opened.parts += 1
        fixed: Wire = {"type": f"response.{part}.delta", **place}
        if part == "output_text":
            fixed["logprobs"] = []
        opened.before = delta_before(fixed)
        return self._event("content_part.added", {**place, "part": content_part(part, "")})

    def _close_part(self, item_id: str, opened: Open, whole: Wire) -> bytes:
        """End the part that is open; it is `whole` now."""
        if not (part := opened.part):
            return b""
        opened.part = ""
        place = {"item_id": item_id, "output_index": opened.index, "content_index": opened.parts - 1}
        said = {key: whole[key] for key in ("text", "refusal", "logprobs") if key in whole}
        added = [
            self._event("output_text.annotation.added", {**place, "annotation_index": number, "annotation": note})
            for number, note in enumerate(whole.get("annotations", ()))
        ]
        done = self._event(f"{part}.done", {**place, **said})
        return b"".join((*added, done, self._event("content_part.done", {**place, "part": whole})))

    def _arguments(self, item_id: str, text: str) -> bytes:
        opened = self._open.get(item_id)
        # The input of a custom tool is only known when the JSON around it is whole.
        if opened is None or self._output[opened.index]["type"] == "custom_tool_call":
            return b""
        return self._event(
            "function_call_arguments.delta", {"item_id": item_id, "output_index": opened.index, "delta": text}
        )

    def _begin_call(self, call: ToolCall) -> bytes:
        """A call that is decided on, with all of its arguments at once: it was not shown while they were written."""
        self._waiting.pop(call.call_id, None)
        self._earlier.pop(call.call_id, None)
        self._running[call.call_id] = call
        if call.type == "file_search":
            added = self._add(call, gateway_call(call))
            place = {"item_id": call.id, "output_index": self._open[call.id].index}
            return b"".join((added, *(self._event(f"file_search_call.{kind}", place) for kind in SEARCHING)))
        added = self._add(call, {**mcp_call(call), "arguments": ""})
        place = {"item_id": call.id, "output_index": self._open[call.id].index}
        self._output[-1] = mcp_call(call)
        return b"".join(
            (
                added,
                self._event("mcp_call.in_progress", place),
                self._event("mcp_call_arguments.delta", {**place, "delta": call.arguments}),
                self._event("mcp_call_arguments.done", {**place, "arguments": call.arguments}),
            )
        )

    def _begin_calls(self) -> bytes:
        """What `CallsStarted` says of a live run, of one that is read back."""
        known = {**self._earlier, **self._waiting}
        return b"".join([self._begin_call(known[call_id]) for call_id in known if call_id in self._begun])

    def _done(self, item: Item) -> bytes:
        match item:
            case ToolCall() if self._is_ours(item):
                self._waiting[item.call_id] = item
                return b""
            case ToolCall():
                return self._function_call_done(item)
            case ApprovalRequest():
                self._waiting.pop(item.call_id, None)
                return self._add(item) + self._close(item, one_to_wire(item))
            case ToolList(id=id):
                begin = b"" if id in self._open else self._list_begun(item)
                place = {"item_id": id, "output_index": self._open[id].index}
                ended = self._event(f"mcp_list_tools.{'failed' if item.error else 'completed'}", place)
                return begin + ended + self._close(item, one_to_wire(item))
            case Message():
                begin = b"" if item.id in self._open else self._add(item)
                return begin + self._message_done(item) + self._hold(item, one_to_wire(item))
            case Reasoning():
                return self._reasoning_done(item)
            case _:
                return self._add(item) + self._close(item, one_to_wire(item))

    def _list_begun(self, item: ToolList) -> bytes:
        """A server is asked what it offers, which is not shown before it is known."""
        added = self._add(item, one_to_wire(replace(item, tools=(), error="")))
        place = {"item_id": item.id, "output_index": self._open[item.id].index}
        return added + self._event("mcp_list_tools.in_progress", place)

    def _message_done(self, item: Message) -> bytes:
        """Close the open part with its text; parts that never streamed are opened and closed here."""
        if not self._watched:
            return b""
        opened = self._open[item.id]
        frames = [self._close_part(item.id, opened, part_said(item, opened.parts - 1))]
        for index, part in enumerate(item.content[opened.parts :], opened.parts):
            kind = "refusal" if isinstance(part, Refusal) else "output_text"
            frames.append(self._open_part(item.id, opened, kind))
            frames.append(self._close_part(item.id, opened, part_said(item, index)))
        return b"".join(frames)

    def _function_call_done(self, call: ToolCall) -> bytes:
        begin = b"" if call.id in self._open else self._add(call)
        place = {"item_id": call.id, "output_index": self._open[call.id].index}
        if call.type == "custom":
            given = free_text(call)
            said = self._event("custom_tool_call_input.delta", {**place, "delta": given}) + self._event(
                "custom_tool_call_input.done", {**place, "input": given}
            )
            return begin + said + self._hold(call, function_call(call, "completed"))
        # `name` is required by openai 2.x and gone in 3.x, which ignores it.
        done = self._event("function_call_arguments.done", {**place, "name": call.name, "arguments": call.arguments})
        return begin + done + self._hold(call, function_call(call, "completed"))

    def _result_done(self, result: ToolResult) -> bytes:
        """The end of a call of the gateway's. An output made up for a function of the client's is not shown: the call
        was cut off, or the run broke off at it."""
        frames = self._release()
        call = self._waiting.get(result.call_id)
        # A call that names no tool is refused before the others begin.
        if result.call_id in self._begun or (call is not None and call.server not in ("", NO_SERVER)):
            frames += self._begin_calls()
        if call is not None and result.call_id not in self._running:
            frames += self._begin_call(call)
        call = self._running.pop(result.call_id, None)
        if call is None:
            # Of an earlier turn and never begun: the response that left the call open has shown it.
            self._earlier.pop(result.call_id, None)
            return frames
        place = {"item_id": call.id, "output_index": self._open[call.id].index}
        return frames + self._call_ended(call, result, place) + self._close(call, self._shown(call, result))

    def _call_ended(self, call: ToolCall, result: ToolResult, place: Wire) -> bytes:
        if call.type != "file_search":
            return self._event("mcp_call.failed" if result.is_error else "mcp_call.completed", place)
        # There is no event for a search that failed; the item says so.
        return b"" if result.is_error else self._event("file_search_call.completed", place)

    def _shown(self, call: ToolCall, result: ToolResult) -> Wire:
        return gateway_call(call, result, results="file_search_call.results" in self._include)
