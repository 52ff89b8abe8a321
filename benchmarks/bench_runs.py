"""What a run costs: an agent's token on its way to the stream, a question's first token, and a crash.

Servers are processes of their own, the load is in this one, so it takes its share of the machine. The first
table is the exception: it counts this process's own processor time, with the stores of a real server.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from benchmarks.report import percentile, table
from tests.support.appends import stored
from tests.support.chats import CHAT, World, agent, say
from tests.support.server import ServerProcess
from tests.support.sse import batches, follow
from webapp.agents.base import AgentTurn
from webapp.agents.pieces import Piece
from webapp.streams.store.sqlite import SqliteStore

TOKEN = "token "
QUESTIONS = 100
CHATS, WORDS = 50, 2000
OPEN_RUNS = 100
ENV = {"DURABLE_CHAT_SLOTS_PER_PRINCIPAL": "1000", "DURABLE_CHAT_RUNS_PER_PERSON": "0"}


async def overhead(pace: float, count: int) -> list[object]:
    """One answer of ``count`` tokens, so many a second (0: as fast as they are taken)."""

    async def speak(turn: AgentTurn) -> AsyncIterator[Piece]:
        for _ in range(count):
            yield TOKEN
            await asyncio.sleep(1 / pace if pace else 0)

    async def listen() -> float:
        """The processor time of the agent alone."""
        before = time.process_time()
        async for _ in speak(AgentTurn(chat_id="", run_id="", messages=(), text="", speaker="")):
            pass
        return time.process_time() - before

    alone = await listen()
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore.open(Path(folder) / "streams")
        world = World(store, Path(folder))
        supervisor = await world.boot(agent(speak))
        before = time.process_time()
        await say(supervisor, "go")
        spent = time.process_time() - before - alone
        log = await stored(world.client, f"chats/{CHAT}")
        await world.aclose()
        await store.aclose()
    written = sum(map(len, log)) - count * len(TOKEN)
    label = f"{pace:g} tokens/s" if pace else "flat out"
    return [label, spent / count * 1e6, written / count, len(log)]


class Chat:
    """A chat of somebody new."""

    def __init__(self, server: ServerProcess) -> None:
        made = httpx.post(f"{server.url}/api/chats", json={}).json()
        self.id = str(made["id"])
        headers = {"Authorization": f"Bearer {made['token']}"}
        self.http = httpx.Client(base_url=server.url, headers=headers, timeout=120)

    def send(self, text: str, *, mode: str = "") -> str:
        message = {"id": secrets.token_hex(8), "role": "user", "parts": [{"type": "text", "content": text}]}
        body = {"messages": [message]}
        reply = self.http.post("/api/chat", params={"id": self.id, "mode": mode}, json=body)
        reply.raise_for_status()
        return str(reply.headers["x-run-id"])

    def snapshot(self) -> dict[str, Any]:
        return dict(self.http.get(f"/api/chats/{self.id}/snapshot").json())


def first_tokens(name: str, server: ServerProcess, reads_at: ServerProcess) -> list[object]:
    """From sending a message to its answer's first token at a reader, of whichever process, in ms."""
    chat = Chat(server)
    arrived: dict[str, float] = {}
    news = threading.Condition()

    def read() -> None:
        with httpx.Client(base_url=reads_at.url, headers=chat.http.headers) as http:
            for batch in batches(follow(http, "/api/chat-stream", id=chat.id, offset="-1", live="sse")):
                now = time.perf_counter()
                with news:
                    for event in batch.items:
                        if event["type"] == "TEXT_MESSAGE_CONTENT" and "~" in event["messageId"]:
                            arrived.setdefault(event["messageId"].partition("~")[0], now)
                    news.notify_all()
                if len(arrived) > QUESTIONS:
                    return

    chat.send("warm up", mode="await")
    reader = threading.Thread(target=read)
    reader.start()
    delays = []
    for number in range(QUESTIONS):
        began = time.perf_counter()
        run_id = chat.send(f"question {number}")
        with news:
            news.wait_for(lambda run_id=run_id: run_id in arrived, timeout=30)  # type: ignore[misc]
        delays.append((arrived[run_id] - began) * 1000)
    reader.join(30)
    return [name, QUESTIONS, percentile(delays, 0.5), percentile(delays, 0.99)]


def first_tokens_everywhere(folder: Path) -> list[list[object]]:
    """The same in one process with its own streams, and with two processes on a stream server."""
    echo = ENV | {"DURABLE_CHAT_AGENT": "echo"}
    with ServerProcess(folder / "echo", env=echo) as alone:
        rows = [first_tokens("one process", alone, alone)]
    with ServerProcess(folder / "streams", command="streams") as streams, ExitStack() as stack:
        shared = echo | {
            "DURABLE_CHAT_STREAMS_URL": streams.streams_url,
            "DURABLE_CHAT_DATABASE_URL": f"sqlite:///{folder / 'catalog.db'}",
            "DURABLE_CHAT_SECRET_KEY": "one-secret-for-both-of-them",
        }
        one, two = (stack.enter_context(ServerProcess(folder / name, env=shared)) for name in ("one", "two"))
        rows.append(first_tokens("on a stream server, reader at the sender's process", one, one))
        rows.append(first_tokens("on a stream server, reader at another process", one, two))
    return rows


def throughput(server: ServerProcess) -> list[object]:
    """Tokens a second while many chats stream as fast as they can."""
    chats = [Chat(server) for _ in range(CHATS)]
    with ThreadPoolExecutor(CHATS) as pool:
        began = time.perf_counter()
        list(pool.map(lambda chat: chat.send(f"/long {WORDS}", mode="await"), chats))
        took = time.perf_counter() - began
    assert all(len(chat.snapshot()["messages"][1]["parts"][0]["content"].split()) == WORDS for chat in chats)
    return [CHATS, CHATS * WORDS / took, took]


def recovery(folder: Path) -> list[object]:
    """How long a start takes after a kill, with nothing to recover and with many runs that were open."""
    env = ENV | {"DURABLE_CHAT_DEMO_WORD_DELAY": "1"}
    with ServerProcess(folder, env=env) as server:
        empty = _restart(server)
        chats = [Chat(server) for _ in range(OPEN_RUNS)]
        for chat in chats:
            chat.send("/long 2000")
        for chat in chats:
            while len(chat.snapshot()["messages"]) < 2:
                time.sleep(0.01)
        full = _restart(server)
        runs = [run for chat in chats for run in chat.snapshot()["runs"].values()]
    assert [run["status"] for run in runs] == ["interrupted"] * OPEN_RUNS
    return [OPEN_RUNS, empty, full, full - empty]


def _restart(server: ServerProcess) -> float:
    """Milliseconds from the start of the next process until it is ready, every run settled."""
    server.kill9()
    began = time.perf_counter()
    server.start()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    rows = [asyncio.run(overhead(pace, count)) for pace, count in ((0, 20_000), (500, 2000), (100, 400))]
    header = ("agent", "µs of CPU", "bytes besides the text", "events in all")
    table("From the agent to the stream, per token of 6 bytes", header, rows)
    with tempfile.TemporaryDirectory() as folder:
        table(
            "From a question to the first token at a reader, ms",
            ("where", "questions", "p50", "p99"),
            first_tokens_everywhere(Path(folder)),
        )
        with ServerProcess(Path(folder) / "demo", env=ENV | {"DURABLE_CHAT_DEMO_WORD_DELAY": "0"}) as server:
            table(
                f"Answers of {WORDS:,} tokens in many chats at once",
                ("chats", "tokens/s", "s in all"),
                [throughput(server)],
            )
        table(
            "A start after kill -9, ms until everything is settled",
            ("open runs", "with none open", "with them", "for them"),
            [recovery(Path(folder) / "killed")],
        )


if __name__ == "__main__":
    main()
