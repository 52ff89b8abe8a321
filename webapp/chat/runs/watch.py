"""What other processes have to do with a run of ours: they ask for its end, and their runs come before it.

Owns the following of a chat for one run. Must not know who asks, nor how a run is performed or ended. In a
process that has its streams to itself there is nothing to follow and none of this is used.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Self

from webapp.chat import events
from webapp.chat.runs.queue import Queue
from webapp.chat.runs.run import Run
from webapp.chat.runs.trace import person, start_of
from webapp.streams.clients.base import ReadPage, StreamClient, StreamError

logger = logging.getLogger(__name__)

# After so many seconds a run looks again whether its turn has come. An event wakes it, but a row is done a
# moment after its event, and seldom without one.
_PAUSES = (0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.4)

_GLANCE = 0.25

# Deltas are what a stream is made of; they are not decoded.
_WORTH_READING = tuple(
    word.encode()
    for word in (
        events.STOP_REQUESTED,
        events.STOPPED_BY,
        events.MESSAGE_DROPPED,
        events.RUN_FINISHED,
        events.RUN_ERROR,
    )
)

# Whoever was before the run may not be any more.
_CHANGES_THE_ORDER = (events.STOPPED_BY, events.MESSAGE_DROPPED)


class Watch:
    """Follows the chat of ``run`` inside ``async with``, from before the first thing said about it."""

    def __init__(self, run: Run, *, streams: StreamClient, path: str, queue: Queue) -> None:
        self._run = run
        self._streams = streams
        self._path = path
        self._queue = queue
        self._behind: str | None = None

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._following.cancel()
        await asyncio.wait({self._following})

    async def turn(self) -> bool:
        """Wait until no run of the same agent is before this one, and mark it as running.

        False if it is no longer ours. A run that is to end has nothing to wait for.
        """
        run, looks = self._run, 0
        while not run.decided:
            run.woken.clear()
            turn = await self._queue.take_turn(run.row)
            run.waiting = turn.behind is not None
            if not run.waiting:
                return turn.taken
            self._behind = turn.behind
            try:
                async with asyncio.timeout(_PAUSES[min(looks, len(_PAUSES) - 1)]):
                    await run.woken.wait()
                looks = 0
            except TimeoutError:
                looks += 1
        run.waiting = False
        return await self._queue.begin(run.row)

    async def _follow(self) -> None:
        offset = start_of(self._run.row)
        try:
            async with aclosing(self._streams.tail(self._path, offset=offset)) as pages:
                async for page in pages:
                    self._hear(page)
                    offset = page.next_offset
            # A tail ends when this process begins to stop. Its runs go on for some seconds.
            while True:
                await asyncio.sleep(_GLANCE)
                page = await self._streams.read(self._path, offset=offset)
                self._hear(page)
                offset = page.next_offset
        except StreamError as error:
            logger.info("the chat of run %s is no longer followed: %s", self._run.row.run_id, error)
        except Exception:
            logger.exception("the chat of run %s cannot be followed", self._run.row.run_id)

    def _hear(self, page: ReadPage) -> None:
        for message in page.messages:
            if any(word in message for word in _WORTH_READING):
                event = events.decode(message)
                by = person(event, events.STOP_REQUESTED, run_id=self._run.row.run_id)
                if by is not None:
                    self._run.stop(by)
                elif event.get("name") in _CHANGES_THE_ORDER or (
                    event.get("type") in events.TERMINAL and event.get("runId") == self._behind
                ):
                    self._run.woken.set()
