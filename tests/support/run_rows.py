"""Rows of the inbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from webapp.chat.catalog.run_row import RunRow, RunStatus


def row(**changes: Any) -> RunRow:
    """A row that has just been accepted."""
    plain = RunRow(
        run_id="r1",
        chat_id="c1234567",
        message_id="m1",
        agent_id="echo",
        attempt=1,
        participant_id="ana",
        content_hash=b"h" * 32,
        events=({"type": "TEXT_MESSAGE_START"},),
        data={"key": [1, None]},
        tools=({"name": "roll", "parameters": {"type": "object"}},),
        status=RunStatus.ACCEPTED,
        owner="me",
        lease_until=100.0,
        accepted_at=90.0,
    )
    return replace(plain, **changes)
