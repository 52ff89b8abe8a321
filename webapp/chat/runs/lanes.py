"""Queues of runs: one agent answers one message of a chat at a time, in the order they came.

Owns the tasks that runs are performed in. Must not know what performing a run means.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from webapp.chat.runs.run import Run

LaneKey = tuple[str, ...]


@dataclass(slots=True)
class _Lane:
    current: Run | None = None
    queue: deque[Run] = field(default_factory=deque)

    def add(self, run: Run) -> None:
        ahead = sum(other.row.steered for other in self.queue) if run.row.steered else len(self.queue)
        self.queue.insert(ahead, run)


class Lanes:
    """A lane per (chat, agent). ``perform`` must not raise; it is cancelled to abandon a run.

    ``apart``: every run has a lane of its own, because ``perform`` itself waits for what is before the run,
    here or elsewhere.
    """

    def __init__(self, perform: Callable[[Run], Awaitable[None]], *, apart: bool = False) -> None:
        self._perform = perform
        self._apart = apart
        self._lanes: dict[LaneKey, _Lane] = {}
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, run: Run) -> None:
        """Put the run behind the others of its lane, a steered one behind other steered ones."""
        self._runs[run.row.run_id] = run
        # Nobody has looked yet whether it is its turn: until then it waits.
        run.waiting = self._apart
        self._lanes.setdefault(self._key(run), _Lane()).add(run)
        self._advance(run)

    def promote(self, run: Run) -> None:
        """A run that waits in its lane has just been steered."""
        if run.row.run_id not in self._tasks:
            lane = self._lanes[self._key(run)]
            lane.queue.remove(run)
            lane.add(run)

    def get(self, run_id: str) -> Run | None:
        """The queued or running run with that id."""
        return self._runs.get(run_id)

    def all(self) -> list[Run]:
        """Every queued or running run."""
        return list(self._runs.values())

    def running(self) -> list[Run]:
        """The runs that have begun."""
        return [run for run in self._runs.values() if self._has_begun(run)]

    def hurry(self, run: Run) -> None:
        """Perform a queued run now, past its lane: it has been stopped and has nothing to wait for."""
        if run.row.run_id not in self._tasks:
            self._lanes[self._key(run)].queue.remove(run)
            self._begin(run)

    def drop(self, runs: Iterable[Run]) -> None:
        """Abandon runs that are no longer ours, without a word. Those that have ended do not matter."""
        for run in runs:
            task = self._tasks.get(run.row.run_id)
            if task is not None:
                task.cancel()
            elif run.row.run_id in self._runs:
                self._lanes[self._key(run)].queue.remove(run)
                self._forget(run)

    def drop_queued(self) -> list[Run]:
        """Take out and return the runs that have not begun."""
        queued = [run for run in self._runs.values() if not self._has_begun(run)]
        self.drop(queued)
        return queued

    async def idle(self, *, within: float | None = None) -> None:
        """Wait until what is running now has ended, but no longer than ``within`` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=within)

    def _advance(self, run: Run) -> None:
        """Let the lane of ``run`` go on, if nothing is running in it."""
        lane = self._lanes[self._key(run)]
        if lane.current is not None:
            return
        if lane.queue:
            lane.current = lane.queue.popleft()
            self._begin(lane.current)
        else:
            del self._lanes[self._key(run)]

    def _begin(self, run: Run) -> None:
        task = asyncio.ensure_future(self._perform(run))
        self._tasks[run.row.run_id] = task
        # A callback and not a finally: a task that is cancelled before its first step never runs its finally.
        task.add_done_callback(lambda _: self._ended(run))

    def _ended(self, run: Run) -> None:
        del self._tasks[run.row.run_id]
        self._forget(run)
        lane = self._lanes.get(self._key(run))
        if lane is not None and lane.current is run:
            lane.current = None
            self._advance(run)

    def _forget(self, run: Run) -> None:
        del self._runs[run.row.run_id]
        run.over.set()

    def _has_begun(self, run: Run) -> bool:
        return run.row.run_id in self._tasks and not run.waiting

    def _key(self, run: Run) -> LaneKey:
        return (run.row.run_id,) if self._apart else (run.row.chat_id, run.row.agent_id)
