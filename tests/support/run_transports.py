"""Runs over SSE and NDJSON as a plain client has them, and an agent that waits to be let go on."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.live_app import LiveApp
from tests.support.sse import SseReader
from webapp.agents.base import AgentTurn, Event

Chunk = dict[str, Any]
Framed = tuple[str, Chunk]
"""An event with its id."""


def run_input(text: str, *, message_id: str = "m1", run_id: str = "", **more: Any) -> dict[str, Any]:
    """A ``RunAgentInput`` as TanStack's client sends it."""
    return {
        "threadId": "a-thread-of-the-clients-own",
        **({"runId": run_id} if run_id else {}),
        "state": {},
        "messages": [{"id": message_id, "role": "user", "content": text}],
        "tools": [],
        "context": [],
        "forwardedProps": {},
        "data": {},
        **more,
    }


@dataclass(slots=True)
class RunReply:
    """A reply while it is read. ``pings`` counts what carried nothing."""

    response: httpx.Response
    transport: Transport
    pings: int = 0
    events: list[Framed] = field(default_factory=list)

    def read(self) -> Iterator[Framed]:
        """Event after event. Raises httpx.RemoteProtocolError if the reply is broken off."""
        sse, rest = SseReader(), b""
        for data in self.response.iter_raw():
            found: list[Framed] = []
            if self.transport.name == "sse":
                for event in sse.feed(data):
                    if event.event == ":":
                        self.pings += 1
                    else:
                        found.append((event.id, event.json()))
            else:
                *lines, rest = (rest + data).split(b"\n")
                self.pings += lines.count(b"")
                found = [(line["id"], line["chunk"]) for line in map(json.loads, filter(None, lines))]
            for framed in found:
                self.events.append(framed)
                yield framed
        assert not rest

    def all(self) -> list[Framed]:
        assert self.response.status_code == 200, self.response.read()
        return list(self.read())


@dataclass(frozen=True, slots=True)
class Transport:
    """``sse`` or ``ndjson``."""

    name: str

    @property
    def path(self) -> str:
        return f"/api/chat/{self.name}"

    @contextmanager
    def post(
        self, http: httpx.Client, chat_id: str, body: dict[str, Any], *, seen: str | None = None
    ) -> Iterator[RunReply]:
        """Have a run, or go on with it after the event that was seen."""
        headers = {} if seen is None else {"Last-Event-ID": seen}
        params = {"id": chat_id} if chat_id else {}
        with http.stream("POST", self.path, params=params, json=body, headers=headers) as response:
            yield RunReply(response, self)

    def run(
        self, http: httpx.Client, chat_id: str, body: dict[str, Any], *, seen: str | None = None
    ) -> list[Framed]:
        """The whole reply."""
        with self.post(http, chat_id, body, seen=seen) as reply:
            return reply.all()

    def join(self, http: httpx.Client, run_id: str, *, offset: str = "-1", **query: str) -> list[Framed]:
        """The run from there on, as a joiner gets it."""
        params = {"runId": run_id, "offset": offset, **query}
        with http.stream("GET", self.path, params=params) as response:
            return RunReply(response, self).all()


TRANSPORTS = (Transport("sse"), Transport("ndjson"))


class Door:
    """Says ``<text>: ``, waits until the test opens the door for that text, and says ``done``."""

    id = "door"
    name = "Door"

    def __init__(self) -> None:
        self._doors: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        message = {"messageId": "1"}
        yield {"type": "TEXT_MESSAGE_START", **message}
        yield {"type": "TEXT_MESSAGE_CONTENT", "delta": f"{turn.text}: ", **message}
        await self._doors[turn.text].wait()
        yield {"type": "TEXT_MESSAGE_CONTENT", "delta": "done", **message}
        yield {"type": "TEXT_MESSAGE_END", **message}

    def open(self, app: LiveApp, text: str) -> None:
        app.loop.call_soon_threadsafe(self._doors[text].set)


def text_of(events: Sequence[Framed]) -> str:
    """What was said."""
    return "".join(chunk["delta"] for _, chunk in events if chunk["type"] == "TEXT_MESSAGE_CONTENT")


def kinds_of(events: Sequence[Framed]) -> list[str]:
    return [chunk["type"] for _, chunk in events]


def log_of(http: httpx.Client, chat_id: str) -> list[Chunk]:
    """The chat's whole stream."""
    events: list[Chunk] = http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"}).json()
    return events


def run_in(log: Sequence[Chunk], run_id: str) -> list[Chunk]:
    """The run's events in a chat's log, as the log promises them; the product finds them another way."""
    return [
        event
        for event in log
        if run_id
        in (
            event.get("runId"),
            event.get("metadata", {}).get("runId"),
            event.get("messageId", "").partition("~")[0],
            event.get("value", {}).get("runId") if event.get("name") == "run.stopped-by" else None,
        )
    ]
