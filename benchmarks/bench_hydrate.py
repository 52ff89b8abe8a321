"""What a page load costs when the chat has 10, 100 and 1,000 turns.

The first load after a start folds the whole stream; later ones continue from the memoised fold, so their time
may grow with what is visible and not with what was ever said.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks.report import percentile, table
from tests.support.server import ServerProcess
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.store.sqlite import SqliteStore

TURNS = (10, 100, 1000)
DELTAS = 60
LOADS = 10


def turn(number: int) -> Iterator[dict[str, Any]]:
    """One question and one answer of DELTAS pieces, as the app would have appended them."""
    question, run, answer = f"question-{number}", f"run-{number}", f"answer-{number}"
    person = {"participantId": "seed", "createdAt": 1_760_000_000_000 + number}
    agent = {"agentId": "demo", "runId": run, "createdAt": 1_760_000_000_000 + number}
    yield {
        "type": "TEXT_MESSAGE_START",
        "messageId": question,
        "role": "user",
        "name": "Ana",
        "metadata": person,
    }
    yield {
        "type": "TEXT_MESSAGE_CONTENT",
        "messageId": question,
        "delta": f"What about **number {number}**?",
    }
    yield {"type": "TEXT_MESSAGE_END", "messageId": question}
    yield {"type": "RUN_STARTED", "threadId": "seed", "runId": run, "metadata": {"agentId": "demo"}}
    yield {
        "type": "TEXT_MESSAGE_START",
        "messageId": answer,
        "role": "assistant",
        "name": "Demo",
        "metadata": agent,
    }
    for piece in range(DELTAS):
        delta = f"Piece {piece} of *answer* {number} with `code`. "
        yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": answer, "delta": delta}
    yield {"type": "TEXT_MESSAGE_END", "messageId": answer}
    yield {"type": "RUN_FINISHED", "threadId": "seed", "runId": run}


def name(turns: int) -> str:
    return f"benchmark-{turns:05d}"


async def seed(data_dir: Path) -> None:
    """Write the chats straight into the stream store, a turn per append."""
    store = SqliteStore.open(data_dir)
    client = LocalStreamClient(Engine(store))
    try:
        for turns in TURNS:
            path = f"chats/{name(turns)}"
            await client.ensure(path)
            for number in range(turns):
                await client.append(path, [json.dumps(event).encode() for event in turn(number)])
    finally:
        await client.aclose()
        await store.aclose()


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
        asyncio.run(seed(data_dir))
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
