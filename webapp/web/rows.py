"""From messages to what the templates show: rows, parts and notices as plain values.

Owns the words for states and the reading of message parts. Input comes from a stream that others may write
to, so every field is optional and may have any type. Must not know templates, HTTP or storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from markupsafe import Markup

from webapp.agents.cast import HUES
from webapp.chat.branches import Branches, Choices
from webapp.chat.messages import Participant, hue
from webapp.web.mention_marks import MentionMarks
from webapp.web.tool_lines import ToolPart, ToolReader, ToolsPart, fold
from webapp.web.values import mapping as _mapping
from webapp.web.values import moment as _moment
from webapp.web.values import pretty as _pretty
from webapp.web.values import sequence as _list
from webapp.web.values import text as _text

GROUP_WITHIN_MS = 5 * 60 * 1000

Message: TypeAlias = Mapping[str, Any]
State = Literal["done", "streaming", "stopped", "interrupted", "failed", "awaiting-approval"]


@dataclass(frozen=True, slots=True)
class Person:
    """A participant or an agent as shown: ``hue`` is the number of a colour class."""

    id: str
    name: str
    hue: int
    initials: str


@dataclass(frozen=True, slots=True)
class Notice:
    """How an answer ended when it did not plainly finish."""

    kind: str
    text: str
    retry: bool
    trigger_id: str | None
    go_on: bool = False


@dataclass(frozen=True, slots=True)
class TextPart:
    raw: str
    html: Markup
    kind: Literal["text"] = "text"

    @property
    def has_code(self) -> bool:
        """Whether it needs the style sheet for code."""
        return '<figure class="code">' in self.html


@dataclass(frozen=True, slots=True)
class ThinkingPart:
    text: str
    kind: Literal["thinking"] = "thinking"


@dataclass(frozen=True, slots=True)
class StructuredPart:
    json: str
    kind: Literal["structured"] = "structured"


@dataclass(frozen=True, slots=True)
class UnsupportedPart:
    label: str
    kind: Literal["unsupported"] = "unsupported"


PartView: TypeAlias = TextPart | ThinkingPart | ToolPart | ToolsPart | StructuredPart | UnsupportedPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Which of how many versions a row shows, and the ones beside it."""

    group: str
    position: int
    count: int
    previous: str | None
    next: str | None
    version: str
    pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entry of the transcript: a message, the notice of a run that produced none, or a line on what
    happened beside.
    """

    kind: Literal["message", "notice", "note"]
    name: str = ""
    hue: int = 0
    initials: str = ""
    run_id: str | None = None
    notice: Notice | None = None
    note: tuple[str, str] = ("", "")
    """What it is about, and the words."""
    id: str = ""
    role: str = "assistant"
    mine: bool = False
    guest: bool = False
    grouped: bool = False
    created_iso: str | None = None
    time_label: str = ""
    state: State = "done"
    parts: tuple[PartView, ...] = ()
    versions: Versions | None = None
    can_edit: bool = False
    can_regenerate: bool = False


def person(who: Participant) -> Person:
    return Person(who.id, who.name, who.colour, initials(who.name))


def initials(name: str) -> str:
    """Up to two letters, such as ``AO`` for Amber Otter."""
    return "".join(word[0] for word in name.split()[:2]).upper() or "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBuilder:
    """Builds the rows of one chat for one reader.

    ``runs``, ``active``, ``notes`` and ``pins`` are the snapshot's, ``branches`` those of all its messages;
    ``html`` renders markdown; ``can_chat`` decides whether another try is offered, or another version;
    ``tools`` reads the tool calls. ``hues`` are the colours of agents whose ids do not decide them.
    """

    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: Sequence[Mapping[str, Any]] = ()
    active: frozenset[str] = frozenset()
    hues: Mapping[str, int] = field(default_factory=dict)
    me_id: str
    can_chat: bool
    html: Callable[[str], Markup]
    mentions: MentionMarks = field(default_factory=lambda: MentionMarks([]))
    tools: ToolReader
    branches: Branches = field(default_factory=lambda: Branches([]))
    pins: Choices = field(default_factory=dict)

    def rows(self, messages: Sequence[Message], *, before: Message | None = None) -> list[Row]:
        """Rows of ``messages``; ``before`` is the message just above them, for grouping by speaker."""
        silent = self._runs_without_message()
        # What happened before anybody spoke is above the first message there is.
        rows = self._notes_after("") if before is None else []
        for message in messages:
            rows.append(self._message(message, grouped=_same_speaker(before, message)))
            rows += (self._run_notice(run_id) for run_id in silent.get(_text(message.get("id")), ()))
            rows += self._notes_after(_text(message.get("id")))
            before = message if rows[-1].kind == "message" else None
        return rows

    def _message(self, message: Message, *, grouped: bool) -> Row:
        metadata = _mapping(message.get("metadata"))
        role = "user" if message.get("role") == "user" else "assistant"
        speaker_id = _speaker(message)
        name = _text(message.get("name")) or ("Guest" if role == "user" else "Agent")
        run_id = _text(metadata.get("runId")) or None
        state, notice = (
            self._ending(run_id, _text(message.get("id"))) if role == "assistant" else ("done", None)
        )
        created = _moment(metadata.get("createdAt"))
        message_id = _text(message.get("id"))
        mine = role == "user" and speaker_id == self.me_id
        last = message_id in self.branches and self.branches.last_of(message_id) == message_id
        return Row(
            kind="message",
            id=message_id,
            role=role,
            mine=mine,
            guest=role == "user" and not mine and metadata.get("guest") is True,
            name=name,
            hue=self._hue(role, metadata, speaker_id or name),
            initials=initials(name),
            created_iso=created.isoformat(timespec="seconds") if created else None,
            time_label=created.strftime("%H:%M") if created else "",
            grouped=grouped,
            run_id=run_id,
            state=state,
            parts=tuple(fold(self._parts(message, run=self.runs.get(run_id or "", {})))),
            notice=notice,
            versions=self._versions(message_id) if last else None,
            can_edit=mine and self.can_chat,
            can_regenerate=last and self._can_regenerate(message_id, role, state),
        )

    def _versions(self, message_id: str) -> Versions | None:
        placed = self.branches.placement(message_id)
        versions = self.branches.versions(placed.group)
        if len(versions) < 2:
            return None
        at = versions.index(placed.version)
        return Versions(
            group=placed.group,
            position=at + 1,
            count=len(versions),
            previous=versions[at - 1] if at else None,
            next=versions[at + 1] if at + 1 < len(versions) else None,
            version=placed.version,
            pinned=self.pins.get(placed.group) == placed.version,
        )

    def _can_regenerate(self, message_id: str, role: str, state: State) -> bool:
        answered = self.branches.placement(message_id).version != message_id
        return self.can_chat and role == "assistant" and answered and state == "done"

    def _notes_after(self, message_id: str) -> list[Row]:
        return [
            Row(kind="note", id=_text(note.get("id")), note=(_text(note.get("kind")), _note(note)))
            for note in self.notes
            if note.get("after") == message_id
        ]

    def _ending(self, run_id: str | None, message_id: str) -> tuple[State, Notice | None]:
        """A run's state shows on its last message only."""
        run = self.runs.get(run_id or "", {})
        ids = _list(run.get("messageIds"))
        if ids and ids[-1] != message_id:
            return "done", None
        if run_id in self.active:
            return "streaming", None
        match run.get("status"):
            case "stopped" | "interrupted" | "failed" as state:
                return state, self._notice(run)
            case "awaiting-approval" as state if "supersededBy" not in run:
                return state, None
        return "done", None

    def _notice(self, run: Mapping[str, Any]) -> Notice:
        kind = _text(run.get("status"))
        stopped_by = _text(_mapping(run.get("stoppedBy")).get("name"))
        text = {
            "stopped": f"Stopped by {stopped_by}." if stopped_by else "Stopped.",
            "interrupted": "The server stopped while this was being written. What had arrived is kept.",
            "failed": _text(run.get("error")) or "The agent could not finish its answer.",
            "silent": f"{_text(run.get('agentName')) or 'The agent'} chose not to answer.",
        }.get(kind, "The agent ended without an answer.")
        retry = self.can_chat and "supersededBy" not in run and kind in {"stopped", "interrupted", "failed"}
        go_on = retry and bool(_list(run.get("messageIds")))
        return Notice(kind, text, retry, _text(run.get("triggerId")) or None, go_on)

    def _runs_without_message(self) -> dict[str, list[str]]:
        """Ended runs that wrote nothing, by the message that asked for them."""
        found: dict[str, list[str]] = {}
        for run_id, run in self.runs.items():
            wrote = bool(_list(run.get("messageIds")))
            if run_id not in self.active and not wrote and "supersededBy" not in run:
                found.setdefault(_text(run.get("triggerId")), []).append(run_id)
        return found

    def _run_notice(self, run_id: str) -> Row:
        run = self.runs[run_id]
        name = _text(run.get("agentName")) or "Agent"
        return Row(
            kind="notice",
            name=name,
            hue=self._agent_hue(_text(run.get("agentId")) or name),
            initials=initials(name),
            run_id=run_id,
            notice=self._notice(run),
        )

    def _hue(self, role: str, metadata: Mapping[str, Any], speaker: str) -> int:
        if role != "user":
            return self._agent_hue(speaker)
        chosen = metadata.get("hue")
        return chosen if type(chosen) is int and 0 <= chosen < HUES else hue(speaker)

    def _agent_hue(self, agent_id: str) -> int:
        return self.hues.get(agent_id, hue(agent_id))

    def _parts(self, message: Message, *, run: Mapping[str, Any]) -> Iterable[PartView]:
        parts = [_mapping(part) for part in _list(message.get("parts"))]
        results = {_text(part.get("toolCallId")): part for part in parts if part.get("type") == "tool-result"}
        calls = {_text(part.get("id")) for part in parts if part.get("type") == "tool-call"}
        for part in parts:
            match part.get("type"):
                case "text":
                    if text := _text(part.get("content")):
                        yield TextPart(text, self.mentions.mark(self.html(text)))
                case "thinking":
                    yield ThinkingPart(_text(part.get("content")))
                case "tool-call":
                    yield self.tools.tool(part, results.get(_text(part.get("id"))), run=run)
                case "tool-result":
                    if _text(part.get("toolCallId")) not in calls:
                        yield self.tools.tool({"id": part.get("toolCallId"), "name": "tool"}, part, run=run)
                case "structured-output":
                    shown = next(
                        (part[key] for key in ("data", "partial", "raw") if part.get(key) is not None), None
                    )
                    yield StructuredPart(_pretty(shown))
                case kind:
                    yield UnsupportedPart(
                        f"This message has a part that cannot be shown here ({_text(kind)})."
                    )
        if _list(run.get("messageIds"))[-1:] == [message.get("id")]:
            yield from self.tools.questions(run)


def _note(note: Mapping[str, Any]) -> str:
    name, by = _text(note.get("name")) or "an agent", _text(note.get("by")) or "Somebody"
    match note.get("kind"):
        case "agent.joined":
            return f"{by} let {name} in"
        case "agent.left":
            return f"{by} sent {name} away"
    names, turns = [_text(each) for each in _list(note.get("agents"))], note.get("turns")
    told = f"{' and '.join(filter(None, [', '.join(names[:-1]), *names[-1:]]))} have talked {turns} times. "
    return (told if len(names) > 1 else "") + "Waiting for a person."


def _same_speaker(before: Message | None, message: Message) -> bool:
    """Whether the reader sees one speaker go on: the same one, by the same name, in the same run, within five
    minutes.
    """
    if before is None or any(before.get(key) != message.get(key) for key in ("role", "name")):
        return False
    if _speaker(before) != _speaker(message):
        return False
    earlier, later = _mapping(before.get("metadata")), _mapping(message.get("metadata"))
    if earlier.get("runId") != later.get("runId"):
        return False
    first, second = earlier.get("createdAt"), later.get("createdAt")
    if not isinstance(first, int | float) or not isinstance(second, int | float):
        return False
    return second - first < GROUP_WITHIN_MS


def _speaker(message: Message) -> str:
    metadata = _mapping(message.get("metadata"))
    return _text(metadata.get("participantId" if message.get("role") == "user" else "agentId"))
