"""An event loop that runs what is ready in an order of the test's choosing, so that races can be repeated."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any


class Scheduler(asyncio.SelectorEventLoop):
    """Callbacks run in an order drawn from ``rng``, and time stands still while there is anything to run.

    Then it jumps to the next timer: a time-out is what happens when nobody wakes a waiter, and costs no
    waiting. Nothing may depend on the order asyncio usually keeps among callbacks that are ready together.
    """

    _ready: deque[Any]  # asyncio's own queues; there is no public way to choose
    _scheduled: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self.rng = Random(0)
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)._scheduled = False
        if self._ready:
            shuffled = list(self._ready)
            self.rng.shuffle(shuffled)
            self._ready = deque(shuffled)
        elif self._scheduled:
            self._now = max(self._now, self._scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


def interleave(race: Callable[[Random], Coroutine[Any, Any, object]], *, rng: Random, times: int) -> None:
    """Run ``race`` so many times, each with an order of events and a ``Random`` of its own. It must leave
    nothing running.
    """
    with asyncio.Runner(loop_factory=Scheduler) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Scheduler)
        for _ in range(times):
            seed = rng.getrandbits(64)
            loop.rng.seed(seed)
            try:
                runner.run(race(Random(seed)))
                assert not asyncio.all_tasks(loop)
            except BaseException as error:
                error.add_note(f"interleaving {seed}")
                raise
