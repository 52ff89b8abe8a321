"""A chat that keeps its history in a database of its own. Litestar, and sqlite3 for the history.

    python -m examples.own_database --port 8012 --data-dir data/own

Messages are rows, to be searched and joined with whatever else is there. The session's stream stays the way
in which they arrive. What ties the two together is one transaction: messages are stored with the offset they
are of, so that a page made of the rows reads the stream on from exactly there, and a process that dies
between the stream and the database has lost nothing: the next one reads on from the stored offset.

    POST /api/chat?id=<chat>          GET /api/chat-stream?id=<chat>          as in plain_asgi.py
    GET  /api/chats?id=<chat>         the messages and the offset, from the database
    GET  /api/search?text=<text>      messages of all chats in which somebody said it
"""

import argparse
import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, get, post
from litestar.types import ASGIApp

from webapp import session
from webapp.session import DurableStream, SessionSnapshot, StaleSnapshot

SCHEMA = """
CREATE TABLE IF NOT EXISTS chats (id TEXT PRIMARY KEY, "offset" TEXT NOT NULL, fold TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    chat_id TEXT NOT NULL REFERENCES chats (id),
    position INTEGER NOT NULL,
    text TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (chat_id, position)
);
"""


class History:
    """Of each chat one SessionSnapshot: its offset and fold in ``chats``, its messages in ``messages``.

    sqlite3 holds the event loop up while it writes. An app with many users does this on a thread.
    """

    def __init__(self, file):
        self.db = sqlite3.connect(file, isolation_level=None)
        self.db.executescript(SCHEMA)

    def chats(self):
        return [chat_id for (chat_id,) in self.db.execute("SELECT id FROM chats")]

    def add(self, chat_id):
        self.db.execute("INSERT OR IGNORE INTO chats VALUES (?, '-1', 'null')", (chat_id,))

    def load(self, chat_id):
        with self.transaction():
            offset, fold = self.db.execute(
                'SELECT "offset", fold FROM chats WHERE id = ?', (chat_id,)
            ).fetchone() or ("-1", "null")
            rows = self.db.execute(
                "SELECT message FROM messages WHERE chat_id = ? ORDER BY position", (chat_id,)
            ).fetchall()
        if fold == "null":
            return SessionSnapshot()
        messages = [json.loads(message) for (message,) in rows]
        try:
            return SessionSnapshot.from_json({**json.loads(fold), "offset": offset, "messages": messages})
        except StaleSnapshot:  # an older version of the library wrote it: read the stream once more
            self.db.execute("UPDATE chats SET \"offset\" = '-1', fold = 'null' WHERE id = ?", (chat_id,))
            return SessionSnapshot()

    def save(self, chat_id, before, now):
        """Put ``now`` in the place of ``before``: all of it or nothing, and never over a later one."""
        fold = now.to_json()
        messages, offset = fold.pop("messages"), fold.pop("offset")
        changed = [
            (chat_id, position, text_of(message), json.dumps(message))
            for position, message in enumerate(messages)
            # What did not change is the same object as before.
            if position >= len(before.messages) or before.messages[position] is not message
        ]
        with self.transaction():
            stored = self.db.execute(
                'UPDATE chats SET "offset" = ?, fold = ? WHERE id = ? AND "offset" = ?',
                (offset, json.dumps(fold), chat_id, before.offset),
            )
            if stored.rowcount:
                self.db.executemany("INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?)", changed)
                self.db.execute(
                    "DELETE FROM messages WHERE chat_id = ? AND position >= ?", (chat_id, len(messages))
                )

    def search(self, text):
        rows = self.db.execute(
            "SELECT chat_id, message FROM messages WHERE instr(text, ?) ORDER BY chat_id, position", (text,)
        )
        return [{"chat": chat_id, "message": json.loads(message)} for chat_id, message in rows]

    @contextmanager
    def transaction(self):
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")


class Chats:
    def __init__(self, streams, history):
        self.streams = streams
        self.history = history
        self.filing = set()

    def stream(self, chat_id):
        return DurableStream(self.streams, f"chats/{chat_id}")

    async def start(self):
        """What the last process left: answers without an end, and events that were not stored."""
        for chat_id in self.history.chats():
            await session.interrupt_abandoned_runs(self.stream(chat_id))
            await self.catch_up(chat_id)

    async def catch_up(self, chat_id):
        """Store what the stream has and the database has not."""
        before = self.history.load(chat_id)
        now = await session.materialize_snapshot_from_durable_stream(self.stream(chat_id), after=before)
        if now.offset != before.offset:
            self.history.save(chat_id, before, now)

    async def send(self, chat_id, body):
        self.history.add(chat_id)
        await self.catch_up(chat_id)
        newest = body["messages"][-1]
        return await session.to_durable_chat_session_response(
            self.stream(chat_id),
            new_messages=[newest],
            response_stream=remember([*self.history.load(chat_id).messages, newest]),
            run_id=body.get("runId"),
            wait_until=lambda writing: self.file_after(chat_id, writing),
        )

    def file_after(self, chat_id, writing):
        """Store the answer once it is written."""

        async def file():
            await asyncio.wait({writing})
            await self.catch_up(chat_id)

        task = asyncio.create_task(file())
        self.filing.add(task)
        task.add_done_callback(self.filing.discard)


async def remember(messages):
    """The agent: it has read the whole conversation."""
    yield "So far you have said: "
    said = [text_of(message) for message in messages if message["role"] == "user"]
    for word in "; ".join(said).split():
        yield f"{word} "
        await asyncio.sleep(0.02)


def text_of(message):
    return " ".join(part["content"] for part in message["parts"] if part["type"] == "text")


def create_app(data_dir):
    @asynccontextmanager
    async def lifespan(app):
        async with session.embedded_streams(data_dir) as streams:
            app.state.chats = chats = Chats(streams, History(data_dir / "history.sqlite3"))
            await chats.start()
            yield
            await session.finish_writes(grace=2)
            await asyncio.gather(*chats.filing)

    @post("/api/chat")
    async def send(id: str, data: dict[str, Any]) -> ASGIApp:
        try:
            return await app.state.chats.send(id, data)
        except session.StreamError as error:
            return session.to_error_response(error)

    @get("/api/chat-stream")
    async def read(id: str) -> ASGIApp:
        return session.to_durable_stream_read_response(app.state.chats.stream(id))

    @get("/api/chats")
    async def snapshot(id: str) -> dict[str, Any]:
        return app.state.chats.history.load(id).to_json()

    @get("/api/search")
    async def search(text: str) -> list[dict[str, Any]]:
        return app.state.chats.history.search(text)

    app = Litestar([send, read, snapshot, search], lifespan=[lifespan])
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8012)
    parser.add_argument("--data-dir", type=Path, default=Path("data/own"))
    options = parser.parse_args()
    uvicorn.run(create_app(options.data_dir), port=options.port, timeout_graceful_shutdown=1)
