"""A conversation as it stands after some events: an immutable value that is rendered, stored and continued.

Owns its JSON shape, which ``static/js/chat-reducer.js`` reads and writes too:
``{messages: [UIMessage…], activeRuns: [runId…], runs: {runId: RunInfo}, roster: {agentId: bool},
notes: [Note…], state: {…}, version}``.

UIMessage: ``{id, role: user|assistant|system, parts: […], name?, metadata?}``.
A tool call of a run of ours has ``calledAt?`` and ``endedAt?``: when its arguments and its result were there.
RunInfo: ``{runId, status, messageIds, agentId?, agentName?, triggerId?, attempt?, startedAt?, code?, error?,
stoppedBy?: {participantId, name}, interrupts?, decisions?, continues?, first?, continuedBy?,
supersededBy?}``; ``status`` is ``running``, or for a run that ended other than with an answer ``stopped``,
``interrupted``, ``failed``, ``awaiting-approval`` or ``silent``. ``decisions`` are what people have answered:
``{interruptId, approved, participantId, name, decidedAt?, arguments?, reason?}``. ``continues`` is the run
that this one goes on with, ``first`` the one that all began with, ``continuedBy`` the run that went on;
``supersededBy`` is the run of a newer attempt at the same message. Runs that simply ended are not kept.
``roster`` says of every agent that was let in or sent away whether it is in the chat now.
Note: ``{id, kind, after, …}``, a line in the transcript behind the message ``after`` ("": before all). Of the
``kind`` ``agent.joined`` or ``agent.left`` it has ``{agentId, name, by}``, of ``chat.waiting-for-person``
``{messageId, agents, turns}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

REDUCER_VERSION: Final = 2
"""Stored snapshots of another version are not read but made again from the stream."""

UIMessage = dict[str, Any]
RunInfo = dict[str, Any]
Note = dict[str, Any]


class StaleSnapshot(ValueError):
    """The JSON is no snapshot of this version."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Nobody changes the lists and dicts in here: reducers share them and copy before they write.

    ``state`` is what a reducer needs to continue in the middle of a message, as JSON.
    """

    messages: list[UIMessage] = field(default_factory=list)
    runs: dict[str, RunInfo] = field(default_factory=dict)
    active_runs: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    roster: dict[str, bool] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    @property
    def pins(self) -> dict[str, str]:
        """The version that was pinned for everybody, by group (``webapp.chat.branches``)."""
        return dict(self.state.get("pins", {}))

    @property
    def title(self) -> str:
        """What the chat was named; empty if nobody has done so."""
        return str(self.state.get("title", ""))

    @property
    def open_ids(self) -> frozenset[str]:
        """The messages that are being written."""
        return frozenset(open_id for lane in self.state.get("lanes", {}).values() for open_id in lane["open"])

    def to_json(self, *, last: int | None = None) -> dict[str, Any]:
        """As JSON; with ``last``, only that many messages from the end, and what concerns them."""
        messages, runs, notes = self.messages, self.runs, self.notes
        if last is not None and last < len(messages):
            messages = messages[-last:] if last else []
            shown = {message["id"] for message in messages}
            runs = {
                run_id: run
                for run_id, run in runs.items()
                if run["status"] == "running"
                or (run["status"] == "awaiting-approval" and "supersededBy" not in run)
                or run.get("triggerId") in shown
                or not shown.isdisjoint(run["messageIds"])
            }
            notes = [note for note in notes if note["after"] in shown]
        return {
            "messages": messages,
            "activeRuns": self.active_runs,
            "runs": runs,
            "roster": self.roster,
            "notes": notes,
            "state": self.state,
            "version": REDUCER_VERSION,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Snapshot:
        """The snapshot that ``to_json`` wrote. Raises StaleSnapshot for anything else."""
        try:
            if data["version"] != REDUCER_VERSION:
                raise StaleSnapshot(f"snapshot version {data['version']!r}, not {REDUCER_VERSION}")
            return cls(
                data["messages"],
                data["runs"],
                data["activeRuns"],
                data["state"],
                data["roster"],
                data["notes"],
            )
        except (KeyError, TypeError) as error:
            raise StaleSnapshot("not a snapshot") from error
