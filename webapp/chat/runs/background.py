"""Work that nobody waits for, kept until it is done.

Must not know what the work is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from webapp.chat.errors import ChatError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Background:
    """Tasks that outlive whoever began them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin the work. What it raises is logged, unless it is a refusal, which somebody waits for."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)
        return task

    async def aclose(self, *, within: float) -> None:
        """Wait ``within`` seconds for what is under way, and cancel the rest."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within)
            for task in late:
                task.cancel()

    def _reap(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # Whoever waited for it has the refusal; asking for it here keeps the loop from reporting it as lost.
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, ChatError):
            logger.error("a background task failed", exc_info=error)
