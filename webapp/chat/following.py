"""One run, followed through its chat's stream: which events are its own, and what each is called.

Owns the numbering. The n-th event of a run is ``<offset>.<n>``, where ``offset`` is a place in the stream
before the run. One offset of a stream covers a whole batch, and how far a page reaches is different each time
it is read; counting from one place is not. So an event has the same id for every reader at every time, and
whoever has seen it goes on after exactly that event. Must not know HTTP or how an event is framed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Self

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.errors import InvalidMessage
from webapp.streams.clients.base import StreamClient, StreamsUnavailable

_CURSOR = re.compile(r"([!-~]{1,256})\.([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class RunCursor:
    """How far a reader has got: ``seen`` events of the run, counted from ``offset``."""

    offset: str
    seen: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor that ``str()`` wrote. Raises InvalidMessage."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise InvalidMessage("This is no id of an event of this server.", code="invalid-offset")
        return cls(found[1], int(found[2]))

    def __str__(self) -> str:
        return f"{self.offset}.{self.seen}"


@dataclass(frozen=True, slots=True)
class RunEvent:
    """An event as it is stored, on one line, and its id."""

    id: str
    body: bytes


class RunFilter:
    """Tells one run's events from everything else in its chat. Feed it from a place before the run.

    An event that names no run belongs to the run that began what it is about. The ids of messages are a run's
    own, whatever else an event says; those of tool calls are an agent's, and another may use the same.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._own: set[tuple[str, str]] = set()

    def admits(self, event: Event) -> bool:
        if not isinstance(event.get("type"), str):
            return False
        run_id = _run_named_by(event)
        keys = ("messageId", "toolCallId") if run_id in (None, self.run_id) else ("messageId",)
        things = [(key, event[key]) for key in keys if isinstance(event.get(key), str)]
        if run_id != self.run_id:
            return any(thing in self._own for thing in things)
        self._own.update(things)
        return True


class RunReader:
    """Picks one run out of the stream from ``after.offset`` on; what the reader has seen is left out."""

    def __init__(self, run_id: str, *, after: RunCursor) -> None:
        self._filter = RunFilter(run_id)
        self._after = after
        self._count = 0
        self.ended = False
        """Whether the run's terminal event has passed, or it never begins: its message was taken back."""

    def read(self, messages: Iterable[bytes]) -> list[RunEvent]:
        """The run's events in the stream's next messages."""
        found: list[RunEvent] = []
        for message in messages:
            if self.ended:
                break
            event = events.decode(message)
            if events.drops(event, self._filter.run_id):
                self.ended = True
            if not self._filter.admits(event):
                continue
            self._count += 1
            self.ended = event["type"] in events.TERMINAL
            if self._count > self._after.seen:
                # Between tokens others may have written line ends, which would end a line of ours.
                body = message.translate(None, b"\r\n")
                found.append(RunEvent(str(RunCursor(self._after.offset, self._count)), body))
        return found


async def follow(
    streams: StreamClient, path: str, run_id: str, *, after: RunCursor
) -> AsyncGenerator[list[RunEvent], None]:
    """The run's events after ``after``, as they come, up to and with its terminal event.

    Raises StreamsUnavailable if the stream ends or the server drains before that, and whatever else makes
    reading on pointless.
    """
    reader = RunReader(run_id, after=after)
    async with aclosing(streams.tail(path, offset=after.offset)) as pages:
        async for page in pages:
            if found := reader.read(page.messages):
                yield found
            if reader.ended:
                return
    raise StreamsUnavailable("the stream ended before the run did")


def _run_named_by(event: Event) -> str | None:
    """The run an event says it belongs to: itself, or in a message's metadata.

    Of the signals about a run only one is its own. The others say who writes it or wants it stopped, and may
    come before RUN_STARTED, which readers expect first.
    """
    places: tuple[Any, ...] = (event, event.get("metadata"))
    if (event["type"], event.get("name")) == (events.CUSTOM, events.STOPPED_BY):
        places += (event.get("value"),)
    for place in places:
        run_id = place.get("runId") if isinstance(place, dict) else None
        if isinstance(run_id, str):
            return run_id
    return None
