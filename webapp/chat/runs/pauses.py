"""Runs that have stopped to wait for answers: which one is meant, and what the answers mean to it.

A run that ended with the outcome ``interrupt`` says what it waits for: a tool to be run by the client that
asked, or an approval. Owns reading that out of a snapshot and matching answers to it. Must not know the
inbox, agents or how an answer came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.agents.base import Event, UIMessage
from webapp.chat import events
from webapp.chat.errors import Conflict, InvalidMessage
from webapp.chat.reducer.snapshot import Snapshot

_NOT_RUN = {"error": "The tool was not run."}
_CLIENT_TOOL_REASONS = frozenset({"client_tool_input", "tanstack:client_tool_execution"})

Answer = dict[str, Any]
"""AG-UI's resume item, ``{interruptId, status, payload?}``; with ``toolCallId`` instead of the id for what
came as a message with the role tool.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A run that waits, or waited: ``over`` once another run has begun on the same message."""

    run_id: str
    agent_id: str
    trigger: UIMessage
    interrupts: tuple[Mapping[str, Any], ...]
    over: bool

    @property
    def wants_approval(self) -> bool:
        """Whether it waits for more than its client's tools."""
        return not all(map(_is_client_tool, self.interrupts))

    def match(self, answers: Sequence[Answer]) -> tuple[Answer, ...]:
        """The answers in the order of the questions, each with both ids. Raises InvalidMessage unless each
        question has exactly one.
        """
        found = [
            next((each for each in answers if _is_about(each, about)), None) for about in self.interrupts
        ]
        # Messages of tools may also be of calls that were answered long ago.
        named = [each for each in answers if "interruptId" in each]
        if None in found or (named and len(named) != len(found)):
            raise InvalidMessage("Every question of the run has to be answered.", code="invalid-resume")
        return tuple(
            {
                "interruptId": about["id"],
                "status": answer["status"],
                "payload": answer.get("payload"),
                **({"toolCallId": about.get("toolCallId")} if _is_client_tool(about) else {}),
            }
            for answer, about in zip(found, self.interrupts, strict=True)
            if answer is not None
        )


def find_pause(snapshot: Snapshot, answers: Sequence[Answer], *, run_id: str | None) -> Pause:
    """The run that asked, ``run_id`` if it is given. Raises Conflict if there is none."""
    for run in reversed(snapshot.runs.values()):
        interrupts = run.get("interrupts") or ()
        meant = any(_is_about(answer, about) for answer in answers for about in interrupts)
        if not meant or run_id not in (None, run["runId"]):
            continue
        trigger = next((each for each in snapshot.messages if each["id"] == run.get("triggerId")), None)
        if trigger is not None and run["status"] == "awaiting-approval":
            return Pause(
                run_id=run["runId"],
                agent_id=run.get("agentId", ""),
                trigger=trigger,
                interrupts=tuple(interrupts),
                over="supersededBy" in run,
            )
    raise nothing_waits()


def nothing_waits() -> Conflict:
    return Conflict("No answer is waiting for that.", code="nothing-waits")


def results(answers: Sequence[Answer], *, run_id: str) -> list[Event]:
    """What the client's tools gave, as the events of the run that goes on with it."""
    return [
        events.tool_result(
            f"{run_id}~result-{number}",
            run_id=run_id,
            tool_call_id=answer["toolCallId"],
            result=_NOT_RUN if answer["status"] == "cancelled" else answer["payload"],
        )
        for number, answer in enumerate(answers, 1)
        if isinstance(answer.get("toolCallId"), str)
    ]


def _is_client_tool(interrupt: Mapping[str, Any]) -> bool:
    metadata = interrupt.get("metadata")
    kind = metadata.get("kind") if isinstance(metadata, dict) else None
    return interrupt.get("reason") in _CLIENT_TOOL_REASONS or kind == "client_tool"


def _is_about(answer: Answer, interrupt: Mapping[str, Any]) -> bool:
    if "interruptId" in answer:
        return bool(answer["interruptId"] == interrupt.get("id"))
    return _is_client_tool(interrupt) and bool(answer["toolCallId"] == interrupt.get("toolCallId"))
