"""Runs that have stopped to wait for answers: which one is meant, and what the answers mean to it.

A run that ended with the outcome ``interrupt`` says what it waits for: a tool to be run by the client that
asked, or an approval. Owns reading that out of a snapshot and matching answers to it. Must not know the
inbox, agents or how an answer came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.agents.base import Event, UIMessage
from webapp.chat import events
from webapp.chat.errors import Conflict, InvalidMessage
from webapp.chat.reducer.parts import whole_numbers
from webapp.chat.reducer.snapshot import RunInfo, Snapshot

_NOT_RUN = {"error": "The tool was not run."}
_CLIENT_TOOL_REASONS = ("client_tool_input", "tanstack:client_tool_execution")  # any JSON may be looked up

Answer = dict[str, Any]
"""AG-UI's resume item, ``{interruptId, status, payload?}``; with ``toolCallId`` instead of the id for what
came as a message with the role tool.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One thing a run waits for. ``key`` names it in its chat: the ids of interrupts are an agent's, and
    another run may use the same. ``arguments`` are those of the tool call it is about, as the log has them.
    """

    key: str
    interrupt: Mapping[str, Any]
    arguments: str | None

    @property
    def id(self) -> str:
        return str(self.interrupt["id"])

    @property
    def is_client_tool(self) -> bool:
        return is_client_tool(self.interrupt)

    def is_meant_by(self, answer: Answer) -> bool:
        if "interruptId" in answer:
            return bool(answer["interruptId"] == self.id)
        return self.is_client_tool and bool(answer["toolCallId"] == self.interrupt.get("toolCallId"))

    def read(self, answer: Answer) -> Answer:
        """The answer as it is stored and as agents see it. Raises InvalidMessage, and Conflict if it is about
        other arguments than the log has.
        """
        read = {"interruptId": self.id, "status": answer["status"], "payload": answer.get("payload")}
        if self.is_client_tool:
            return read | {"toolCallId": self.interrupt.get("toolCallId")}
        decision = Decision.of(read)
        if decision is None and self.interrupt.get("reason") == "tool_call":
            raise InvalidMessage(
                "An approval is answered with {approved: true} or {approved: false}.",
                code="invalid-resume",
            )
        if self.arguments is None:
            return read
        if decision and decision.seen is not None and arguments_hash(decision.seen) != self.arguments_hash:
            raise Conflict(
                "The arguments are others by now. Please look at them again.", code="arguments-changed"
            )
        return read | {"argumentsHash": self.arguments_hash}

    @property
    def arguments_hash(self) -> str:
        return arguments_hash(self.arguments or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the answer to a question about a tool call says. ``seen`` are the arguments looked at."""

    approved: bool
    seen: object = None
    edited: dict[str, Any] | None = None
    reason: str = ""

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Decision | None:
        """None if the answer decides nothing. Raises InvalidMessage if it cannot be read."""
        payload = answer.get("payload")
        if answer["status"] == "cancelled":
            return cls(approved=False)
        if not isinstance(payload, dict) or not isinstance(payload.get("approved"), bool):
            return None
        edited, reason = payload.get("editedArgs"), payload.get("reason")
        if not isinstance(edited, dict | None) or not isinstance(reason, str | None):
            raise InvalidMessage(
                "Edited arguments are a JSON object, a reason is text.", code="invalid-resume"
            )
        approved = payload["approved"]
        return cls(
            approved=approved,
            seen=payload.get("arguments"),
            edited=edited if approved else None,
            reason=reason or "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A run that waits, or waited: ``over`` once another run has begun on the same message."""

    run_id: str
    agent_id: str
    trigger: UIMessage
    questions: tuple[Question, ...]
    over: bool

    def match(self, answers: Sequence[Answer]) -> list[tuple[Question, Answer]]:
        """The questions that are answered, in their order. Raises InvalidMessage if an answer is to none of
        them, or one of several to the same.
        """
        found = [(each, answer) for each in self.questions for answer in answers if each.is_meant_by(answer)]
        # Messages of tools may also be of calls that were answered long ago.
        named = [each for each in answers if "interruptId" in each]
        if len({question.key for question, _ in found}) != len(found) or (named and len(named) != len(found)):
            raise InvalidMessage(
                "Every answer has a question of the run, and only one.", code="invalid-resume"
            )
        return found


def is_client_tool(interrupt: Mapping[str, Any]) -> bool:
    """Whether it asks for a tool of the client, so that nobody has to decide anything."""
    metadata = interrupt.get("metadata")
    kind = metadata.get("kind") if isinstance(metadata, dict) else None
    return interrupt.get("reason") in _CLIENT_TOOL_REASONS or kind == "client_tool"


def find_pause(snapshot: Snapshot, answers: Sequence[Answer], *, run_id: str | None) -> Pause:
    """The run that asked, ``run_id`` if it is given. Raises Conflict if there is none."""
    for run in reversed(snapshot.runs.values()):
        if run_id not in (None, run["runId"]) or run["status"] != "awaiting-approval":
            continue
        questions = tuple(_questions(snapshot, run))
        trigger = next((each for each in snapshot.messages if each["id"] == run.get("triggerId")), None)
        meant = any(question.is_meant_by(answer) for answer in answers for question in questions)
        if meant and trigger is not None:
            return Pause(
                run_id=run["runId"],
                agent_id=run.get("agentId", ""),
                trigger=trigger,
                questions=questions,
                over="supersededBy" in run,
            )
    raise nothing_waits()


def nothing_waits() -> Conflict:
    return Conflict("No answer is waiting for that.", code="nothing-waits")


def results(answers: Sequence[Answer], *, run_id: str, timestamp: int) -> list[Event]:
    """What the client's tools gave, as the events of the run that goes on with it."""
    return [
        events.tool_result(
            f"{run_id}~result-{number}",
            run_id=run_id,
            tool_call_id=answer["toolCallId"],
            result=_NOT_RUN if answer["status"] == "cancelled" else answer["payload"],
            timestamp=timestamp,
        )
        for number, answer in enumerate(answers, 1)
        if isinstance(answer.get("toolCallId"), str)
    ]


def is_void(snapshot: Snapshot, answers: Sequence[Answer], *, run_id: str) -> bool:
    """Whether one of the approvals given to ``run_id`` is for other arguments than the log has now."""
    asked = {each.id: each for each in _questions(snapshot, snapshot.runs.get(run_id, {}))}
    for answer in answers:
        given = answer.get("argumentsHash")
        decision = None if given is None else Decision.of(answer)
        about = asked.get(answer["interruptId"])
        if decision and decision.approved and (about is None or about.arguments_hash != given):
            return True
    return False


def arguments_hash(arguments: object) -> str:
    """Identifies arguments, given as JSON or as the text of it: the same ones, however they are written."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return _digest(str(arguments))
    return _digest(json.dumps(whole_numbers(arguments), sort_keys=True))


def _questions(snapshot: Snapshot, run: RunInfo) -> list[Question]:
    return [
        Question(
            key=_key(run["runId"], interrupt["id"]),
            interrupt=interrupt,
            arguments=_arguments(snapshot, run, interrupt.get("toolCallId")),
        )
        for interrupt in run.get("interrupts") or ()
        if isinstance(interrupt.get("id"), str)
    ]


def _key(run_id: str, interrupt_id: str) -> str:
    """Short and plain, whatever an agent calls its questions: it goes into a header and a column."""
    return f"{run_id}~{_digest(interrupt_id)[:16]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _arguments(snapshot: Snapshot, run: RunInfo, call_id: object) -> str | None:
    own = set(run["messageIds"])
    parts = (part for each in snapshot.messages if each["id"] in own for part in each["parts"])
    for part in parts:
        if part.get("type") == "tool-call" and part.get("id") == call_id:
            return str(part.get("arguments", ""))
    return None
