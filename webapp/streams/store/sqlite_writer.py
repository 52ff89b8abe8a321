"""The one thread that writes: it drains what has been asked for into one transaction and commits that.

While one commit is being flushed the next commands gather, so the cost of a flush is shared by all who wait
for it. Those who shared the last one have just been answered and soon ask again; the next commit waits a
fraction of a flush for them, which saves each of them from waiting for two.

Nobody is told anything before the commit; then the changes are published first and the callers answered
second. If the commit fails, all of it was never accepted: everyone gets StreamsUnavailable, and the
connection, whose state nobody knows, is replaced.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from webapp.streams.protocol.errors import StreamError, StreamsUnavailable
from webapp.streams.store.sqlite_transaction import Recent, Transaction
from webapp.streams.store.tails import Change

MAX_BATCH = 1000
MAX_PENDING = 20_000

PATIENCE = 0.25
"""Of the last flush: so long a commit may wait for those who shared it."""

Result = TypeVar("Result")


@dataclass(slots=True)
class _Job:
    work: Callable[[Transaction], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class Writer:
    """Runs ``work(transaction)`` on its own thread, many in one commit.

    ``connect`` opens a write connection. ``publish`` and ``forget`` are called on the event loop: after a
    commit with its changes, and after a failure, when what is cached may no longer be what is on disk.
    ``committed`` is called on the thread between a commit and its acknowledgement; tests crash there.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        connect: Callable[[], sqlite3.Connection],
        publish: Callable[[list[Change]], None],
        forget: Callable[[], None],
        committed: Callable[[], None],
    ) -> None:
        self._connection: sqlite3.Connection | None = connection
        self._connect = connect
        self._publish = publish
        self._forget = forget
        self._committed = committed
        self._recent = Recent()
        self._queue: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._gathered: list[_Job] = []
        self._pending = 0
        self._shared = 1
        self._flush_seconds = 0.0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="streams-writer", daemon=True)
        self._thread.start()

    async def submit(self, work: Callable[[Transaction], Result]) -> Result:
        """Run ``work`` in the next transaction and return its result once that is durable.

        A StreamError raised by ``work`` is passed on; it must not have written anything. Cancelling the
        caller does not undo the work.
        """
        if self._closing or self._pending >= MAX_PENDING:
            raise StreamsUnavailable("The stream store accepts nothing right now.")
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future())
        self._pending += 1
        self._gathered.append(job)
        if len(self._gathered) == 1:
            loop.call_soon(self._hand_over)  # whatever else this turn of the loop brings goes along
        result: Result = await job.future
        return result

    async def aclose(self) -> None:
        """Commit what is pending and end the thread."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        if self._gathered:
            jobs, self._gathered = self._gathered, []
            self._queue.put(jobs)

    def _run(self) -> None:
        last = False
        while not last and (jobs := self._queue.get()) is not None:
            last = self._gather(jobs)
            self._commit(jobs)
        if self._connection is not None:
            self._connection.close()

    def _gather(self, jobs: list[_Job]) -> bool:
        """Add what can share the commit of ``jobs``; True if nothing will follow them."""
        patience = time.monotonic() + PATIENCE * self._flush_seconds
        while len(jobs) < MAX_BATCH:
            left = patience - time.monotonic() if len(jobs) < self._shared else 0.0
            try:
                more = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                return True
            jobs += more
        return False

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            if self._connection is None:
                self._connection = self._connect()
            changes = self._execute(self._connection, jobs)
        except Exception as error:
            self._abandon()
            for job in jobs:
                if job.error is not error or isinstance(error, sqlite3.Error):
                    job.error = _unavailable(error)
            _on_loop(jobs, lambda: self._settle(jobs, None))
            return
        self._committed()
        _on_loop(jobs, lambda: self._settle(jobs, changes))

    def _abandon(self) -> None:
        """Close a connection that failed, with all that is known of it; the next commit opens another."""
        self._recent.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.rollback()
            connection.close()

    def _execute(self, connection: sqlite3.Connection, jobs: list[_Job]) -> list[Change]:
        """Run all jobs in one transaction. Raises if it could not be committed."""
        tx = Transaction(connection, self._recent)
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            try:
                job.result = job.work(tx)
            except StreamError as refusal:
                job.error = refusal
            except Exception as error:
                job.error = error
                raise
        tx.flush()
        began = time.monotonic()
        connection.execute("COMMIT")
        self._shared, self._flush_seconds = len(jobs), time.monotonic() - began
        return tx.changes

    def _settle(self, jobs: list[_Job], changes: list[Change] | None) -> None:
        self._pending -= len(jobs)
        if changes is None:
            self._forget()
        else:
            self._publish(changes)
        for job in jobs:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)


def _unavailable(error: Exception) -> StreamsUnavailable:
    unavailable = StreamsUnavailable("The stream store could not write. Nothing was accepted.")
    unavailable.__cause__ = error
    return unavailable


def _on_loop(jobs: list[_Job], callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed, so nobody is waiting
        jobs[0].future.get_loop().call_soon_threadsafe(callback)
