"""Chats of any length, written straight into the stream store, as the app would have appended them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.store.sqlite import SqliteStore

BEGAN = 1_760_000_000_000


def turn(number: int, *, pieces: int = 60, words: str = "", split: int = 1) -> Iterator[dict[str, Any]]:
    """One question and one answer of ``pieces`` pieces, each in ``split`` events."""
    question, run, answer = f"question-{number}", f"run-{number}", f"answer-{number}"
    person = {"participantId": "seed", "createdAt": BEGAN + number}
    agent = {"agentId": "demo", "runId": run, "createdAt": BEGAN + number}
    asked = f"What about **number {number}**?"
    yield {
        "type": "TEXT_MESSAGE_START",
        "messageId": question,
        "role": "user",
        "name": "Ana",
        "metadata": person,
    }
    yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": question, "delta": asked}
    yield {"type": "TEXT_MESSAGE_END", "messageId": question}
    yield {"type": "RUN_STARTED", "threadId": "seed", "runId": run, "metadata": {"agentId": "demo"}}
    yield {
        "type": "TEXT_MESSAGE_START",
        "messageId": answer,
        "role": "assistant",
        "name": "Demo",
        "metadata": agent,
    }
    for piece in range(pieces):
        delta = f"Piece {piece} of *answer* {number} with `code`. {words}"
        size = -(-len(delta) // split)
        for begin in range(0, len(delta), size):
            token = delta[begin : begin + size]
            yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": answer, "delta": token}
    yield {"type": "TEXT_MESSAGE_END", "messageId": answer}
    yield {"type": "RUN_FINISHED", "threadId": "seed", "runId": run}


def seed(
    data_dir: Path, chats: Mapping[str, int], *, pieces: int = 60, words: str = "", split: int = 1
) -> None:
    """Write chats of so many turns, by id. With open access the first who looks at one owns it."""
    with ThreadPoolExecutor(1) as thread:  # the caller's may have a loop that runs
        thread.submit(asyncio.run, _seed(data_dir, chats, pieces=pieces, words=words, split=split)).result()


async def _seed(data_dir: Path, chats: Mapping[str, int], *, pieces: int, words: str, split: int) -> None:
    store = SqliteStore.open(data_dir)
    client = LocalStreamClient(Engine(store))
    try:
        for chat_id, turns in chats.items():
            await client.ensure(f"chats/{chat_id}")
            for number in range(turns):
                events = turn(number, pieces=pieces, words=words, split=split)
                await client.append(f"chats/{chat_id}", [json.dumps(event).encode() for event in events])
    finally:
        await client.aclose()
        await store.aclose()
