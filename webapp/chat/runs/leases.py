"""Keeps the leases of our runs, and takes what has lost its owner.

Owns when that is looked after. Must not know what a run that is taken over comes to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from webapp.chat.catalog.runs import RunInbox
from webapp.chat.errors import ChatError
from webapp.chat.runs.decisions import Decisions
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.runs.lanes import Lanes
from webapp.chat.runs.limits import RunLimits
from webapp.chat.runs.recovery import Recovery, Startable
from webapp.streams.clients.base import StreamError

logger = logging.getLogger(__name__)


class Leases:
    """Leases of the process ``owner``. ``start`` begins a run that was taken over and has not begun."""

    def __init__(
        self,
        *,
        inbox: RunInbox,
        lanes: Lanes,
        decisions: Decisions,
        recovery: Recovery,
        start: Callable[[Startable], None],
        limits: RunLimits,
        owner: str,
        clock: Callable[[], float],
    ) -> None:
        self._inbox = inbox
        self._lanes = lanes
        self._decisions = decisions
        self._recovery = recovery
        self._start = start
        self._limits = limits
        self._owner = owner
        self._clock = clock

    async def recover(self, *, take_all: bool) -> None:
        """Tell what is untold, and take over runs without an owner: those with an expired lease, or all that
        are not ours.
        """
        try:
            await self._decisions.tell_all()
        except (ChatError, StreamError) as error:
            logger.warning("a decision is not told yet: %s", error)
        for row in await self._inbox.unfinished(leases_before=None if take_all else self._clock()):
            if self._lanes.get(row.run_id) is not None:
                continue
            claimed = await self._inbox.claim(row, owner=self._owner, lease_until=self._lease_end())
            if claimed is None:
                continue
            reached(Step.CLAIMED)
            try:
                startable = await self._recovery.settle(claimed)
            except (ChatError, StreamError) as error:
                logger.warning("run %s is not recovered yet: %s", row.run_id, error)
            else:
                if startable is not None:
                    self._start(startable)

    async def keep(self) -> None:
        """Renew what is ours and take what is nobody's. A run that cannot be renewed is let go."""
        renewed_at = self._clock()
        while True:
            await asyncio.sleep(self._limits.lease / 3)
            try:
                if runs := self._lanes.all():
                    ids = [run.row.run_id for run in runs]
                    held = await self._inbox.renew(ids, owner=self._owner, lease_until=self._lease_end())
                    self._lanes.drop(run for run in runs if run.row.run_id not in held)
                renewed_at = self._clock()
                await self.recover(take_all=False)
            except Exception:
                logger.exception("leases could not be renewed")
                if self._clock() > renewed_at + self._limits.lease:
                    self._lanes.drop(self._lanes.all())

    def _lease_end(self) -> float:
        return self._clock() + self._limits.lease
