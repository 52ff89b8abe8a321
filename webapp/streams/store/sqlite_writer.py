"""The one thread that writes: it drains what has been asked for into one transaction and commits that.

While one commit is being flushed the next commands gather, so the cost of a flush is shared by all who wait
for it. Nobody is told anything before the commit; then the changes are published first and the callers
answered second. If the commit fails, all of it was never accepted: everyone gets StreamsUnavailable, and the
connection, whose state nobody knows, is replaced.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
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
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="streams-writer", daemon=True)
        self._thread.start()

    async def submit(self, work: Callable[[Transaction], Result]) -> Result:
        """Run ``work`` in the next transaction and return its result once that is durable.

        A StreamError raised by ``work`` is passed on; it must not have written anything. Cancelling the
        caller does not undo the work.
        """
        if self._closing or self._queue.qsize() >= MAX_PENDING:
            raise StreamsUnavailable("The stream store accepts nothing right now.")
        job = _Job(work, asyncio.get_running_loop().create_future())
        self._queue.put(job)
        result: Result = await job.future
        return result

    async def aclose(self) -> None:
        """Commit what is pending and end the thread."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            jobs = [first]
            last = False
            while len(jobs) < MAX_BATCH and not last:
                try:
                    following = self._queue.get_nowait()
                except Empty:
                    break
                if following is None:
                    last = True
                else:
                    jobs.append(following)
            self._commit(jobs)
            if last:
                break
        if self._connection is not None:
            self._connection.close()

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            if self._connection is None:
                self._connection = self._connect()
            changes = _execute(self._connection, jobs, self._recent)
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

    def _settle(self, jobs: list[_Job], changes: list[Change] | None) -> None:
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


def _execute(connection: sqlite3.Connection, jobs: list[_Job], recent: Recent) -> list[Change]:
    """Run all jobs in one transaction. Raises if it could not be committed."""
    tx = Transaction(connection, recent)
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
    connection.execute("COMMIT")
    return tx.changes


def _unavailable(error: Exception) -> StreamsUnavailable:
    unavailable = StreamsUnavailable("The stream store could not write. Nothing was accepted.")
    unavailable.__cause__ = error
    return unavailable


def _on_loop(jobs: list[_Job], callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed, so nobody is waiting
        jobs[0].future.get_loop().call_soon_threadsafe(callback)
