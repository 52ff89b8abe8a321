"""One attempt of one agent at one message, as a value and as a row.

    accepted ──▶ appended ──▶ running ──▶ done
                     └──────▶ dropped ──────┘

Must not know who may change it (``runs.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, insert

from webapp.chat.catalog.database import Transaction
from webapp.chat.catalog.schema import runs


class RunStatus(StrEnum):
    ACCEPTED = "accepted"  # committed; the message may not be in the stream yet
    APPENDED = "appended"  # the message is in the stream; no agent has begun
    RUNNING = "running"  # RUN_STARTED may be in the stream
    DROPPED = "dropped"  # the message was taken back before a run of it; that has still to be told
    DONE = "done"  # the terminal event is in the stream, or never will be needed


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One attempt. ``events`` are what has still to be told: of an accepted message itself, of one that
    waits that it was edited or dropped. They are gone once they are in the stream, and no run begins before.

    Times are seconds since the epoch. ``attempt`` counts from 1. ``content_hash`` identifies what was said.
    ``offset`` is a place in the stream before the message, and before anything of this run or about it; it
    never changes. ``tools`` are those the client offers to run. ``continues`` is the run that this one goes
    on with, after a pause or a stop; ``resume`` are the answers to what that had asked, once this is done
    without what was answered. ``steered``: it goes before others that wait.
    """

    run_id: str
    chat_id: str
    message_id: str
    agent_id: str
    attempt: int
    participant_id: str
    content_hash: bytes
    events: tuple[dict[str, Any], ...] | None
    data: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[dict[str, Any], ...] = ()
    resume: tuple[dict[str, Any], ...] = ()
    parent_run_id: str | None = None
    continues: str | None = None
    steered: bool = False
    status: RunStatus
    owner: str
    epoch: int = 0
    lease_until: float
    accepted_at: float
    started_at: float | None = None
    ended_at: float | None = None
    outcome: str | None = None
    offset: str | None = None

    @property
    def is_dropped(self) -> bool:
        """Whether the message was taken back."""
        return self.status is RunStatus.DROPPED or self.outcome == RunStatus.DROPPED

    @property
    def is_untold(self) -> bool:
        """Whether the message is in the stream, and what has become of it while it waited is not."""
        return self.events is not None and self.status is not RunStatus.ACCEPTED


async def insert_run(connection: Transaction, row: RunRow) -> None:
    """Add the row as part of somebody's transaction. Raises IntegrityError."""
    values = {name: getattr(row, name) for name in row.__slots__}
    values["events"] = None if row.events is None else list(row.events)
    values["data"] = dict(row.data)
    values["tools"] = list(row.tools) or None
    values["resume"] = list(row.resume) or None
    await connection.execute(insert(runs).values(values))


def read_run(row: Row[Any]) -> RunRow:
    """The row that a query found."""
    values = dict(row._mapping)
    del values["seq"]
    values["status"] = RunStatus(row.status)
    values["steered"] = bool(row.steered)
    values["events"] = None if row.events is None else tuple(row.events)
    values["data"] = row.data or {}
    values["tools"] = tuple(row.tools or ())
    values["resume"] = tuple(row.resume or ())
    return RunRow(**values)
