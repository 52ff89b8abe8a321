"""Writes that go on after the response has been sent.

Owns the tasks, so that none is lost to the garbage collector, and the waiting for them at shutdown. Must not
know what they write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")

LAST_WORDS: Final = 2.0
"""Seconds that an interrupted write has to say so in its stream."""

_tasks: set[asyncio.Task[Any]] = set()


def keep(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Do ``work`` whoever waits for it; ``finish_writes`` waits for it too. What it raises is the task's."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_reap)
    return task


async def finish_writes(*, grace: float | None = None) -> None:
    """Wait until everything that helpers write in the background of this event loop is written.

    Call it when the app stops. What is not done after ``grace`` seconds is interrupted: its source is
    cancelled, and its run ends with a RUN_ERROR of the code ``interrupted``.
    """
    await _settled(within=grace)
    for task in _of_this_loop():
        task.cancel()
    await _settled(within=2 * LAST_WORDS)
    for task in _of_this_loop():
        logger.warning("a write does not end: %r", task)


async def _settled(*, within: float | None) -> None:
    """Return when no task is left, or the time is up. A task may leave another behind."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while tasks := _of_this_loop():
                await asyncio.wait(tasks)


def _of_this_loop() -> set[asyncio.Task[Any]]:
    loop = asyncio.get_running_loop()
    return {task for task in _tasks if task.get_loop() is loop}


def _reap(task: asyncio.Task[Any]) -> None:
    _tasks.discard(task)
    # Whoever waits for it has its error; asking for it here keeps the loop from reporting it as lost.
    if not task.cancelled():
        task.exception()
