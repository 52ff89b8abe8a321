"""Makes one whole run of what a source yields: RUN_STARTED, the events, exactly one terminal event. Pure.

Owns which events begin and end a run, and what a failure is told as. Must not know tasks, streams or sockets:
whoever listens to the source calls ``take``, and ``end``, ``fail`` or ``stop`` once, and writes what they
return. The first end counts; after it nothing is returned any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from uuid import uuid4

import msgspec

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.reducer.parts import record, string, tanstack
from webapp.chat.storing import Intake, NotAnEvent, size, split

FAILED: Final = ("agent-failed", "The agent failed. What it had said so far is kept.")
INTERRUPTED: Final = ("interrupted", "The server was stopped while this answer was being written.")
TIME_LIMIT: Final = ("time-limit", "The agent took too long and was stopped.")
NOT_STORED: Final = ("not-stored", "A part of this answer could not be stored.")

_FRAME: Final = frozenset({events.RUN_STARTED, *events.TERMINAL})


class Telling(Protocol):
    """What becomes of a source's chunks, and of its end. Each call returns what is to be written now."""

    @property
    def ended(self) -> bool: ...
    def take(self, chunk: object) -> list[Any]: ...
    def end(self) -> list[Any]: ...
    def fail(self, code: str, sentence: str) -> list[Any]: ...
    def stop(self) -> list[Any]: ...
    def lose(self) -> list[Any]: ...


class WholeRun:
    """One run. ``run_id`` and ``thread_id`` outrank what the source says; without them it is asked.

    ``refused`` are types of events that the source may not send. ``metadata`` is added to RUN_STARTED.
    ``clock`` gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        run_id: str | None = None,
        thread_id: str | None = None,
        default_thread_id: str = "",
        refused: frozenset[str] = frozenset(),
        metadata: Mapping[str, Any] | None = None,
        new_run_id: Callable[[], str] = lambda: f"run-{uuid4().hex}",
    ) -> None:
        self.run_id = run_id or ""
        self.thread_id = thread_id or ""
        self.outcome = ""
        """How it ended: an AG-UI outcome (``success``), or the code of a RUN_ERROR."""
        self._default_thread_id = default_thread_id
        self._clock = clock
        self._refused = refused
        self._metadata = metadata
        self._new_run_id = new_run_id
        self._intake = Intake()
        self._open = events.OpenParts()
        self._begun = False
        self._last: Event | None = None

    @property
    def ended(self) -> bool:
        return bool(self.outcome)

    def begin(self) -> list[Event]:
        """RUN_STARTED now, without waiting for the source, if the run's id is known."""
        return self._start({}) if self.run_id and not self._begun else []

    def take(self, chunk: object) -> list[Event]:
        """The events to write for the source's next one. Raises NotAnEvent."""
        if self.ended:
            return []
        event = self._intake.take(chunk)
        kind = event["type"]
        if kind in _FRAME:
            size(event)
        if kind == events.RUN_STARTED:
            return [] if self._begun else self._start(event)
        begun = [] if self._begun else self._start({})
        if kind in self._refused:
            return begun
        if kind == events.RUN_ERROR:
            # Its text is an exception's as likely as not. Who has a sentence for people raises AgentError.
            return begun + self.fail(*FAILED)
        if kind == events.RUN_FINISHED:
            # Some sources end each round of tool calls so; only the last of these ends the run.
            self._last = event
            return begun if _is_a_round(event) else begun + self.end()
        pieces = split(events.of_run(event, self.run_id))
        for piece in pieces:
            size(piece)
            self._open.feed(piece)
        return begun + pieces

    def end(self) -> list[Event]:
        """The source has no more to say."""
        last = self._last or {}
        outcome = string(record(last.get("outcome")), "type") or "success"
        return self._end(outcome, {**last, "type": events.RUN_FINISHED})

    def stop(self) -> list[Event]:
        """Somebody wants no more of it. What was said stays."""
        return self._end("cancelled", {"type": events.RUN_FINISHED, "outcome": events.cancelled()})

    def fail(self, code: str, sentence: str) -> list[Event]:
        """It cannot go on. ``sentence`` is shown to people."""
        return self._end(code, {"type": events.RUN_ERROR, "code": code, "message": sentence})

    def lose(self) -> list[Event]:
        """What was returned last, perhaps the end with it, could not be stored: another end."""
        self.outcome = ""
        return self.fail(*NOT_STORED)

    def _end(self, outcome: str, terminal: Event) -> list[Event]:
        if self.ended:
            return []
        begun = [] if self._begun else self._start({})
        self.outcome = outcome
        return [*begun, *self._open.closing(), self._signed(terminal)]

    def _start(self, given: Event) -> list[Event]:
        self._begun = True
        self.run_id = self.run_id or string(given, "runId") or self._new_run_id()
        self.thread_id = self.thread_id or string(given, "threadId") or self._default_thread_id or self.run_id
        started: Event = {**given, "type": events.RUN_STARTED}
        if self._metadata:
            started["metadata"] = {**record(given.get("metadata")), **self._metadata}
        return [self._signed(started)]

    def _signed(self, event: Event) -> Event:
        own = {"threadId": self.thread_id, "runId": self.run_id}
        return {"timestamp": int(self._clock() * 1000), **event, **own}


class PassedOn:
    """Chunks as they come: of any kind, as long as they are JSON. Only a failure adds one, a RUN_ERROR."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self.ended = False
        self._clock = clock

    def take(self, chunk: object) -> list[Any]:
        """The chunk. Raises NotAnEvent if it is not JSON."""
        try:
            return [] if self.ended else [msgspec.Raw(msgspec.json.encode(chunk))]
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise NotAnEvent(f"not JSON: {error}") from error

    def end(self) -> list[Any]:
        self.ended = True
        return []

    def stop(self) -> list[Any]:
        return self.end()

    def fail(self, code: str, sentence: str) -> list[Any]:
        if self.ended:
            return []
        self.ended = True
        told = {"code": code, "message": sentence, "timestamp": int(self._clock() * 1000)}
        return [{"type": events.RUN_ERROR, **told}]

    def lose(self) -> list[Any]:
        self.ended = False
        return self.fail(*NOT_STORED)


def _is_a_round(finished: Event) -> bool:
    """Whether the source may go on after this RUN_FINISHED: it ended a round of tool calls. Published clients
    tell it in the same way.
    """
    if record(finished.get("outcome")).get("type") == "interrupt":
        return False
    return "tool_calls" in (finished.get("finishReason"), tanstack(finished).get("finishReason"))
