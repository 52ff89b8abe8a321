"""Tool calls as the transcript shows them: a line, a fold of several, or a card that asks for a decision.

Owns the words for what became of a call, and who may decide. ``rows.js`` has the same states and folds. Input
comes from a stream that others may write to. Must not know templates, HTTP or storage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, TypeAlias, TypeVar

from webapp.chat.runs.pauses import is_client_tool
from webapp.web.values import mapping, moment, number, pretty, sequence, summary, text

ToolState = Literal["running", "done", "failed", "waiting", "denied", "unknown", "void", "unanswered"]
Record: TypeAlias = Mapping[str, Any]
P = TypeVar("P")

_BROKEN_OFF = frozenset({"interrupted", "failed", "stopped"})
_NOTES: Mapping[str, str] = {
    "unknown": "It is not known whether this ran. It is not run again by itself.",
    "void": "What was approved had changed, so this was not run.",
    "unanswered": "There is no result.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Who decided, and what. ``edited`` are the arguments they allowed instead."""

    title: str
    approved: bool
    at_iso: str | None
    at_label: str
    edited: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a card asks. ``form``: the reader may decide now, and this is what they send along."""

    anchor: str
    title: str
    message: str
    verdict: Verdict | None
    open: bool
    form: Mapping[str, str] | None
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPart:
    id: str
    name: str
    summary: str = ""
    arguments: str = ""
    state: ToolState
    note: str = ""
    taken: str = ""
    result: str | None = None
    question: Question | None = None
    kind: Literal["tool"] = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsPart:
    """Several calls in a row."""

    label: str
    tools: tuple[ToolPart, ...]
    kind: Literal["tools"] = "tools"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReader:
    """Reads the tool calls of one chat for one reader. ``deciders`` are the names of those who may decide,
    ``decide_url`` is where a form goes.
    """

    runs: Mapping[str, Record] = field(default_factory=dict)
    active: frozenset[str] = frozenset()
    can_approve: bool = False
    deciders: tuple[str, ...] = ()
    decide_url: str = ""

    def tool(self, part: Record, result: Record | None, *, run: Record) -> ToolPart:
        """A call, with its result if it has one."""
        call_id = text(part.get("id"))
        interrupt = next((one for one in _interrupts(run) if one.get("toolCallId") == call_id), None)
        verdict = _verdict(run, interrupt)
        state = self._state(part, result, asked=interrupt is not None, verdict=verdict, run=run)
        shown = result.get("content") if result else part.get("output")
        asks = mapping(part.get("approval")) if interrupt is None else not is_client_tool(interrupt)
        return ToolPart(
            id=call_id,
            name=text(part.get("name")) or "tool",
            summary=summary(part.get("arguments")),
            arguments=pretty(part.get("arguments")),
            state=state,
            note=_NOTES.get(state, ""),
            taken=_taken(part, run, interrupt),
            result=None if shown is None else pretty(shown),
            question=self._question(part, interrupt or {}, verdict, state, run=run) if asks else None,
        )

    def questions(self, run: Record) -> Iterator[ToolPart]:
        """What a run asks that is about no tool call."""
        for interrupt in _interrupts(run):
            if not text(interrupt.get("toolCallId")) and not is_client_tool(interrupt):
                verdict = _verdict(run, interrupt)
                gone = "supersededBy" in run
                state: ToolState = "unanswered" if gone else "waiting"
                if verdict is not None:
                    state = "done" if verdict.approved else "denied"
                yield ToolPart(
                    id=text(interrupt.get("id")),
                    name=text(interrupt.get("reason")) or "question",
                    state=state,
                    question=self._question({}, interrupt, verdict, state, run=run),
                )

    def pending(self, path: Collection[str]) -> list[str]:
        """The anchors of the cards that wait for a decision, in the order of their runs. ``path``: the ids of
        the messages that the reader has before them; other branches do not count.
        """
        return [
            _anchor(run, interrupt)
            for run in self.runs.values()
            if run.get("status") == "awaiting-approval" and "supersededBy" not in run
            if all(message_id in path for message_id in run.get("messageIds", ()))
            for interrupt in _interrupts(run)
            if not is_client_tool(interrupt) and _verdict(run, interrupt) is None
        ]

    def _state(
        self, part: Record, result: Record | None, *, asked: bool, verdict: Verdict | None, run: Record
    ) -> ToolState:
        if verdict is not None and not verdict.approved:
            return "denied"
        if "error" in (part.get("state"), (result or {}).get("state")):
            return "failed"
        if result is not None or part.get("state") == "complete":
            return "done"
        if "continuedBy" in run and asked:
            return self._fate(text(run["continuedBy"]))
        if asked or part.get("state") == "approval-requested":
            return "unanswered" if "supersededBy" in run else "waiting"
        return self._fate(text(run.get("runId")))

    def _fate(self, run_id: str) -> ToolState:
        """What is known of a call without a result from the run that was to make it."""
        run = self.runs.get(run_id, {})
        if run_id in self.active:
            return "running"
        if run.get("code") == "approval-void":
            return "void"
        return "unknown" if text(run.get("status")) in _BROKEN_OFF else "unanswered"

    def _question(
        self, part: Record, interrupt: Record, verdict: Verdict | None, state: ToolState, *, run: Record
    ) -> Question:
        is_open = state == "waiting" and verdict is None
        form = {
            "runId": text(run.get("runId")),
            "interruptId": text(interrupt.get("id")),
            "arguments": text(part.get("arguments")),
            "action": self.decide_url,
        }
        title = verdict.title if verdict else "Waiting for approval" if is_open else "No longer asked"
        return Question(
            anchor=_anchor(run, interrupt),
            title=title,
            message=text(interrupt.get("message")),
            verdict=verdict,
            open=is_open,
            form=form if is_open and self.can_approve and form["interruptId"] else None,
            who=_who(self.deciders),
        )


def fold(parts: Iterable[P]) -> list[P | ToolsPart]:
    """Calls in a row become one part, except those that ask for a decision."""
    folded: list[P | ToolsPart] = []
    for in_line, found in groupby(parts, lambda part: isinstance(part, ToolPart) and part.question is None):
        row = list(found)
        tools = tuple(part for part in row if isinstance(part, ToolPart))
        folded += [ToolsPart(label=_label(tools), tools=tools)] if in_line and len(row) > 1 else row
    return folded


def _label(tools: Sequence[ToolPart]) -> str:
    """``Used 4 tools · 1 failed``."""
    states = [tool.state for tool in tools]
    told = [f"{states.count(each)} {each}" for each in ("failed", "unknown") if each in states]
    return " · ".join([f"{'Using' if 'running' in states else 'Used'} {len(tools)} tools", *told])


def _interrupts(run: Record) -> list[Record]:
    return [mapping(one) for one in sequence(run.get("interrupts"))]


def _anchor(run: Record, interrupt: Record) -> str:
    """The id of a card on the page. An agent's own ids may have any character."""
    place = next((n for n, one in enumerate(_interrupts(run)) if one.get("id") == interrupt.get("id")), 0)
    return f"ask-{text(run.get('runId'))}-{place}"


def _verdict(run: Record, interrupt: Record | None) -> Verdict | None:
    asked = (interrupt or {}).get("id")
    found = (mapping(one) for one in sequence(run.get("decisions")))
    decision = next((one for one in found if asked and one.get("interruptId") == asked), None)
    if decision is None:
        return None
    approved, edited = decision.get("approved") is True, decision.get("arguments")
    at = moment(decision.get("decidedAt"))
    deed = ("Approved with changes" if edited is not None else "Approved") if approved else "Denied"
    return Verdict(
        title=f"{deed} by {text(decision.get('name')) or 'somebody'}",
        approved=approved,
        at_iso=at.isoformat(timespec="seconds") if at else None,
        at_label=at.strftime("%H:%M") if at else "",
        edited=None if edited is None else pretty(edited),
        reason=text(decision.get("reason")),
    )


def _taken(part: Record, run: Record, interrupt: Record | None) -> str:
    """How long the tool took: from when it could begin to its result."""
    decided = [
        mapping(one).get("decidedAt")
        for one in sequence(run.get("decisions"))
        if interrupt is not None and mapping(one).get("interruptId") == interrupt.get("id")
    ]
    begun = [at for at in map(number, (part.get("calledAt"), *decided)) if at is not None]
    ended = number(part.get("endedAt"))
    if ended is None or not begun or ended < max(begun):
        return ""
    seconds = (ended - max(begun)) / 1000
    if seconds < 0.1:
        return "<0.1 s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def _who(names: tuple[str, ...]) -> str:
    if not names:
        return "Only the owner, or somebody with the right to approve, can decide."
    *others, last = names
    return f"{', '.join(others)} or {last} can decide." if others else f"{last} can decide."
