"""Folds the events of a conversation into its messages: one pass, one state machine, no I/O.

Total: arbitrary JSON never raises, unknown events are ignored. Each event costs its own size, not the
conversation's. ``static/js/chat-reducer.js`` is the same machine and continues this one's snapshots.

Messages are found by their own id (``book``), what happens to their parts is in ``parts``.
Events that name no message go to the current one of their run (``lanes``). A run that ends settles
its own messages and no others (``runs`` keeps how it ended).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from webapp.agents.base import Event
from webapp.chat import events as names
from webapp.chat.reducer import parts
from webapp.chat.reducer.book import Book
from webapp.chat.reducer.history import read_history
from webapp.chat.reducer.lanes import Lane, Lanes
from webapp.chat.reducer.marks import Marks
from webapp.chat.reducer.notes import Notes
from webapp.chat.reducer.parts import Record, record, string, tanstack
from webapp.chat.reducer.runs import Runs
from webapp.chat.reducer.signals import Signals
from webapp.chat.reducer.snapshot import Snapshot

_NEVER_COMPLETED: Final = "Stream ended without structured-output.complete"


def materialize(events: Iterable[Any], *, final: bool = False) -> Snapshot:
    """The conversation that ``events`` tell. ``final``: no more will come, so settle what is open."""
    reducer = Reducer()
    for event in events:
        reducer.apply(event)
    if final:
        reducer.finalize()
    return reducer.snapshot()


class Reducer:
    """A conversation in progress: ``apply`` events, take a ``snapshot`` whenever one is needed.

    Starts empty or where a snapshot was taken. Snapshots share its messages; one that changes afterwards is
    copied first, once per snapshot.
    """

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        start = snapshot or Snapshot()
        self._book = Book(start.messages)
        self._runs = Runs(start.runs, start.active_runs)
        self._lanes = Lanes(start.state.get("lanes", {}))
        self._notes = Notes(start.notes, start.roster)
        self._structured = dict.fromkeys(start.state.get("structured", ()))
        self._made: int = start.state.get("made", 0)
        self._marks = Marks(start.state)
        self._signals = Signals(book=self._book, runs=self._runs, notes=self._notes, marks=self._marks)

    def snapshot(self) -> Snapshot:
        """The conversation now; later events do not change it."""
        for message_id in self._structured:
            parts.read_structured(self._book.write(message_id))
        return Snapshot(
            messages=self._book.share(),
            runs=self._runs.share(),
            active_runs=list(self._runs.active),
            state={
                "lanes": self._lanes.share(),
                "structured": list(self._structured),
                "made": self._made,
                **self._marks.share(),
            },
            roster=dict(self._notes.roster),
            notes=self._notes.share(),
        )

    def apply(self, event: Any) -> None:
        """Take in one event. Anything that is none is ignored."""
        kind = event.get("type") if isinstance(event, dict) else None
        handler = self._HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            handler(self, event)

    def finalize(self) -> None:
        """No more events will come: settle whatever is open. Runs that have not ended stay active."""
        for lane in self._lanes:
            self._settle(lane)

    # Where events go

    def _owner(self, event: Event) -> str:
        return self._lanes.owner(event, self._runs.active)

    def _target(self, run: str, wanted: str = "") -> str:
        """Where events of a run go: to the answer they want if it exists, the current one, else a new one."""
        lane = self._lanes.lane(run)
        if self._is_answer(wanted):
            target = wanted
        elif lane.current:
            target = lane.current
        else:
            target = lane.adopt = wanted if wanted and wanted not in self._book else self._new_id()
            self._book.create(target, "assistant").update(self._runs.signature(run))
            self._runs.add_message(run, target)
        self._lanes.enter(lane, target)
        return target

    def _is_answer(self, message_id: str) -> bool:
        return message_id in self._book and self._book.read(message_id)["role"] == "assistant"

    def _new_id(self) -> str:
        """An id for what has none: the same in every reader, and no client's, which have no ``~``."""
        while True:
            self._made += 1
            if f"auto~{self._made}" not in self._book:
                return f"auto~{self._made}"

    def _adopt(self, adopted: str, message_id: str) -> None:
        """A message we began unasked turns out to be this one."""
        self._book.rename(adopted, message_id)
        self._notes.stand_after(adopted, message_id)
        self._runs.rename_message(adopted, message_id)
        if adopted in self._structured:
            del self._structured[adopted]
            self._structured[message_id] = None
        self._lanes.rename(adopted, message_id)

    def _settle(self, lane: Lane, error: str = "") -> None:
        """Nothing more will be written to the lane's open messages."""
        for message_id in lane.open:
            if any(parts.awaits_arguments(part) for part in self._book.read(message_id)["parts"]):
                for part in filter(parts.awaits_arguments, self._book.write(message_id)["parts"]):
                    parts.end_arguments(part)
            if message_id in self._structured:
                del self._structured[message_id]
                message = self._book.write(message_id)
                parts.read_structured(message)
                parts.fail_structured(message, error or _NEVER_COMPLETED)
        # Some models end with a message of a single newline.
        if lane.open and not error and parts.is_blank(self._book.read(lane.open[-1])):
            self._signals.remove(lane.open[-1])
            self._runs.remove_message(lane.open[-1])
            lane.current = lane.adopt = ""
        lane.open = []

    # Runs

    def _run_started(self, event: Event) -> None:
        run = string(event, "runId")
        if run and run not in self._runs.active:
            self._runs.start(run, event)

    def _run_finished(self, event: Event) -> None:
        run = string(event, "runId")
        outcome = record(event.get("outcome"))
        if outcome.get("type") == "interrupt":
            self._interrupt(run, outcome.get("interrupts"))
        self._settle(self._lanes.peek(run))
        self._runs.finish(run, string(outcome, "type"))
        self._leave(run)

    def _interrupt(self, run: str, interrupts: Any) -> None:
        given = interrupts if isinstance(interrupts, list) else []
        waiting = [each for each in given if isinstance(each, dict)]
        self._runs.note(run, interrupts=waiting)
        for each in waiting:
            kind = string(record(each.get("metadata")), "kind")
            if kind in ("", "approval") and each.get("reason") != "client_tool_input":
                about = {"runId": run, "toolCallId": each.get("toolCallId")}
                self._with_call(about, parts.request_approval, string(each, "id"))

    def _run_error(self, event: Event) -> None:
        run = string(event, "runId")
        for each in [run] if run else list(self._runs.active) or [""]:
            self._fail(each, event)

    def _fail(self, run: str, event: Event) -> None:
        unknown = run not in self._runs.active
        if unknown and run in self._runs:
            return  # it has ended before, and the first end counts
        # A run nobody announced may have been writing all the same, without saying whose events they were.
        lane_of = "" if unknown and "" in self._lanes else run
        sentence = string(event, "message") or "An error occurred"
        shown_at = self._target(lane_of)
        self._settle(self._lanes.lane(lane_of), sentence)
        if run:
            self._runs.fail(run, sentence=sentence, code=string(event, "code"), message_id=shown_at)
        self._leave(run)

    def _leave(self, run: str) -> None:
        """The run has ended and settled; with the last one everything has."""
        self._lanes.drop(run)
        if not self._runs.active:
            self.finalize()
            self._lanes.clear()

    # Text

    def _text_start(self, event: Event) -> None:
        message_id, role = string(event, "messageId"), string(event, "role")
        if not message_id:
            return
        if role not in ("user", "system"):
            role = "assistant"
            self._answer_start(self._owner(event), message_id)
        elif message_id not in self._book:
            self._book.create(message_id, role)
        message = self._book.write(message_id)
        if message["role"] != role:
            return  # nobody signs what another has said
        if string(event, "name"):
            message["name"] = event["name"]
        parts.merge_metadata(message, event.get("metadata"))

    def _answer_start(self, run: str, message_id: str) -> None:
        lane = self._lanes.lane(run)
        adopted, lane.adopt = lane.adopt, ""
        if message_id not in self._book:
            if adopted:
                self._adopt(adopted, message_id)
            else:
                self._book.create(message_id, "assistant")
        if self._is_answer(message_id):
            self._lanes.enter(lane, message_id)
            self._runs.add_message(run, message_id)

    def _text_content(self, event: Event) -> None:
        target = string(event, "messageId")
        if target not in self._book or self._is_answer(target):
            target = self._target(self._owner(event), target)
        message, delta = self._book.write(target), string(event, "delta")
        parts.merge_metadata(message, event.get("metadata"))
        if delta and target in self._structured:
            parts.append_structured(message, delta)
        elif delta:
            parts.append_text(message, delta)

    def _text_end(self, event: Event) -> None:
        message_id = string(event, "messageId")
        if message_id in self._book:
            parts.merge_metadata(self._book.write(message_id), event.get("metadata"))

    # Reasoning

    def _step_started(self, event: Event) -> None:
        self._lanes.lane(self._owner(event)).step = string(event, "stepName")

    def _reasoning_content(self, event: Event) -> None:
        run = self._owner(event)
        message = self._book.write(self._target(run))
        step = self._lanes.lane(run).step or string(event, "messageId")
        parts.think(message, step, string(event, "delta"))

    def _reasoning_encrypted(self, event: Event) -> None:
        value, entity = string(event, "encryptedValue"), string(event, "entityId")
        if value and event.get("subtype") == "tool-call":
            self._with_call({**event, "toolCallId": entity}, _sign_call, value)
        elif value:
            run = self._owner(event)
            message = self._book.write(self._target(run))
            parts.think(message, self._lanes.lane(run).step or entity, "", value)

    # Tools

    def _caller(self, event: Event) -> str:
        """The message with the tool call an event is about, its run's if possible; empty if none has it."""
        call = string(event, "toolCallId")
        if not call:
            return ""
        for message_id in reversed(self._lanes.peek(string(event, "runId")).open):
            if parts.find(self._book.read(message_id), "tool-call", "id", call):
                return message_id
        return self._book.caller(call)

    def _with_call(self, event: Event, change: Callable[..., None], *arguments: Any) -> None:
        owner = self._caller(event)
        part = parts.find(self._book.write(owner), "tool-call", "id", event["toolCallId"]) if owner else None
        if part is not None:
            change(part, *arguments)

    def _tool_start(self, event: Event) -> None:
        call = string(event, "toolCallId")
        if not call:
            return
        target = self._target(self._owner(event), string(event, "parentMessageId"))
        if parts.find(self._book.read(target), "tool-call", "id", call) is None:
            message = self._book.write(target)
            parts.call_tool(message, call, string(event, "toolCallName"), event.get("metadata"))
            self._book.note_calls(message)

    def _tool_args(self, event: Event) -> None:
        self._with_call(event, parts.add_arguments, string(event, "delta"))

    def _tool_end(self, event: Event) -> None:
        given = event.get("input")
        self._with_call(event, parts.end_arguments, tanstack(event).get("input") if given is None else given)
        self._with_call(event, parts.time, "calledAt", event)

    def _tool_result(self, event: Event) -> None:
        owner = self._caller(event)
        if owner:
            failed = "output-error" in (event.get("state"), tanstack(event).get("state"))
            content = event.get("content")
            parts.give_result(
                self._book.write(owner),
                event["toolCallId"],
                "" if content is None else content,
                failed=failed,
            )
            self._with_call(event, parts.time, "endedAt", event)

    # Everything else

    def _history(self, event: Event) -> None:
        given = event.get("messages")
        if not isinstance(given, list):
            return
        self._book.replace(read_history(given, before=self._book.share(), new_id=self._new_id))
        self._lanes.clear()
        self._structured = {}

    def _custom(self, event: Event) -> None:
        name, value = event.get("name"), event.get("value")
        if not isinstance(value, dict) or not isinstance(name, str):
            return
        if name in self._CUSTOM:
            self._CUSTOM[name](self, event, value)
        else:
            self._signals.hear(name, value)

    def _structured_start(self, event: Event, value: Record) -> None:
        self._structured[self._target(self._owner(event), string(value, "messageId"))] = None

    def _structured_complete(self, event: Event, value: Record) -> None:
        target = self._target(self._owner(event), string(value, "messageId"))
        self._structured.pop(target, None)
        parts.complete_structured(self._book.write(target), value)

    def _approval_requested(self, event: Event, value: Record) -> None:
        about = {"runId": event.get("runId"), "toolCallId": value.get("toolCallId")}
        self._with_call(about, parts.request_approval, string(record(value.get("approval")), "id"))

    def _ui_resource(self, event: Event, value: Record) -> None:
        called_in = self._caller({"toolCallId": value.get("toolCallId")})
        target = called_in or self._lanes.peek(self._owner(event)).current
        if target:
            kept = ("resource", "toolCallId", "toolName", "serverId", "meta")
            part = {"type": "ui-resource"} | {key: value[key] for key in kept if key in value}
            self._book.write(target)["parts"].append(part)

    _HANDLERS: Final[dict[str, Callable[[Reducer, Event], None]]] = {
        names.RUN_STARTED: _run_started,
        names.RUN_FINISHED: _run_finished,
        names.RUN_ERROR: _run_error,
        names.TEXT_MESSAGE_START: _text_start,
        names.TEXT_MESSAGE_CONTENT: _text_content,
        names.TEXT_MESSAGE_END: _text_end,
        names.STEP_STARTED: _step_started,
        names.REASONING_MESSAGE_CONTENT: _reasoning_content,
        names.REASONING_ENCRYPTED_VALUE: _reasoning_encrypted,
        names.TOOL_CALL_START: _tool_start,
        names.TOOL_CALL_ARGS: _tool_args,
        names.TOOL_CALL_END: _tool_end,
        names.TOOL_CALL_RESULT: _tool_result,
        names.MESSAGES_SNAPSHOT: _history,
        names.CUSTOM: _custom,
    }
    _CUSTOM: Final[dict[str, Callable[[Reducer, Event, Record], None]]] = {
        "structured-output.start": _structured_start,
        "structured-output.complete": _structured_complete,
        "approval-requested": _approval_requested,
        "ui-resource": _ui_resource,
    }


def _sign_call(part: Record, signature: str) -> None:
    part["metadata"] = {**record(part.get("metadata")), "thoughtSignature": signature}
