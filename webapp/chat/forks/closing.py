"""What is said in a fork first, so that nothing in it waits for ever: what was being written there is
stopped, what was asked is asked no longer, what waited for its turn was not said.

Owns those events. Must not know how a fork is made.
"""

from __future__ import annotations

from collections.abc import Callable

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.catalog.runs import RunInbox
from webapp.chat.following import RunFilter
from webapp.chat.messages import Participant
from webapp.chat.reducer.snapshot import RunInfo, Snapshot
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import BEGINNING, StreamClient


class Closing:
    """``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        *,
        streams: StreamClient,
        sessions: Sessions,
        inbox: RunInbox,
        clock: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._sessions = sessions
        self._inbox = inbox
        self._clock = clock

    async def told(
        self, fork_id: str, *, keep: str | None, by: Participant, same_places: bool
    ) -> list[Event]:
        """What ends everything that is open in the fork, but the message it was made for. ``same_places``:
        offsets are those of the source.
        """
        snapshot = (await self._sessions.snapshot(fork_id)).snapshot
        told: list[Event] = []
        for run_id in snapshot.active_runs:
            row = await self._inbox.get(run_id) if same_places else None
            told += await self._ending(fork_id, run_id, by=by, start=(row and row.offset) or BEGINNING)
        for info in snapshot.runs.values():
            if info["status"] == "awaiting-approval" and "supersededBy" not in info:
                told += self._instead(fork_id, info, by=by)
        for message_id in _waiting(snapshot):
            if message_id != keep:
                told.append(events.dropped(message_id, run_ids=[], participant_id=by.id, name=by.name))
        return told

    async def _ending(self, fork_id: str, run_id: str, *, by: Participant, start: str) -> list[Event]:
        """The run's last words, as if ``by`` had stopped it."""
        own, left = RunFilter(run_id), events.OpenParts()
        offset, path = start, self._sessions.path(fork_id)
        while True:
            page = await self._streams.read(path, offset=offset)
            for raw in page.messages:
                event = events.decode(raw)
                if own.admits(event):
                    left.feed(event)
            offset = page.next_offset
            if page.up_to_date:
                break
        return [
            events.stopped_by(run_id, participant_id=by.id, name=by.name),
            *left.closing(),
            self._cancelled(fork_id, run_id),
        ]

    def _instead(self, fork_id: str, paused: RunInfo, *, by: Participant) -> list[Event]:
        """A run that takes the place of one that asks, and is stopped: then nothing is asked any longer."""
        run_id = f"{paused['runId']}~fork"
        started = events.run_started(
            fork_id,
            run_id,
            agent_id=str(paused.get("agentId", "")),
            agent_name=str(paused.get("agentName", "")),
            trigger_id=str(paused.get("triggerId", "")),
            attempt=int(paused.get("attempt", 1)) + 1,
            timestamp=self._now(),
        )
        stopped = events.stopped_by(run_id, participant_id=by.id, name=by.name)
        return [started, stopped, self._cancelled(fork_id, run_id)]

    def _cancelled(self, fork_id: str, run_id: str) -> Event:
        return events.run_finished(fork_id, run_id, timestamp=self._now(), outcome=events.cancelled())

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _waiting(snapshot: Snapshot) -> list[str]:
    """Messages that wait for their turn behind what is being answered, the last first."""
    asked = {snapshot.runs[run_id].get("triggerId") for run_id in snapshot.active_runs}
    first = next((n for n, each in enumerate(snapshot.messages) if each["id"] in asked), None)
    if first is None:
        return []
    tried = {info.get("triggerId") for info in snapshot.runs.values()}
    answered = {
        (each.get("metadata") or {}).get("parentId")
        for each in snapshot.messages
        if each["role"] == "assistant"
    }
    return [
        each["id"]
        for each in reversed(snapshot.messages[first + 1 :])
        if each["role"] == "user" and each["id"] not in tried | answered
    ]
