"""Listens to a source in a task of its own, so that it can be cut off and its reader can be slow.

Owns that task, how much waits to be taken, and the source's last moments: whatever ends it, what it tells
comes to an end (``whole_run``). Must not know where the chunks go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import Any, Final

from webapp.agents.base import AgentError
from webapp.chat.coalesce import MAX_BATCH
from webapp.session.whole_run import FAILED, TIME_LIMIT, Telling

logger = logging.getLogger(__name__)

FAREWELL: Final = 1.0
"""Seconds that a source which is cut off has to let go of what it holds."""


class Listener:
    """What ``source`` says, as ``telling`` would have it.

    ``read`` turns the source into chunks. ``stop``, once set, ends it as somebody's wish; ``time_limit``
    seconds after the first ``batch`` it is cut off. Whoever made a listener calls ``aclose``.
    """

    def __init__(
        self,
        source: AsyncIterable[Any],
        telling: Telling,
        *,
        read: Callable[[AsyncIterable[Any]], AsyncIterable[Any]] = lambda source: source,
        stop: asyncio.Event | None = None,
        time_limit: float | None = None,
    ) -> None:
        self._source = source
        self._chunks = read(source)
        self._telling = telling
        self._stop = stop
        self._time_limit = time_limit
        self._pending: list[Any] = []
        self._taken_at = 0.0
        self._something = asyncio.Event()
        self._urgent = asyncio.Event()
        self._room = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        """Whether the last batch was the last."""
        return self._telling.ended and not self._pending

    async def batch(self, *, window: float = 0.0, patience: float | None = None) -> list[Any]:
        """What was said since the last batch; waits until something is.

        What comes within ``window`` seconds of the last batch comes together. ``[]`` after ``patience``
        seconds of silence.
        """
        if self._listening is None and not self._telling.ended:
            self._begin()
        try:
            async with asyncio.timeout(patience):
                await self._something.wait()
        except TimeoutError:
            return []
        if window:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._taken_at + window):
                    await self._urgent.wait()
        self._taken_at = asyncio.get_running_loop().time()
        batch, self._pending = self._pending, []
        if not self._telling.ended:
            self._something.clear()
            self._urgent.clear()
        self._room.set()
        return batch

    def fail(self, code: str, sentence: str) -> None:
        """Cut the source off; the last batch says why."""
        self._cut(self._telling.fail(code, sentence))

    def lose(self) -> None:
        """The last batch could not be stored. Cut the source off; the next batch says so."""
        self._cut(self._telling.lose())

    async def aclose(self) -> None:
        """Cut the source off if it still speaks, and wait a moment until it has let go of what it holds."""
        if self._timer is not None:
            self._timer.cancel()
        if self._stopping is not None:
            self._stopping.cancel()
        if self._listening is None:
            await self._let_go()
            return
        if not self._telling.ended:
            self._listening.cancel()
        _, still = await asyncio.wait({self._listening}, timeout=FAREWELL)
        if still:
            logger.warning("a source of chunks does not stop: %r", self._source)
            self._listening.cancel()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._listening = loop.create_task(self._listen())
        self._listening.add_done_callback(self._heard_out)
        if self._stop is not None:
            self._stopping = loop.create_task(self._stop.wait())
            self._stopping.add_done_callback(self._stopped)
        if self._time_limit is not None:
            self._timer = loop.call_later(self._time_limit, self.fail, *TIME_LIMIT)

    async def _listen(self) -> None:
        try:
            await self._take_down()
        except AgentError as error:
            self._put(self._telling.fail(error.code, error.sentence))
        except Exception:
            logger.exception("a source of chunks failed")
            self._put(self._telling.fail(*FAILED))
        finally:
            await self._let_go()

    async def _take_down(self) -> None:
        async for chunk in self._chunks:
            self._put(self._telling.take(chunk))
            if self._telling.ended:
                return
            if len(self._pending) >= MAX_BATCH:
                self._urgent.set()
                self._room.clear()
                await self._room.wait()
        self._put(self._telling.end())

    async def _let_go(self) -> None:
        for held in (self._chunks, self._source):
            close = getattr(held, "aclose", None)
            if close is not None:
                await close()

    def _heard_out(self, listening: asyncio.Task[None]) -> None:
        # However a source leaves, even by an exception that is no Exception, nobody waits for it for ever.
        if not listening.cancelled() and (error := listening.exception()) is not None:
            logger.error("a source of chunks broke off", exc_info=error)
        self._put(self._telling.fail(*FAILED))

    def _stopped(self, stopping: asyncio.Task[bool]) -> None:
        if not stopping.cancelled():
            self._cut(self._telling.stop())

    def _cut(self, last_words: list[Any]) -> None:
        self._put(last_words)
        if self._listening is not None:
            self._listening.cancel()

    def _put(self, chunks: list[Any]) -> None:
        self._pending += chunks
        if chunks or self._telling.ended:
            self._something.set()
        if self._telling.ended:
            self._urgent.set()
            self._room.set()
