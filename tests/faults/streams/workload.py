"""A process that appends and says what was acknowledged; the crash tests kill it.

Usage: ``workload.py <data_dir> [--crash-after-commit N] [--rounds N] [--file-limit BYTES]``. In each round
three producers append at once, two messages each. Every line on stdout is one outcome: ``ack <producer> <seq>
<offset>`` or ``unavailable <producer> <seq>``; an append that was unavailable is repeated with the same
tuple.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

from webapp.streams.protocol.commands import Append, Create
from webapp.streams.protocol.errors import StreamsUnavailable
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.store.sqlite import SqliteStore

PRODUCERS = ("p0", "p1", "p2")
JSON = "application/json"
PADDING = "x" * 200


def chunk(producer: str, seq: int) -> bytes:
    """The two messages of one append."""
    return b"\n".join(b'["%b",%d,%d,"%b"]' % (producer.encode(), seq, n, PADDING.encode()) for n in (0, 1))


def say(*words: object) -> None:
    """One line in one write, so that a kill cannot cut it."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def crash_after(commits: int) -> Callable[[], None]:
    seen = count(1)

    def committed() -> None:
        if next(seen) == commits:
            os.kill(os.getpid(), signal.SIGKILL)

    return committed


async def append(store: SqliteStore, producer: str, seq: int) -> None:
    command = Append(chunk=chunk(producer, seq), content_type=JSON, producer=ProducerTuple(producer, 0, seq))
    while True:
        try:
            outcome = await store.append("s", command)
        except StreamsUnavailable:
            say("unavailable", producer, seq)
            # The disk is full until the limit is lifted; for any other fault this changes nothing.
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            say("ack", producer, seq, outcome.record.tail)
            return


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--crash-after-commit", type=int, default=0)
    parser.add_argument("--file-limit", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    store = SqliteStore.open(options.data_dir, committed=crash_after(options.crash_after_commit))
    if options.file_limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_limit, resource.RLIM_INFINITY))
    await store.create("s", Create(content_type=JSON))
    for seq in range(options.rounds):
        await asyncio.gather(*(append(store, producer, seq) for producer in PRODUCERS))
    await store.aclose()
    say("done")


if __name__ == "__main__":
    asyncio.run(main())
