"""How many appends per second the local client makes durable, with 1, 50 and 500 writers at once.

Every append is one AG-UI event with a producer tuple, as a run makes them; a writer waits for its receipt
before it sends the next. More writers share one flush, so the rate grows with them and the wait does not.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.report import percentile, table
from webapp.streams.clients.base import ProducerTuple
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.store.sqlite import SqliteStore

WRITERS = (1, 50, 500)
SECONDS = 3.0
HEADER = ("writers", "appends/s", "p50 ms", "p99 ms")
EVENT = b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"0123456789abcdef","delta":"a few words of an answer "}'


async def measure(
    writers: int, data_dir: Path, *, seconds: float = SECONDS
) -> tuple[int, float, float, float]:
    """One row: the writers, durable appends per second, and the wait for a receipt in milliseconds."""
    store = SqliteStore.open(data_dir)
    client = LocalStreamClient(Engine(store))
    waits: list[float] = []
    ends = time.perf_counter() + seconds

    async def write(number: int) -> None:
        path = f"chats/{number}"
        await client.ensure(path)
        seq = 0
        while (started := time.perf_counter()) < ends:
            await client.append(path, [EVENT], producer=ProducerTuple("run:bench", 0, seq))
            waits.append(time.perf_counter() - started)
            seq += 1

    began = time.perf_counter()
    await asyncio.gather(*(write(number) for number in range(writers)))
    took = time.perf_counter() - began
    await store.aclose()
    return writers, len(waits) / took, percentile(waits, 0.5) * 1000, percentile(waits, 0.99) * 1000


def rows(*, seconds: float = SECONDS) -> list[tuple[int, float, float, float]]:
    """A row for each number of writers, each in a database of its own."""
    found = []
    for writers in WRITERS:
        with tempfile.TemporaryDirectory(prefix="bench-streams-") as data_dir:
            found.append(asyncio.run(measure(writers, Path(data_dir), seconds=seconds)))
    return found


if __name__ == "__main__":
    table("Durable appends through LocalStreamClient", HEADER, rows())
