"""AG-UI 1.0 events as plain dicts in camelCase: their names, their builders, their bytes.

Owns the spelling of every event the chat writes. It must not know streams, runs or storage. Times are
milliseconds since the epoch, as integers. ``threadId`` is the chat id.

A ``runId`` on an event that names no message (a step, a reasoning chunk, a tool call) says whose it is; the
reducer keeps interleaved runs apart by it. See ``attribute``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from webapp.agents.base import Event

RUN_STARTED: Final = "RUN_STARTED"
RUN_FINISHED: Final = "RUN_FINISHED"
RUN_ERROR: Final = "RUN_ERROR"
TEXT_MESSAGE_START: Final = "TEXT_MESSAGE_START"
TEXT_MESSAGE_CONTENT: Final = "TEXT_MESSAGE_CONTENT"
TEXT_MESSAGE_END: Final = "TEXT_MESSAGE_END"
TOOL_CALL_START: Final = "TOOL_CALL_START"
TOOL_CALL_ARGS: Final = "TOOL_CALL_ARGS"
TOOL_CALL_END: Final = "TOOL_CALL_END"
TOOL_CALL_RESULT: Final = "TOOL_CALL_RESULT"
REASONING_START: Final = "REASONING_START"
REASONING_MESSAGE_START: Final = "REASONING_MESSAGE_START"
REASONING_MESSAGE_CONTENT: Final = "REASONING_MESSAGE_CONTENT"
REASONING_MESSAGE_END: Final = "REASONING_MESSAGE_END"
REASONING_END: Final = "REASONING_END"
REASONING_ENCRYPTED_VALUE: Final = "REASONING_ENCRYPTED_VALUE"
STEP_STARTED: Final = "STEP_STARTED"
STEP_FINISHED: Final = "STEP_FINISHED"
MESSAGES_SNAPSHOT: Final = "MESSAGES_SNAPSHOT"
CUSTOM: Final = "CUSTOM"

STOPPED_BY: Final = "run.stopped-by"
STOP_REQUESTED: Final = "run.stop-requested"
CLAIMED: Final = "run.claimed"
MESSAGE_PART: Final = "message.part"
BRANCH_PINNED: Final = "branch.pinned"
CHAT_RENAMED: Final = "chat.renamed"
MESSAGE_EDITED: Final = "message.edited"
MESSAGE_DROPPED: Final = "message.dropped"
APPROVAL_DECIDED: Final = "approval.decided"
AGENT_JOINED: Final = "agent.joined"
AGENT_LEFT: Final = "agent.left"
WAITING_FOR_PERSON: Final = "chat.waiting-for-person"

TERMINAL: Final = frozenset({RUN_FINISHED, RUN_ERROR})
"""Exactly one of these ends every run."""

DELTAS: Final[Mapping[str, str]] = {
    TEXT_MESSAGE_CONTENT: "messageId",
    TOOL_CALL_ARGS: "toolCallId",
    REASONING_MESSAGE_CONTENT: "messageId",
}
"""Events that carry a piece of something (``delta``), with the field that says of what."""

MAX_DEPTH: Final = 64
"""Levels of objects and arrays in an event. Our own streams refuse deeper ones, others may not."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode(event: Mapping[str, Any]) -> bytes:
    """One event as compact UTF-8 JSON. Raises TypeError or ValueError on what JSON cannot hold."""
    return _encoder.encode(event)


def decode(data: bytes) -> Event:
    """The event in ``data``; an empty dict, which every reader ignores, for anything but a JSON object.

    An event that nests too deep to be written again, inside a snapshot, counts as none.
    """
    try:
        event = _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return event if isinstance(event, dict) and not _is_deep(data, event) else {}


def _is_deep(data: bytes, event: Event) -> bool:
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return False
    level: list[Any] = [event]
    for _ in range(MAX_DEPTH):
        inner = (value for each in level for value in (each.values() if isinstance(each, dict) else each))
        level = [value for value in inner if isinstance(value, dict | list)]
    return bool(level)


def sanitize(event: Event) -> Event:
    """The event as it is stored.

    ``content`` repeats the whole text so far in each TEXT_MESSAGE_CONTENT of some producers, which would make
    a stream quadratic; where it is all there is, it is the delta. ``rawEvent`` is the provider's own and not
    for other people's eyes; AG-UI has integer timestamps only.
    """
    is_text = event.get("type") == TEXT_MESSAGE_CONTENT
    unwanted = {"rawEvent", "content"} if is_text else {"rawEvent"}
    clean = {key: value for key, value in event.items() if key not in unwanted}
    if is_text and not isinstance(clean.get("delta"), str) and isinstance(event.get("content"), str):
        clean["delta"] = event["content"]
    if isinstance(clean.get("timestamp"), float):
        clean["timestamp"] = int(clean["timestamp"])
    return clean


def of_run(event: Event, run_id: str) -> Event:
    """The event as one of this run's.

    A message start says so in its metadata, every other event in ``runId``, except the deltas and ends of
    text, which come by the dozen and are found by their ``messageId``.
    """
    kind = event.get("type")
    if kind in {TEXT_MESSAGE_CONTENT, TEXT_MESSAGE_END}:
        return event
    if kind != TEXT_MESSAGE_START:
        return {**event, "runId": run_id}
    given = event.get("metadata")
    return {**event, "metadata": {**(given if isinstance(given, dict) else {}), "runId": run_id}}


def attribute(event: Event, *, run_id: str, agent_id: str, agent_name: str, now_ms: int) -> Event:
    """The event as a run's, with its author's identity: who speaks is the supervisor's word, never the
    agent's.
    """
    event = of_run(event, run_id)
    if event.get("type") != TEXT_MESSAGE_START:
        return event
    metadata = {**event["metadata"], "agentId": agent_id, "createdAt": now_ms}
    return {**event, "role": "assistant", "name": agent_name, "metadata": metadata}


def text_start(
    message_id: str, *, role: str, name: str | None = None, timestamp: int, metadata: Mapping[str, Any]
) -> Event:
    event: Event = {
        "type": TEXT_MESSAGE_START,
        "messageId": message_id,
        "role": role,
        "timestamp": timestamp,
        "metadata": dict(metadata),
    }
    return event if name is None else {**event, "name": name}


def text_content(message_id: str, delta: str) -> Event:
    return {"type": TEXT_MESSAGE_CONTENT, "messageId": message_id, "delta": delta}


def text_end(message_id: str) -> Event:
    return {"type": TEXT_MESSAGE_END, "messageId": message_id}


def custom(name: str, value: Any) -> Event:
    """One of our own signals; the name is dotted. Readers that do not know it ignore it."""
    return {"type": CUSTOM, "name": name, "value": value}


def run_started(
    chat_id: str,
    run_id: str,
    *,
    agent_id: str,
    agent_name: str,
    trigger_id: str,
    attempt: int,
    timestamp: int,
    parent_run_id: str | None = None,
    continues: str | None = None,
) -> Event:
    """``continues`` is the run that this one goes on with; the parent is whatever a client says it is."""
    event: Event = {
        "type": RUN_STARTED,
        "threadId": chat_id,
        "runId": run_id,
        "timestamp": timestamp,
        "metadata": {
            "agentId": agent_id,
            "agentName": agent_name,
            "triggerId": trigger_id,
            "attempt": attempt,
        },
    }
    if parent_run_id is not None:
        event["parentRunId"] = parent_run_id
    if continues is not None:
        event["metadata"]["continues"] = continues
    return event


def run_finished(
    chat_id: str,
    run_id: str,
    *,
    timestamp: int,
    outcome: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> Event:
    """``outcome``: none or ``{type: success}``, ``cancelled()``, ``interrupts(…)``. ``details``: the agent's
    ``usage`` and ``metadata``.
    """
    event: Event = {"type": RUN_FINISHED, "threadId": chat_id, "runId": run_id, "timestamp": timestamp}
    if outcome is not None:
        event["outcome"] = dict(outcome)
    return event | dict(details or {})


def run_error(chat_id: str, run_id: str, *, code: str, sentence: str, timestamp: int) -> Event:
    """A run that failed. ``sentence`` is shown to people: never upstream text."""
    return {
        "type": RUN_ERROR,
        "threadId": chat_id,
        "runId": run_id,
        "code": code,
        "message": sentence,
        "timestamp": timestamp,
    }


def tool_result(message_id: str, *, run_id: str, tool_call_id: str, result: object, timestamp: int) -> Event:
    """What a client's tool gave. A result that is ``{error: <sentence>}`` says that it failed."""
    event: Event = {
        "type": TOOL_CALL_RESULT,
        "messageId": message_id,
        "toolCallId": tool_call_id,
        "content": result if isinstance(result, str) else _encoder.encode(result).decode(),
        "role": "tool",
        "runId": run_id,
        "timestamp": timestamp,
    }
    if isinstance(result, dict) and result.keys() == {"error"}:
        event["metadata"] = {"tanstack": {"state": "output-error"}}
    return event


def cancelled() -> Event:
    """The outcome of a run somebody stopped."""
    return {"type": "cancelled"}


def interrupts(waiting_for: Sequence[Mapping[str, Any]]) -> Event:
    """The outcome of a run that needs answers from outside: each ``{id, reason, toolCallId?, message?}``."""
    return {"type": "interrupt", "interrupts": [dict(each) for each in waiting_for]}


def stopped_by(run_id: str, *, participant_id: str, name: str) -> Event:
    return custom(STOPPED_BY, {"runId": run_id, "participantId": participant_id, "name": name})


def branch_pinned(group: str, version: str, *, participant_id: str, name: str) -> Event:
    """Everybody looks at this version from now on, until they choose another."""
    value = {"group": group, "version": version, "participantId": participant_id, "name": name}
    return custom(BRANCH_PINNED, value)


def chat_renamed(title: str, *, participant_id: str | None = None, name: str | None = None) -> Event:
    """The chat is called ``title``: because a person said so, or nobody did and an agent found it."""
    by = {"participantId": participant_id, "name": name}
    return custom(CHAT_RENAMED, {"title": title, **{key: value for key, value in by.items() if value}})


def stop_requested(run_id: str, *, participant_id: str, name: str) -> Event:
    """Whichever process has the run is to stop it. No part of the conversation: no reader shows it."""
    return custom(STOP_REQUESTED, {"runId": run_id, "participantId": participant_id, "name": name})


def approval_decided(
    question: Mapping[str, Any],
    *,
    run_id: str,
    approved: bool,
    participant_id: str,
    name: str,
    decided_at: int,
    edited: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Event:
    """Somebody has answered ``question``, an interrupt of the run. ``edited``: the arguments they allow."""
    value = {
        "interruptId": question["id"],
        "runId": run_id,
        "toolCallId": question.get("toolCallId"),
        "approved": approved,
        "participantId": participant_id,
        "name": name,
        "decidedAt": decided_at,
        "arguments": edited,
        "reason": reason or None,
    }
    return custom(APPROVAL_DECIDED, {key: each for key, each in value.items() if each is not None})


def claimed(run_id: str, *, epoch: int) -> Event:
    """A recoverer took the run over: appended at (epoch, 0), it fences the writer before."""
    return custom(CLAIMED, {"runId": run_id, "epoch": epoch})


def edited(message_id: str, *, text: str, edit_id: str, participant_id: str, name: str) -> Event:
    """A message that waits says something else now. ``edit_id`` tells edits apart."""
    by = {"participantId": participant_id, "name": name}
    return custom(MESSAGE_EDITED, {"messageId": message_id, "text": text, "editId": edit_id, **by})


def dropped(message_id: str, *, run_ids: Sequence[str], participant_id: str, name: str) -> Event:
    """A message that waited was taken back: it was never said, and its runs never begin."""
    by = {"participantId": participant_id, "name": name}
    return custom(MESSAGE_DROPPED, {"messageId": message_id, "runIds": list(run_ids), **by})


def drops(event: Event, run_id: str) -> bool:
    """Whether the event says that the run will never begin."""
    if event.get("name") != MESSAGE_DROPPED:
        return False
    value = event.get("value")
    run_ids = value.get("runIds") if isinstance(value, dict) else None
    return isinstance(run_ids, list) and run_id in run_ids


def agent_moved(agent_id: str, name: str, *, joined: bool, participant_id: str, by: str) -> Event:
    """An agent has come into the chat or left it, because the person ``by`` wanted it."""
    value = {"agentId": agent_id, "name": name, "participantId": participant_id, "by": by}
    return custom(AGENT_JOINED if joined else AGENT_LEFT, value)


def waiting_for_person(message_id: str, *, agents: Sequence[str], turns: int) -> Event:
    """Agents have talked to each other ``turns`` times since that message, and do not go on by themselves."""
    return custom(WAITING_FOR_PERSON, {"messageId": message_id, "agents": list(agents), "turns": turns})


class OpenParts:
    """Which parts a run has opened and not closed, from the events it emitted so far.

    Before a run's terminal event, append ``closing()``: then no reader waits for an end that never comes.
    An end says whose it is (``runId``) if its start did.
    """

    _OPENS: Final = {
        TEXT_MESSAGE_START: ("messageId", TEXT_MESSAGE_END),
        TOOL_CALL_START: ("toolCallId", TOOL_CALL_END),
        REASONING_START: ("messageId", REASONING_END),
        REASONING_MESSAGE_START: ("messageId", REASONING_MESSAGE_END),
        STEP_STARTED: ("stepName", STEP_FINISHED),
    }
    _CLOSES: Final = {end: key for key, end in _OPENS.values()}

    def __init__(self, events: Iterable[Mapping[str, Any]] = ()) -> None:
        self._open: dict[tuple[str, str], Event] = {}
        for event in events:
            self.feed(event)

    def feed(self, event: Mapping[str, Any]) -> None:
        kind = event.get("type")
        if not isinstance(kind, str):
            return
        if kind in self._OPENS:
            key, end = self._OPENS[kind]
            if isinstance(event.get(key), str):
                owner = {"runId": event["runId"]} if "runId" in event else {}
                self._open[end, event[key]] = {"type": end, key: event[key], **owner}
        elif kind in self._CLOSES and isinstance(event.get(self._CLOSES[kind]), str):
            self._open.pop((kind, event[self._CLOSES[kind]]), None)

    def closing(self) -> list[Event]:
        """The events that close what is open, the last opened first."""
        return list(reversed(self._open.values()))
