"""What a page load costs when the chat has 10, 100 and 1,000 turns.

The first load after a start folds the whole stream; later ones continue from the memoised fold, so their time
may grow with what is visible and not with what was ever said.
"""

from __future__ import annotations

import gzip
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.report import percentile, table
from tests.support.long_chat import seed
from tests.support.server import ServerProcess

TURNS = (10, 100, 1000)
DELTAS = 60  # of an answer, as seed() writes them
LOADS = 10


def name(turns: int) -> str:
    return f"benchmark-{turns:05d}"


def load(client: httpx.Client, turns: int) -> tuple[float, bytes]:
    started = time.perf_counter()
    reply = client.get(f"/chat/{name(turns)}")
    reply.raise_for_status()
    return (time.perf_counter() - started) * 1000, reply.content


def measure(client: httpx.Client, turns: int) -> list[object]:
    first, page = load(client, turns)
    again = [load(client, turns)[0] for _ in range(LOADS)]
    kilobytes = len(page) / 1000, len(gzip.compress(page)) / 1000
    events = turns * (DELTAS + 7)
    return [f"{turns:,}", f"{events:,}", first, percentile(again, 0.5), max(again), *kilobytes]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "data"
        data_dir.mkdir()
        seed(data_dir, {name(turns): turns for turns in TURNS})
        with (
            ServerProcess(data_dir, env={"DURABLE_CHAT_ACCESS": "open"}) as server,
            httpx.Client(base_url=server.url, timeout=120) as client,
        ):
            client.get("/").raise_for_status()
            rows = [measure(client, turns) for turns in TURNS]
    header = ("turns", "events", "first ms", "then p50 ms", "max ms", "kB", "kB gzip")
    table(f"Loading a chat page ({LOADS} loads after the first)", header, rows)


if __name__ == "__main__":
    main()
