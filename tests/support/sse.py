"""A small server-sent-events reader, written from the WHATWG rules and independent of the product."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched event. A comment (a ping) is reported as event ``:`` with the comment as data."""

    event: str
    data: str
    id: str = ""
    """The id this event brought; those before it are not remembered."""

    def json(self) -> Any:
        return json.loads(self.data)


class SseReader:
    """Bytes in, events out. Frames end their lines with LF here: that is what the product promises."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[SseEvent]:
        *frames, self._rest = (self._rest + chunk).split(b"\n\n")
        return [event for frame in frames for event in self._frame(frame.decode())]

    @staticmethod
    def _frame(text: str) -> Iterator[SseEvent]:
        name, data, last_id = "message", list[str](), ""
        for line in text.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line.startswith(":"):
                yield SseEvent(":", value)
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                last_id = value
        if data:
            yield SseEvent(name, "\n".join(data), last_id)


def follow(client: httpx.Client, url: str, **params: str) -> Iterator[SseEvent]:
    """Events of one SSE response, until the server ends it. Close the generator to hang up."""
    with client.stream("GET", url, params=params, timeout=httpx.Timeout(10, read=25)) as reply:
        reply.raise_for_status()
        reader = SseReader()
        for chunk in reply.iter_raw():
            yield from reader.feed(chunk)


async def afollow(client: httpx.AsyncClient, url: str, **params: str) -> AsyncGenerator[SseEvent, None]:
    """``follow`` for a running event loop."""
    async with client.stream("GET", url, params=params, timeout=httpx.Timeout(10, read=25)) as reply:
        reply.raise_for_status()
        reader = SseReader()
        async for chunk in reply.aiter_raw():
            for event in reader.feed(chunk):
                yield event


@dataclass(frozen=True, slots=True)
class Batch:
    """What one data event and its control event carried."""

    items: list[Any]
    offset: str
    up_to_date: bool


def batches(events: Iterator[SseEvent]) -> Iterator[Batch]:
    """Pair data with control: a batch counts only once its control event is there."""
    items: list[Any] = []
    for event in events:
        if event.event == "data":
            items += event.json()
        elif event.event == "control":
            control = event.json()
            yield Batch(items, control["streamNextOffset"], bool(control.get("upToDate")))
            items = []


async def abatches(events: AsyncGenerator[SseEvent, None]) -> AsyncGenerator[Batch, None]:
    """``batches`` for a running event loop."""
    items: list[Any] = []
    async with aclosing(events):
        async for event in events:
            if event.event == "data":
                items += event.json()
            elif event.event == "control":
                control = event.json()
                yield Batch(items, control["streamNextOffset"], bool(control.get("upToDate")))
                items = []
