"""Stops runs because a person wants it, here and in other processes.

Owns which runs are meant and the wait for their end. Must not know HTTP or roles, nor how a run ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.catalog.runs import RunInbox
from webapp.chat.messages import Participant
from webapp.chat.runs.lanes import Lanes
from webapp.chat.runs.run import Run
from webapp.chat.runs.stop_requests import StopRequests


class Stops:
    """``elsewhere`` reaches other processes, if there are any. ``patience``: so many seconds an end is
    waited for.
    """

    def __init__(
        self, *, lanes: Lanes, inbox: RunInbox, elsewhere: StopRequests | None, patience: float
    ) -> None:
        self._lanes = lanes
        self._inbox = inbox
        self._elsewhere = elsewhere
        self._patience = patience

    async def stop(self, *, chat_id: str, run_id: str | None, participant: Participant) -> bool:
        """As ``Supervisor.stop``."""
        meant = self._lanes.running() if run_id is None else filter(None, [self._lanes.get(run_id)])
        stopped = [run for run in meant if run.row.chat_id == chat_id and run.stop(participant)]
        for run in stopped:
            self._lanes.hurry(run)
        requests = []
        if self._elsewhere is not None:
            rows = await self._not_here(chat_id, run_id)
            requests = [self._elsewhere.make(row, participant=participant) for row in rows]
        return any(await asyncio.gather(self._see_out(stopped), *requests))

    async def _not_here(self, chat_id: str, run_id: str | None) -> list[RunRow]:
        """The unfinished runs that are meant and are in another process."""
        return [
            row
            for row in await self._inbox.unfinished(chat_id=chat_id)
            if (row.run_id == run_id or (run_id is None and row.status is RunStatus.RUNNING))
            and self._lanes.get(row.run_id) is None
        ]

    async def _see_out(self, stopped: Sequence[Run]) -> bool:
        if stopped:
            ends = [asyncio.ensure_future(run.over.wait()) for run in stopped]
            _, late = await asyncio.wait(ends, timeout=self._patience)
            for end in late:
                end.cancel()
        return bool(stopped)
