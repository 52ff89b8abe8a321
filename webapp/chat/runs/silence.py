"""Ends a run whose agent has fallen silent.

Owns what counts as silence: a tool that is at work is none, nor is a stream that will not take what was said.
Must not know how a run ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from webapp.agents.base import Event
from webapp.chat import events


class Silence:
    """Calls ``on_end`` once nothing was heard for ``limit`` seconds. ``decided``: so many calls are made
    before the agent speaks.
    """

    def __init__(self, *, limit: float, on_end: Callable[[], object], decided: int = 0) -> None:
        self._limit = limit
        self._on_end = on_end
        self._at_work: set[str] = set()
        self._decided = decided
        self._excused = False
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._timer = self._loop.call_later(limit, self._look)

    def heard(self, event: Event) -> None:
        """The agent has said something."""
        self._since = self._loop.time()
        call_id, kind = str(event.get("toolCallId")), event.get("type")
        if kind == events.TOOL_CALL_END:
            self._at_work.add(call_id)
        elif kind == events.TOOL_CALL_RESULT:
            if call_id in self._at_work:
                self._at_work.remove(call_id)
            else:
                self._decided -= 1
        elif kind not in (events.TOOL_CALL_START, events.TOOL_CALL_ARGS):
            # Whoever talks on waits for no tool, even if no result was told.
            self._at_work.clear()
            self._decided = 0

    @contextmanager
    def excused(self) -> Iterator[None]:
        """Meanwhile nobody listens."""
        self._excused = True
        try:
            yield
        finally:
            self._excused = False
            self._since = self._loop.time()

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _look(self) -> None:
        excused = self._excused or bool(self._at_work) or self._decided > 0
        left = self._limit if excused else self._since + self._limit - self._loop.time()
        if left <= 0:
            self._on_end()
        else:
            self._timer = self._loop.call_later(left, self._look)
