"""What has happened in a conversation beside what was said: agents came and went, agents wait for a person.

Owns notes (their shape is in ``snapshot.py``), where each stands, and what they tell of the roster. Must not
know messages beyond their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webapp.chat.reducer.parts import Record, string
from webapp.chat.reducer.snapshot import Note


class Notes:
    """``roster`` says of every agent that was let in or sent away whether it is here."""

    def __init__(self, notes: Iterable[Note], roster: Mapping[str, bool]) -> None:
        self._notes = [dict(note) for note in notes]
        self.roster = dict(roster)

    def share(self) -> list[Note]:
        """All of them, for others to keep."""
        return [dict(note) for note in self._notes]

    def move(self, kind: str, value: Record, *, present: bool, after: str) -> None:
        """An agent has come or gone, unless it had before."""
        agent = string(value, "agentId")
        if agent and self.roster.get(agent) is not present:
            self.roster[agent] = present
            told = {key: string(value, key) for key in ("agentId", "name", "by")}
            self._add(kind, after, **told)

    def wait(self, kind: str, value: Record, *, after: str) -> None:
        """Agents wait for a person, which is told once about a message."""
        message_id, turns, agents = string(value, "messageId"), value.get("turns"), value.get("agents")
        if any(note["kind"] == kind and note["messageId"] == message_id for note in self._notes):
            return
        self._add(
            kind,
            after,
            messageId=message_id,
            agents=[each for each in agents if isinstance(each, str)] if isinstance(agents, list) else [],
            turns=turns if isinstance(turns, int | float) and not isinstance(turns, bool) else 0,
        )

    def stand_after(self, old: str, new: str) -> None:
        """What stood after ``old`` stands after ``new``."""
        for note in self._notes:
            if note["after"] == old:
                note["after"] = new

    def _add(self, kind: str, after: str, **fields: Any) -> None:
        # Counted on from the last: a page may have been given the latest only.
        number = int(self._notes[-1]["id"].removeprefix("note~")) + 1 if self._notes else 1
        self._notes.append({"id": f"note~{number}", "kind": kind, "after": after, **fields})
