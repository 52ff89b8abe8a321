"""Somebody who follows a chat from its beginning, in a thread of their own."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.live_app import Chatter
from tests.support.sse import batches, follow


class Onlooker:
    """Follows a chat by SSE as a browser does: reconnects from the last offset, whatever happens.

    Leaves at the end of a live reply, so an app under test should let these live for a second or so.
    """

    def __init__(self, chatter: Chatter, chat_id: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._http = chatter.http
        self._chat_id = chat_id
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="onlooker")
        self._thread.start()

    @property
    def text(self) -> str:
        return "".join(event.get("delta", "") for event in self.events)

    def count(self, kind: str) -> int:
        """How many events of one type have been seen."""
        return [event["type"] for event in self.events].count(kind)

    def _follow(self) -> None:
        offset = "-1"
        while not self._leaving.is_set():
            try:
                query = {"id": self._chat_id, "offset": offset, "live": "sse"}
                for batch in batches(follow(self._http, "/api/chat-stream", **query)):
                    self.events += batch.items
                    offset = batch.offset
                    if self._leaving.is_set():
                        return
            except httpx.HTTPError:
                self._leaving.wait(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        self._leaving.set()
        self._thread.join(20)
