"""What people have answered to runs that paused: one row per question, and the first is the one that counts.

Owns the rows. A committed row is the acceptance of an answer; the last one a run waits for and the row of the
run that goes on are one transaction. Must not know what a question asks, nor streams.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import IntegrityError

from webapp.chat.catalog.database import Database, Transaction
from webapp.chat.catalog.run_row import RunRow, insert_run
from webapp.chat.catalog.runs import RunExists, lock_chat
from webapp.chat.catalog.schema import answers, untold

GoOn = Callable[[Sequence["AnswerRow"]], RunRow | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """``question`` is unique in the chat, ``run_id`` the run that asked. ``events`` have still to be told."""

    chat_id: str
    question: str
    run_id: str
    participant_id: str
    answer: Mapping[str, Any]
    events: tuple[dict[str, Any], ...] | None
    answered_at: float


class Answers:
    """Rows of answers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rows: Sequence[AnswerRow], *, go_on: GoOn) -> RunRow | None:
        """Accept answers to one run: durable on return. ``go_on`` is shown every answer there is then, and
        gives the run that goes on with them if that is all it waited for.

        Raises RunExists if a question has its answer already, or the run that goes on is there.
        """
        chat_id, run_id = rows[0].chat_id, rows[0].run_id
        try:
            async with self._database.write() as connection:
                # Or two that answer the last two questions would each wait for the other.
                await lock_chat(connection, chat_id)
                await connection.execute(insert(answers).values([_values(row) for row in rows]))
                row = go_on(await _select(connection, _of_run(chat_id, run_id)))
                if row is not None:
                    await insert_run(connection, row)
                return row
        except IntegrityError as error:
            raise RunExists from error

    async def of_run(self, chat_id: str, run_id: str) -> list[AnswerRow]:
        """The answers that a run has been given, in the order in which they came."""
        async with self._database.read() as connection:
            return await _select(connection, _of_run(chat_id, run_id))

    async def untold(self) -> list[AnswerRow]:
        """Answers of which something has still to be told, in every chat."""
        async with self._database.read() as connection:
            return await _select(connection, untold)

    async def mark_told(self, row: AnswerRow) -> None:
        """The answer's events are in the stream, which has them from now on."""
        this = (answers.c.chat_id == row.chat_id) & (answers.c.interrupt_id == row.question)
        async with self._database.write() as connection:
            await connection.execute(update(answers).where(this).values(events=None))


def _of_run(chat_id: str, run_id: str) -> ColumnElement[bool]:
    return (answers.c.chat_id == chat_id) & (answers.c.run_id == run_id)


async def _select(connection: Transaction, condition: ColumnElement[bool]) -> list[AnswerRow]:
    found = await connection.execute(select(answers).where(condition).order_by(answers.c.answered_at))
    return [
        AnswerRow(
            chat_id=row.chat_id,
            question=row.interrupt_id,
            run_id=row.run_id,
            participant_id=row.participant_id,
            answer=row.answer,
            events=None if row.events is None else tuple(row.events),
            answered_at=row.answered_at,
        )
        for row in found
    ]


def _values(row: AnswerRow) -> dict[str, object]:
    return {
        "chat_id": row.chat_id,
        "interrupt_id": row.question,
        "run_id": row.run_id,
        "participant_id": row.participant_id,
        "answer": dict(row.answer),
        "events": None if row.events is None else list(row.events),
        "answered_at": row.answered_at,
    }
