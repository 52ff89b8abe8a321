"""The inbox: one row per attempt of one agent at one message.

Owns the rows and their compare-and-set changes. A committed row is the acceptance of a message; who may
write for it is settled by (owner, epoch) and a lease. Must not know streams, agents or what events mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, case, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from webapp.chat.catalog.database import Database, Transaction
from webapp.chat.catalog.run_row import RunRow, RunStatus, insert_run, read_run
from webapp.chat.catalog.schema import INTERRUPT, chats, runs
from webapp.chat.catalog.turns import turns_taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whether a run may begin now. If not: ``behind`` which one; or None if it is no longer the caller's, or
    something about its message has still to be told.
    """

    taken: bool
    behind: str | None = None


class RunExists(Exception):
    """Another row has this run id, or is this attempt: read again and decide again."""


class NoTurnsLeft(Exception):
    """Nothing has changed: of the agents that a run hands on to, only ``left`` may still answer. ``agents``
    are the ids of those that have had the other turns.
    """

    def __init__(self, left: int, agents: Sequence[str]) -> None:
        super().__init__(f"{left} turns left")
        self.left = left
        self.agents = agents


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOff:
    """What a run leaves behind when it is done: ``rows``, accepted in the same moment. With them, agents have
    answered or will answer at most ``turns`` times on the message of a person that began it.
    """

    rows: Sequence[RunRow] = ()
    turns: int = 0


_NOBODY = HandOff()


class RunInbox:
    """Rows of runs. Every change of status is refused unless the caller still owns the row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, row: RunRow) -> None:
        """Accept an attempt: durable on return. Raises RunExists, also if the message has just been changed
        while it waited.
        """
        try:
            async with self._database.write() as connection:
                await lock_chat(connection, row.chat_id)
                await _check_unchanged(connection, row)
                await insert_run(connection, row)
        except IntegrityError as error:
            raise RunExists from error

    async def add_all(self, rows: Sequence[RunRow], *, seen: int) -> None:
        """Accept attempts of several agents at one message, all or none; ``seen`` is how many attempts at it
        the caller knows of. Raises RunExists, also if there are more by now, and as ``add`` does.
        """
        first = rows[0]
        attempts = (runs.c.chat_id == first.chat_id) & (runs.c.message_id == first.message_id)
        try:
            async with self._database.write() as connection:
                await lock_chat(connection, first.chat_id)
                await _check_unchanged(connection, first)
                count = select(func.count()).select_from(runs).where(attempts)
                if (await connection.execute(count)).scalar_one() != seen:
                    raise RunExists
                for row in rows:
                    await insert_run(connection, row)
        except IntegrityError as error:
            raise RunExists from error

    async def get(self, run_id: str) -> RunRow | None:
        """The attempt with that run id."""
        found = await self._select(runs.c.run_id == run_id)
        return found[0] if found else None

    async def attempts(self, chat_id: str, message_id: str, *, or_run_id: str | None = None) -> list[RunRow]:
        """Every attempt at a message, of all agents, in order; and the row with a run id, whosever it is."""
        wanted = (runs.c.chat_id == chat_id) & (runs.c.message_id == message_id)
        return await self._select(wanted if or_run_id is None else wanted | (runs.c.run_id == or_run_id))

    async def latest(self, chat_id: str, *, limit: int) -> list[RunRow]:
        """The newest attempts in the chat, the last one first."""
        query = select(runs).where(runs.c.chat_id == chat_id).order_by(runs.c.seq.desc()).limit(limit)
        async with self._database.read() as connection:
            return [read_run(row) for row in await connection.execute(query)]

    async def lineage(self, row: RunRow) -> list[str]:
        """The runs that ``row`` goes on with: the one it continues, then what that continued, and so on."""
        found: list[str] = []
        current: RunRow | None = row
        while current is not None and current.continues is not None:
            found.append(current.continues)
            current = await self.get(current.continues)
        return found

    async def unfinished(
        self, *, chat_id: str | None = None, leases_before: float | None = None
    ) -> list[RunRow]:
        """Rows that are not done, in the order of their turns: of the chat, with a lease that has ended."""
        wanted = runs.c.status != RunStatus.DONE
        if chat_id is not None:
            wanted &= runs.c.chat_id == chat_id
        if leases_before is not None:
            wanted &= runs.c.lease_until < leases_before
        running_first = case((runs.c.status == RunStatus.RUNNING, 0), else_=1)
        return await self._select(wanted, running_first, runs.c.steered.desc())

    async def load(self, *, participant_id: str, chat_id: str) -> tuple[int, int]:
        """How many runs are not done: of the participant in all chats, of everybody in the chat."""
        theirs, here = runs.c.participant_id == participant_id, runs.c.chat_id == chat_id
        count = func.count()
        query = select(count.filter(theirs), count.filter(here)).where(
            theirs | here, runs.c.status != RunStatus.DONE
        )
        async with self._database.read() as connection:
            of_participant, in_chat = (await connection.execute(query)).one()
        return of_participant, in_chat

    async def newest(self, rank: int, *, participant_id: str = "", chat_id: str = "") -> float | None:
        """When the ``rank``th newest run of a participant or a chat was accepted; None if there are fewer."""
        theirs = runs.c.participant_id == participant_id if participant_id else runs.c.chat_id == chat_id
        newest_first = select(runs.c.accepted_at).where(theirs).order_by(runs.c.accepted_at.desc())
        async with self._database.read() as connection:
            return (await connection.execute(newest_first.offset(rank - 1).limit(1))).scalar()

    async def mark_appended(self, row: RunRow) -> RunRow | None:
        """The message is in the stream, which has it from now on, and its run has not begun; the row as it is
        now. None if the row is no longer the caller's or has moved on.
        """
        changes = {"status": RunStatus.APPENDED, "events": None}
        if await self._change(row, changes, runs.c.status == row.status):
            return replace(row, status=RunStatus.APPENDED, events=None)
        # Whoever sends the message again may have been here before the owner.
        current = await self.get(row.run_id)
        if current is None or (current.owner, current.epoch) != (row.owner, row.epoch):
            return None
        return current if current.status is RunStatus.APPENDED else None

    async def mark_running(self, row: RunRow, *, now: float) -> bool:
        """RUN_STARTED is about to be appended. False if the row is no longer the caller's or has moved on, or
        something about its message has still to be told.
        """
        unmoved = (runs.c.status == row.status) & runs.c.events.is_(None)
        return await self._change(row, {"status": RunStatus.RUNNING, "started_at": now}, unmoved)

    async def take_turn(self, row: RunRow, *, now: float) -> Turn:
        """``mark_running``, unless another run of the agent is running in the chat, or waits to and is before
        it: was steered, or accepted earlier. Of any number of callers, in any number of processes, one has
        the turn.
        """
        unmoved = _still(row) & (runs.c.status == row.status) & runs.c.events.is_(None)
        others = runs.alias()
        earlier = (others.c.status == RunStatus.APPENDED) & (
            (others.c.steered > runs.c.steered)
            | ((others.c.steered == runs.c.steered) & (others.c.seq < runs.c.seq))
        )
        before = (
            select(others.c.run_id)
            .where(
                others.c.chat_id == row.chat_id,
                others.c.agent_id == row.agent_id,
                others.c.run_id != row.run_id,
                or_(others.c.status == RunStatus.RUNNING, earlier),
            )
            .order_by(others.c.steered, others.c.seq.desc())
            .limit(1)
            .correlate(runs)
            .scalar_subquery()
        )
        change = {"status": RunStatus.RUNNING, "started_at": now}
        async with self._database.write() as connection:
            # Or two that see each other wait would both begin.
            await lock_chat(connection, row.chat_id)
            found = (await connection.execute(select(before).select_from(runs).where(unmoved))).first()
            if found is not None and found[0] is not None:
                return Turn(taken=False, behind=found[0])
            changed = await connection.execute(update(runs).where(unmoved).values(change))
            return Turn(taken=changed.rowcount == 1)

    async def mark_done(self, row: RunRow, *, outcome: str, now: float, hand_off: HandOff = _NOBODY) -> bool:
        """The run has ended, and hands on to others in the same moment. False if the row is no longer the
        caller's; then nobody is handed anything. Raises NoTurnsLeft.
        """
        changes = {
            "status": RunStatus.DONE,
            "outcome": outcome,
            "ended_at": now,
            "events": None,
            "resume": [{"interruptId": each["interruptId"]} for each in row.resume] or None,
        }
        if outcome != INTERRUPT:  # else the run that goes on needs them
            changes |= {"data": None, "tools": None}
        if not hand_off.rows:
            return await self._change(row, changes)
        async with self._database.write() as connection:
            await lock_chat(connection, row.chat_id)
            taken = await turns_taken(connection, chat_id=row.chat_id, run_id=row.run_id)
            left = max(hand_off.turns - len(taken), 0)
            if len(hand_off.rows) > left:
                raise NoTurnsLeft(left, list(dict.fromkeys(taken)))
            query = update(runs).where(_still(row), runs.c.status != RunStatus.DONE).values(changes)
            if (await connection.execute(query)).rowcount != 1:
                return False
            for each in hand_off.rows:
                # A person may have asked for the same already.
                if not await _rows_of(connection, each.chat_id, each.message_id, agent_id=each.agent_id):
                    await insert_run(connection, each)
        return True

    async def change_waiting(
        self, chat_id: str, message_id: str, changes: Callable[[Sequence[RunRow]], Mapping[str, object]]
    ) -> tuple[list[RunRow], bool]:
        """Make ``changes`` to all rows of a message, if all wait for their turn and nothing is to be told of
        them: the rows as they were, and whether they were changed. No run of them begins at the same time.
        """
        async with self._database.write() as connection:
            await lock_chat(connection, chat_id)  # nobody adds another attempt meanwhile
            rows = await _rows_of(connection, chat_id, message_id)
            waiting = all(row.status is RunStatus.APPENDED and row.events is None for row in rows)
            if not rows or not waiting:
                return rows, False
            ids = [row.run_id for row in rows]
            await connection.execute(update(runs).where(runs.c.run_id.in_(ids)).values(changes(rows)))
        return rows, True

    async def mark_told(self, row: RunRow, *, now: float) -> None:
        """What was to be told of a waiting row's message is in the stream. A later change of it is kept."""
        async with self._database.write() as connection:
            rows = await _rows_of(connection, row.chat_id, row.message_id)
            told = [each.run_id for each in rows if each.events == row.events]
            those = update(runs).where(runs.c.run_id.in_(told))
            await connection.execute(
                those.where(runs.c.status == RunStatus.DROPPED).values(
                    status=RunStatus.DONE, outcome=RunStatus.DROPPED, ended_at=now, data=None, tools=None
                )
            )
            await connection.execute(those.values(events=None))

    async def discard(self, row: RunRow) -> None:
        """Take back an acceptance whose message can never be appended."""
        async with self._database.write() as connection:
            await connection.execute(delete(runs).where(_still(row), runs.c.status == RunStatus.ACCEPTED))

    async def claim(self, row: RunRow, *, owner: str, lease_until: float) -> RunRow | None:
        """Take the row over as it was seen: a new owner and the next epoch. None if somebody was quicker."""
        change = {"owner": owner, "epoch": row.epoch + 1, "lease_until": lease_until}
        if not await self._change(row, change):
            return None
        return await self.get(row.run_id)

    async def renew(self, run_ids: Collection[str], *, owner: str, lease_until: float) -> set[str]:
        """Prolong the leases the owner still holds and return their run ids."""
        held = runs.c.run_id.in_(run_ids) & (runs.c.owner == owner) & (runs.c.status != RunStatus.DONE)
        query = update(runs).where(held).values(lease_until=lease_until).returning(runs.c.run_id)
        async with self._database.write() as connection:
            return set((await connection.execute(query)).scalars())

    async def release(self, run_ids: Collection[str], *, owner: str) -> None:
        """End leases now, so that others need not wait for them."""
        held = runs.c.run_id.in_(run_ids) & (runs.c.owner == owner)
        async with self._database.write() as connection:
            await connection.execute(update(runs).where(held).values(lease_until=0.0))

    async def _change(
        self, row: RunRow, changes: Mapping[str, object], *conditions: ColumnElement[bool]
    ) -> bool:
        query = update(runs).where(_still(row), runs.c.status != RunStatus.DONE, *conditions).values(changes)
        async with self._database.write() as connection:
            return (await connection.execute(query)).rowcount == 1

    async def _select(self, condition: ColumnElement[bool], *order: ColumnElement[Any]) -> list[RunRow]:
        async with self._database.read() as connection:
            found = await connection.execute(select(runs).where(condition).order_by(*order, runs.c.seq))
            return [read_run(row) for row in found]


async def _check_unchanged(connection: Transaction, row: RunRow) -> None:
    """Raises RunExists if the row's message was dropped, or is being changed while it waits."""
    for earlier in await _rows_of(connection, row.chat_id, row.message_id):
        if earlier.is_dropped or earlier.is_untold:
            raise RunExists


async def _rows_of(
    connection: Transaction, chat_id: str, message_id: str, *, agent_id: str | None = None
) -> list[RunRow]:
    """Every attempt at a message, or those of an agent; none of them moves before the transaction ends."""
    wanted = (runs.c.chat_id == chat_id) & (runs.c.message_id == message_id)
    if agent_id is not None:
        wanted &= runs.c.agent_id == agent_id
    found = await connection.execute(select(runs).where(wanted).order_by(runs.c.seq).with_for_update())
    return [read_run(row) for row in found]


async def lock_chat(connection: Transaction, chat_id: str) -> None:
    """What is read of the chat's rows is true until the end. SQLite has one writer and ignores it."""
    await connection.execute(select(chats.c.id).where(chats.c.id == chat_id).with_for_update(key_share=True))


def _still(row: RunRow) -> ColumnElement[bool]:
    return (runs.c.run_id == row.run_id) & (runs.c.owner == row.owner) & (runs.c.epoch == row.epoch)
