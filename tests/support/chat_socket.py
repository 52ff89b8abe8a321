"""The chat's WebSocket as a client has it, over the ``websockets`` package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.support.live_app import Chatter
from tests.support.run_transports import Framed


class Socket:
    """One connection. ``events`` has every event so far with its id, ``errors`` the refusals of frames."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: list[Framed] = []
        self.errors: list[dict[str, Any]] = []
        self.pings = self.pongs = 0

    def send(self, frame: Any) -> None:
        self.connection.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def next(self, *, timeout: float = 20) -> Any:
        """The next frame, sorted into its place."""
        frame = json.loads(self.connection.recv(timeout=timeout))
        if "chunk" in frame:
            self.events.append((frame["id"], frame["chunk"]))
        elif frame["type"] == "ping":
            self.pings += 1
        elif frame["type"] == "pong":
            self.pongs += 1
        else:
            self.errors.append(frame)
        return frame

    def run(self, run_id: str) -> list[Framed]:
        """The events of a run that have come; whose a message is, its id says."""
        return [
            (id, chunk)
            for id, chunk in self.events
            if run_id
            in (
                chunk.get("runId") or chunk.get("value", {}).get("runId"),
                chunk.get("messageId", "").partition("~")[0],
            )
        ]

    def until_end_of(self, run_id: str) -> list[Framed]:
        """Read on until the run has ended; its events."""
        while not any(
            chunk["type"] in {"RUN_FINISHED", "RUN_ERROR"} and chunk.get("runId") == run_id
            for _, chunk in self.events
        ):
            self.next()
        return self.run(run_id)

    def closed(self) -> tuple[int, str]:
        """Read to the end; the code and the reason it was closed with, 1006 if it was not."""
        try:
            while True:
                self.next()
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


@contextmanager
def open_socket(
    chatter: Chatter, *, headers: dict[str, str] | None = None, url: str = "", **query: str
) -> Iterator[Socket]:
    """A socket as the page would open it: with the cookie, and our own Origin."""
    base = url or str(chatter.http.base_url).rstrip("/")
    cookie = "; ".join(f"{name}={value}" for name, value in chatter.http.cookies.items())
    given = {"Origin": base, "Cookie": cookie} if headers is None else headers
    address = f"{base.replace('http', 'ws', 1)}/api/chat/ws?{urlencode(query)}"
    with connect(
        address, additional_headers={k: v for k, v in given.items() if v}, proxy=None, max_size=None
    ) as connection:
        yield Socket(connection)
