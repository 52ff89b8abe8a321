"""Ends runs, and has the agents answer that an answer addresses.

Owns who is next after an answer, and that agents do not talk among themselves for ever. Must not know agents,
lanes or how a run is performed.

Being done and handing on are one transaction, so that whoever ends a run, its owner or the recoverer, hands
on once. That people are waited for is said before it, in an append that may be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

from webapp.agents.base import UIMessage, text_of
from webapp.chat import events
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.catalog.runs import HandOff, NoTurnsLeft
from webapp.chat.catalog.turns import HANDED_ON
from webapp.chat.roster import Presence
from webapp.chat.runs.desk import Desk
from webapp.chat.sessions import ChatSnapshot
from webapp.chat.telling import Telling


class HandOffs:
    """Hand-offs in every chat."""

    def __init__(self, *, telling: Telling, desk: Desk, presence: Presence) -> None:
        self._telling = telling
        self._desk = desk
        self._presence = presence

    async def finish(self, row: RunRow, *, outcome: str) -> Sequence[RunRow]:
        """Mark the run as done, whose end is in the stream; the runs that follow from it, ready to be
        started. Raises StreamErrors and Unavailable, and may be repeated then.
        """
        inbox, clock = self._desk.inbox, self._desk.clock
        if outcome != "success":
            await inbox.mark_done(row, outcome=outcome, now=clock())
            return ()
        current = await self._desk.sessions.snapshot(row.chat_id)
        following = self._following(row, current)
        turns = self._desk.limits.agent_turns
        while True:
            hand_off = HandOff(rows=following, turns=turns)
            try:
                done = await inbox.mark_done(row, outcome=outcome, now=clock(), hand_off=hand_off)
            except NoTurnsLeft as refusal:
                await self._wait_for_person(row, current, agents=refusal.agents)
                following = following[: refusal.left]
            else:
                return following if done else ()

    def _following(self, row: RunRow, current: ChatSnapshot) -> list[RunRow]:
        """A run for each agent that the answer addresses; what it answers is the answer's last message."""
        answer = [each for each in current.snapshot.messages if _meta(each, "runId") == row.run_id]
        said = [each for each in answer if text_of(each)]
        if not said:
            return []
        text = "\n\n".join(map(text_of, said))
        now = self._desk.clock()
        return [
            RunRow(
                run_id=self._desk.ids(),
                chat_id=row.chat_id,
                message_id=said[-1]["id"],
                agent_id=agent_id,
                attempt=1,
                participant_id=row.participant_id,
                content_hash=HANDED_ON,
                events=None,
                parent_run_id=row.run_id,
                status=RunStatus.APPENDED,
                owner=self._desk.owner,
                lease_until=now + self._desk.limits.lease,
                accepted_at=now,
                offset=current.offset,
            )
            for agent_id in self._presence.named(text, current.snapshot, but=row.agent_id)
        ]

    async def _wait_for_person(self, row: RunRow, current: ChatSnapshot, *, agents: Sequence[str]) -> None:
        messages = {each["id"]: each for each in current.snapshot.messages}
        began = row.message_id
        while (message := messages.get(began)) is not None and message["role"] == "assistant":
            began = _meta(message, "parentId")
        members = map(self._presence.cast.get, agents)
        names = [member.name for member in members if member is not None]
        event = events.waiting_for_person(began, agents=names, turns=self._desk.limits.agent_turns)
        # Whoever comes to this point, and however often, the stream takes the first.
        await self._telling.tell(row.chat_id, [event], once=f"guard:{began}")


def _meta(message: UIMessage, key: str) -> str:
    value = (message.get("metadata") or {}).get(key)
    return value if isinstance(value, str) else ""
