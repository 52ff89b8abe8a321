"""Performs runs: from a row whose turn has come to the end that is told, and to the runs that follow from it.

Owns what happens around a run. Must not know requests, leases or how a run speaks.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from webapp.agents.cast import Cast
from webapp.chat.catalog.run_row import RunRow
from webapp.chat.catalog.runs import RunInbox
from webapp.chat.overview import Changed
from webapp.chat.runs.background import Background
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.runs.hand_offs import HandOffs
from webapp.chat.runs.lanes import Lanes
from webapp.chat.runs.limits import RunLimits
from webapp.chat.runs.queue import Queue
from webapp.chat.runs.recovery import Startable
from webapp.chat.runs.run import MissingAgent, Run
from webapp.chat.runs.titles import Titles
from webapp.chat.runs.turns import Turns
from webapp.chat.runs.watch import Watch
from webapp.chat.runs.writer import RunWriter
from webapp.chat.sessions import STREAM_IS_GONE, Sessions
from webapp.streams.clients.base import StaleEpoch, StreamClient

logger = logging.getLogger(__name__)


class Performer:
    """``writer`` makes the producer of a row. ``closing`` is set when no run may begin any more."""

    def __init__(
        self,
        *,
        cast: Cast,
        streams: StreamClient,
        sessions: Sessions,
        inbox: RunInbox,
        lanes: Lanes,
        queue: Queue,
        turns: Turns,
        hand_offs: HandOffs,
        titles: Titles | None,
        changed: Changed,
        writer: Callable[[RunRow], RunWriter],
        background: Background,
        limits: RunLimits,
        owner: str,
        shared: bool,
        clock: Callable[[], float],
    ) -> None:
        self.closing = False
        self._cast = cast
        self._streams = streams
        self._sessions = sessions
        self._inbox = inbox
        self._lanes = lanes
        self._queue = queue
        self._turns = turns
        self._hand_offs = hand_offs
        self._titles = titles
        self._changed = changed
        self._writer = writer
        self._background = background
        self._limits = limits
        self._owner = owner
        self._shared = shared
        self._clock = clock

    def enqueue(self, startable: Startable) -> None:
        """Let the run have its turn, unless it is here already. A server that closes begins none."""
        row = startable.row
        if self.closing or self._lanes.get(row.run_id) is not None:
            return
        member = self._cast.get(row.agent_id)
        agent = member.agent if member else MissingAgent(row.agent_id)
        run = Run(row, agent=agent, writer=startable.writer, limits=self._limits, clock=self._clock)
        self._lanes.add(run)
        if startable.wanted_by is not None and run.stop(startable.wanted_by):
            self._lanes.hurry(run)

    async def perform(self, run: Run) -> None:
        """Perform the run once its turn has come. Never raises; cancelled, it abandons the run."""
        row = run.row
        try:
            if not self._shared:
                await self._carry_out(run, self._queue.begin(row))
                return
            path = self._sessions.path(row.chat_id)
            async with Watch(run, streams=self._streams, path=path, queue=self._queue) as watch:
                await self._carry_out(run, watch.turn())
        except StaleEpoch:
            logger.info("run %s has another owner", row.run_id)
        except STREAM_IS_GONE:
            await self._inbox.mark_done(row, outcome="lost", now=self._clock())
        except Exception:
            # Its lease runs out, and whoever takes it over finds out from the stream how far it came.
            logger.exception("run %s broke", row.run_id)

    async def _carry_out(self, run: Run, its_turn: Awaitable[bool]) -> None:
        if await its_turn:
            reached(Step.MARKED_RUNNING)
            self._changed(run.row.chat_id)
            lineage = await self._inbox.lineage(run.row)
            if lineage:
                run.continues(lineage[-1])
            outcome = await run.perform(lambda: self._turns.of(run.row, lineage))
            await self.finish(run.row, outcome)
            reached(Step.MARKED_DONE)
            self._background.spawn(self._sessions.save(run.row.chat_id))
            if self._titles is not None and outcome == "success":
                self._background.spawn(self._titles.after(run.row))

    async def finish(self, row: RunRow, outcome: str) -> None:
        """The end of the run is in the stream; whom it addresses is next."""
        following = await self._hand_offs.finish(row, outcome=outcome)
        self._changed(row.chat_id)
        if self.closing and following:
            await self._inbox.release([each.run_id for each in following], owner=self._owner)
        for each in following:
            self.enqueue(Startable(each, self._writer(each)))
