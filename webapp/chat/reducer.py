"""Folds the events of a conversation into its messages: one pass, one state machine, no I/O.

Total: arbitrary JSON never raises, unknown events are ignored. Each event costs its own size, not the
conversation's. ``static/js/chat-reducer.js`` is the same machine and continues this one's snapshots.

Messages are built by their own id. Events that name no message (reasoning, steps, a tool call without a parent,
structured output) go to the *current* message of a run, and to find that each active run has a *lane*:

    open      messages begun by the run and not settled; settled, whether it has ended or failed, at its end
    current   where events that name no message go: the last one begun
    adopt     a message we had to begin unasked; the next TEXT_MESSAGE_START gives it its real id
    step      the step that reasoning belongs to

Runs never meet: an event says whose it is by ``runId`` (or ``metadata.runId``), else it belongs to the newest
active run. Without any run there is one lane more, named "". The lane of the run that ended last rests, in case
its producer was hasty, until somebody speaks or a run starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from webapp.agents.base import Event
from webapp.chat import events as names
from webapp.chat import reducer_parts as parts
from webapp.chat.reducer_history import read_history
from webapp.chat.reducer_parts import Record, record, string, tanstack
from webapp.chat.snapshot import REDUCER_VERSION, RunInfo, Snapshot, StaleSnapshot, UIMessage

__all__ = ["REDUCER_VERSION", "Reducer", "Snapshot", "StaleSnapshot", "materialize"]

_MEDIA: Final = ("image", "audio", "video", "document")
_NEVER_COMPLETED: Final = "Stream ended without structured-output.complete"
_ENDED: Final = {"interrupt": "awaiting-approval", "cancelled": "stopped"}


def materialize(events: Iterable[Any], *, final: bool = False) -> Snapshot:
    """The conversation that ``events`` tell. ``final``: no more will come, so settle what is open."""
    reducer = Reducer()
    for event in events:
        reducer.apply(event)
    if final:
        reducer.finalize()
    return reducer.snapshot()


@dataclass(slots=True)
class _Lane:
    open: list[str] = field(default_factory=list)
    current: str = ""
    adopt: str = ""
    step: str = ""


class Reducer:
    """A conversation in progress: ``apply`` events, take a ``snapshot`` whenever one is needed.

    Starts empty or where a snapshot was taken. Snapshots share its messages; one that changes afterwards is
    copied first, once per snapshot.
    """

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        start = snapshot or Snapshot()
        self._messages = list(start.messages)
        self._owned: set[str] = set()
        self._runs = _copy_runs(start.runs)
        self._active = dict.fromkeys(start.active_runs)
        self._lanes = {run: _Lane(**lane) for run, lane in start.state.get("lanes", {}).items()}
        self._structured = dict.fromkeys(start.state.get("structured", ()))
        self._made: int = start.state.get("made", 0)
        self._index()

    def snapshot(self) -> Snapshot:
        """The conversation now; later events do not change it."""
        for message_id in self._structured:
            parts.read_structured(self._own(message_id))
        self._owned.clear()
        return Snapshot(
            messages=self._messages.copy(),
            runs=_copy_runs(self._runs),
            active_runs=list(self._active),
            state={
                "lanes": {run: asdict(lane) for run, lane in self._lanes.items()},
                "structured": list(self._structured),
                "made": self._made,
            },
        )

    def apply(self, event: Any) -> None:
        """Take in one event. Anything that is none is ignored."""
        kind = event.get("type") if isinstance(event, dict) else None
        handler = self._HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            handler(self, event)

    def finalize(self) -> None:
        """No more events will come: settle whatever is open. Runs that have not ended stay active."""
        for lane in self._lanes.values():
            self._settle(lane)

    # Messages

    def _index(self) -> None:
        self._at = {message["id"]: index for index, message in enumerate(self._messages)}
        self._calls: dict[str, str] = {}
        for message in self._messages:
            self._index_calls(message)

    def _index_calls(self, message: UIMessage) -> None:
        """Remember who has which tool call; of several with one id the latest message counts."""
        for part in message["parts"]:
            call = string(part, "id") if part.get("type") == "tool-call" else ""
            if call and self._at[message["id"]] >= self._at.get(self._calls.get(call, ""), 0):
                self._calls[call] = message["id"]

    def _get(self, message_id: str) -> UIMessage:
        return self._messages[self._at[message_id]]

    def _own(self, message_id: str) -> UIMessage:
        """The message to write to: ours alone, not in any snapshot."""
        index = self._at[message_id]
        if message_id not in self._owned:
            message = self._messages[index]
            self._messages[index] = {**message, "parts": [dict(part) for part in message["parts"]]}
            self._owned.add(message_id)
        return self._messages[index]

    def _create(self, message_id: str, role: str) -> UIMessage:
        self._at[message_id] = len(self._messages)
        self._owned.add(message_id)
        self._messages.append({"id": message_id, "role": role, "parts": []})
        return self._messages[-1]

    def _new_id(self) -> str:
        """An id nobody else makes (``~`` is in no client's id), and the same one in every reader."""
        self._made += 1
        return f"auto~{self._made}"

    def _rename(self, old: str, new: str) -> None:
        message = self._own(old)
        message["id"] = new
        self._at[new] = self._at.pop(old)
        self._owned.add(new)
        self._index_calls(message)
        if old in self._structured:
            del self._structured[old]
            self._structured[new] = None
        for names_messages in [
            *(lane.open for lane in self._lanes.values()),
            *(run["messageIds"] for run in self._runs.values()),
        ]:
            names_messages[:] = [new if each == old else each for each in names_messages]
        for lane in self._lanes.values():
            lane.current = new if lane.current == old else lane.current

    def _remove(self, message_id: str) -> None:
        del self._messages[self._at[message_id]]
        self._index()
        for run in self._runs.values():
            run["messageIds"] = [each for each in run["messageIds"] if each != message_id]

    # Lanes

    def _lane_of(self, event: Event) -> str:
        """The run an event belongs to, by what it says or else by when it comes."""
        run = string(event, "runId") or string(record(event.get("metadata")), "runId")
        if run in self._active or run in self._lanes:
            return run
        return next(reversed(self._active or self._lanes), "")

    def _lane(self, run: str) -> _Lane:
        return self._lanes.setdefault(run, _Lane())

    def _enter(self, lane: _Lane, message_id: str) -> None:
        """The lane's current message from now on, unless some lane already has it open."""
        if not any(message_id in each.open for each in self._lanes.values()):
            lane.open.append(message_id)
            lane.current = message_id

    def _target(self, run: str, wanted: str = "") -> str:
        """The answer that events of this run go to: the one they want if it exists, the current one, a new one."""
        lane = self._lane(run)
        if wanted in self._at and self._get(wanted)["role"] == "assistant":
            target = wanted
        elif lane.current:
            target = lane.current
        else:
            target = wanted if wanted and wanted not in self._at else self._new_id()
            self._introduce(self._create(target, "assistant"), run)
            lane.adopt = target
        self._enter(lane, target)
        return target

    def _introduce(self, message: UIMessage, run: str) -> None:
        """A message nobody announced is its run's: sign it with what RUN_STARTED said."""
        info = self._runs.get(run)
        if info is None:
            return
        info["messageIds"].append(message["id"])
        if "agentName" in info:
            message["name"] = info["agentName"]
        if "agentId" in info:
            created = {"createdAt": info["startedAt"]} if "startedAt" in info else {}
            message["metadata"] = {"agentId": info["agentId"], "runId": run, **created}

    def _settle(self, lane: _Lane, error: str = "") -> None:
        """Nothing more will be written to the lane's open messages."""
        for message_id in lane.open:
            if any(parts.awaits_arguments(part) for part in self._get(message_id)["parts"]):
                for part in self._own(message_id)["parts"]:
                    if parts.awaits_arguments(part):
                        parts.end_arguments(part)
            if message_id in self._structured:
                message = self._own(message_id)
                parts.read_structured(message)
                parts.fail_structured(message, error or _NEVER_COMPLETED)
                del self._structured[message_id]
        # Some models end with a message of a single newline.
        if lane.open and not error and parts.is_blank(self._get(lane.open[-1])):
            self._remove(lane.open[-1])
            lane.current = lane.adopt = ""
        lane.open.clear()

    def _drop_resting(self) -> None:
        for run in [run for run, lane in self._lanes.items() if not lane.open and run not in self._active]:
            del self._lanes[run]

    # Runs

    def _run_started(self, event: Event) -> None:
        run = string(event, "runId")
        if not run or run in self._active:
            return
        info: RunInfo = {"runId": run, "status": "running", "messageIds": []}
        metadata = record(event.get("metadata"))
        info |= {key: metadata[key] for key in ("agentId", "agentName", "triggerId") if string(metadata, key)}
        for key, number in (("attempt", metadata.get("attempt")), ("startedAt", event.get("timestamp"))):
            if isinstance(number, int | float) and not isinstance(number, bool):
                info[key] = number
        self._supersede(info)
        self._runs.pop(run, None)
        self._runs[run] = info
        self._active[run] = None
        resting = self._lanes.get(run)
        self._drop_resting()
        self._lanes[run] = resting or _Lane()

    def _supersede(self, newer: RunInfo) -> None:
        for run in self._runs.values():
            same = all(run.get(key) == newer.get(key) for key in ("triggerId", "agentId"))
            if same and "triggerId" in newer and run["status"] != "running":
                run["supersededBy"] = newer["runId"]

    def _run_finished(self, event: Event) -> None:
        run = string(event, "runId")
        outcome = record(event.get("outcome"))
        kind = string(outcome, "type")
        if kind == "interrupt":
            self._interrupt(run, outcome.get("interrupts"))
        if run in self._lanes:
            self._settle(self._lanes[run])
        if run in self._active:
            info = self._runs[run]
            info["status"] = _ENDED.get(kind, "finished" if info["messageIds"] else "silent")
            if info["status"] == "finished":
                del self._runs[run]
        self._end(run)

    def _interrupt(self, run: str, interrupts: Any) -> None:
        kept = [each for each in interrupts if isinstance(each, dict)] if isinstance(interrupts, list) else []
        if run in self._active:
            self._runs[run]["interrupts"] = kept
        for each in kept:
            kind = string(record(each.get("metadata")), "kind")
            call = string(each, "toolCallId")
            if kind in ("", "approval") and each.get("reason") != "client_tool_input":
                self._with_call(
                    {"runId": run, "toolCallId": call}, parts.request_approval, string(each, "id")
                )

    def _run_error(self, event: Event) -> None:
        run = string(event, "runId")
        for each in [run] if run else list(self._active) or [""]:
            self._fail(each, event)

    def _fail(self, run: str, event: Event) -> None:
        if run and run not in self._active and (run in self._runs or run in self._lanes):
            return  # it has ended before, and the first end counts
        # A run nobody announced may have been writing without saying so.
        lane_of = "" if run not in self._lanes and run not in self._active and "" in self._lanes else run
        sentence = string(event, "message") or "An error occurred"
        shown_on = self._target(lane_of)
        self._settle(self._lane(lane_of), sentence)
        if run:
            info = self._runs.setdefault(run, {"runId": run, "messageIds": [shown_on]})
            info |= {"status": "failed", "error": sentence}
            if string(event, "code"):
                info |= {"code": event["code"]}
                info["status"] = "interrupted" if event["code"] == "interrupted" else "failed"
        self._end(run)

    def _end(self, run: str) -> None:
        self._active.pop(run, None)
        if self._active:
            self._lanes.pop(run, None)
            return
        self.finalize()
        if self._lanes:
            rests = run if run in self._lanes else next(reversed(self._lanes))
            self._lanes = {rests: self._lanes[rests]}

    # Text

    def _text_start(self, event: Event) -> None:
        message_id, role = string(event, "messageId"), string(event, "role")
        if not message_id:
            return
        if role in ("user", "system"):
            self._drop_resting()
            if message_id not in self._at:
                self._create(message_id, role)
        else:
            self._answer_start(self._lane_of(event), message_id)
        message = self._own(message_id)
        if string(event, "name"):
            message["name"] = event["name"]
        parts.merge_metadata(message, event.get("metadata"))

    def _answer_start(self, run: str, message_id: str) -> None:
        lane = self._lane(run)
        adopted, lane.adopt = lane.adopt, ""
        if adopted and message_id not in self._at:
            self._rename(adopted, message_id)
        elif message_id not in self._at:
            self._create(message_id, "assistant")
        if self._get(message_id)["role"] == "assistant":
            self._enter(lane, message_id)
            info = self._runs.get(run)
            if info is not None and message_id not in info["messageIds"]:
                info["messageIds"].append(message_id)

    def _text_content(self, event: Event) -> None:
        target = string(event, "messageId")
        if target not in self._at or self._get(target)["role"] == "assistant":
            target = self._target(self._lane_of(event), target)
        message, delta = self._own(target), string(event, "delta")
        parts.merge_metadata(message, event.get("metadata"))
        if delta and target in self._structured:
            parts.append_structured(message, delta)
        elif delta:
            parts.append_text(message, delta)

    def _text_end(self, event: Event) -> None:
        if event.get("metadata") and string(event, "messageId") in self._at:
            parts.merge_metadata(self._own(event["messageId"]), event["metadata"])

    # Reasoning

    def _step_started(self, event: Event) -> None:
        self._lane(self._lane_of(event)).step = string(event, "stepName")

    def _step_finished(self, event: Event) -> None:
        lane = self._lane(self._lane_of(event))
        step = lane.step or string(event, "stepName")
        lane.step = ""
        if lane.current and string(event, "signature"):
            message = self._own(lane.current)
            if parts.find(message, "thinking", "stepId", step):
                parts.think(message, step, "", event["signature"])

    def _reasoning_content(self, event: Event) -> None:
        run = self._lane_of(event)
        message = self._own(self._target(run))
        step = self._lane(run).step or string(event, "messageId")
        parts.think(message, step, string(event, "delta"))

    def _reasoning_encrypted(self, event: Event) -> None:
        value, entity = string(event, "encryptedValue"), string(event, "entityId")
        if value and event.get("subtype") == "tool-call":
            self._with_call({**event, "toolCallId": entity}, _sign_call, value)
        elif value:
            run = self._lane_of(event)
            message = self._own(self._target(run))
            parts.think(message, self._lane(run).step or entity, "", value)

    # Tools

    def _owner_of(self, event: Event) -> str:
        """The message with the tool call an event is about: its own run's if that has one; empty if none has."""
        call = string(event, "toolCallId")
        lane = self._lanes.get(string(event, "runId"))
        for message_id in reversed(lane.open if lane else []):
            if parts.find(self._get(message_id), "tool-call", "id", call):
                return message_id
        return self._calls.get(call, "")

    def _with_call(self, event: Event, change: Callable[..., None], *arguments: Any) -> None:
        owner = self._owner_of(event)
        part = parts.find(self._own(owner), "tool-call", "id", event["toolCallId"]) if owner else None
        if part is not None:
            change(part, *arguments)

    def _tool_start(self, event: Event) -> None:
        call = string(event, "toolCallId")
        if not call:
            return
        target = self._target(self._lane_of(event), string(event, "parentMessageId"))
        if parts.find(self._get(target), "tool-call", "id", call) is None:
            message = self._own(target)
            parts.call_tool(message, call, string(event, "toolCallName"), event.get("metadata"))
            self._index_calls(message)

    def _tool_args(self, event: Event) -> None:
        self._with_call(event, parts.add_arguments, string(event, "delta"))

    def _tool_end(self, event: Event) -> None:
        given = event if "input" in event else tanstack(event)
        arguments = (given["input"],) if "input" in given else ()
        self._with_call(event, parts.end_arguments, *arguments)

    def _tool_result(self, event: Event) -> None:
        owner = self._owner_of(event)
        if owner:
            failed = "output-error" in (event.get("state"), tanstack(event).get("state"))
            content = event.get("content")
            parts.give_result(
                self._own(owner), event["toolCallId"], "" if content is None else content, failed=failed
            )

    # Everything else

    def _history(self, event: Event) -> None:
        self._messages = read_history(event.get("messages"), before=self._messages, new_id=self._new_id)
        self._owned = {message["id"] for message in self._messages}
        self._lanes.clear()
        self._structured.clear()
        self._index()

    def _custom(self, event: Event) -> None:
        name, value = event.get("name"), event.get("value")
        if isinstance(value, dict) and isinstance(name, str) and name in self._CUSTOM:
            self._CUSTOM[name](self, event, value)

    def _stopped_by(self, _: Event, value: Record) -> None:
        if string(value, "runId") in self._active:
            by = {key: string(value, key) for key in ("participantId", "name")}
            self._runs[value["runId"]]["stoppedBy"] = by

    def _message_part(self, _: Event, value: Record) -> None:
        part = record(value.get("part"))
        if string(value, "messageId") in self._at and string(part, "type") in _MEDIA:
            self._own(value["messageId"])["parts"].append(dict(part))

    def _structured_start(self, event: Event, value: Record) -> None:
        self._structured[self._target(self._lane_of(event), string(value, "messageId"))] = None

    def _structured_complete(self, event: Event, value: Record) -> None:
        target = self._target(self._lane_of(event), string(value, "messageId"))
        self._structured.pop(target, None)
        parts.complete_structured(self._own(target), value)

    def _approval_requested(self, event: Event, value: Record) -> None:
        about = {"runId": event.get("runId"), "toolCallId": value.get("toolCallId")}
        self._with_call(about, parts.request_approval, string(record(value.get("approval")), "id"))

    def _ui_resource(self, event: Event, value: Record) -> None:
        lane = self._lanes.get(self._lane_of(event))
        target = self._owner_of({"toolCallId": value.get("toolCallId")}) or (lane.current if lane else "")
        if target:
            kept = ("resource", "toolCallId", "toolName", "serverId", "meta")
            part = {"type": "ui-resource"} | {key: value[key] for key in kept if key in value}
            self._own(target)["parts"].append(part)

    _HANDLERS: Final[dict[str, Callable[[Reducer, Event], None]]] = {
        names.RUN_STARTED: _run_started,
        names.RUN_FINISHED: _run_finished,
        names.RUN_ERROR: _run_error,
        names.TEXT_MESSAGE_START: _text_start,
        names.TEXT_MESSAGE_CONTENT: _text_content,
        names.TEXT_MESSAGE_END: _text_end,
        names.STEP_STARTED: _step_started,
        names.STEP_FINISHED: _step_finished,
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
        names.STOPPED_BY: _stopped_by,
        names.MESSAGE_PART: _message_part,
        "structured-output.start": _structured_start,
        "structured-output.complete": _structured_complete,
        "approval-requested": _approval_requested,
        "ui-resource": _ui_resource,
    }


def _sign_call(part: Record, signature: str) -> None:
    part["metadata"] = {**record(part.get("metadata")), "thoughtSignature": signature}


def _copy_runs(runs: dict[str, RunInfo]) -> dict[str, RunInfo]:
    return {run: {**info, "messageIds": list(info["messageIds"])} for run, info in runs.items()}
