"""The row of a run that goes on with an earlier one, after a pause or where an answer broke off.

It is another attempt at the same message. Must not know why it goes on, nor who asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webapp.agents.base import UIMessage
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.runs.acceptance import hash_of
from webapp.chat.runs.desk import Desk


def sequel(
    desk: Desk,
    trigger: UIMessage,
    *,
    chat_id: str,
    continues: str,
    agent_id: str,
    participant_id: str,
    attempts: Sequence[RunRow],
    offset: str,
    run_id: str | None = None,
    data: Mapping[str, Any] | None = None,
    tools: tuple[dict[str, Any], ...] = (),
    resume: tuple[dict[str, Any], ...] = (),
) -> RunRow:
    """The row, accepted now. ``attempts`` are those at ``trigger`` so far, of all agents."""
    now = desk.clock()
    return RunRow(
        run_id=run_id or desk.ids(),
        chat_id=chat_id,
        message_id=trigger["id"],
        agent_id=agent_id,
        attempt=1 + sum(row.agent_id == agent_id for row in attempts),
        participant_id=participant_id,
        content_hash=hash_of(trigger) or b"",
        events=None,
        data=data or {},
        tools=tools,
        resume=resume,
        parent_run_id=continues,
        continues=continues,
        status=RunStatus.APPENDED,
        owner=desk.owner,
        lease_until=now + desk.limits.lease,
        accepted_at=now,
        offset=offset,
    )
