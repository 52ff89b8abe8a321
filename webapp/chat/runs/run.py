"""One run, from RUN_STARTED to exactly one terminal event.

Owns the race between an agent that speaks and everything that may end it: its own end or failure, a person,
the time limit, a shutdown. Whoever decides first decides; the run itself writes, so the decision is written
once. Must not know queues, leases or the catalog.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from webapp.agents.base import Agent, AgentError, AgentTurn, Event
from webapp.chat import events
from webapp.chat.catalog.run_row import RunRow
from webapp.chat.coalesce import MAX_BATCH, merge
from webapp.chat.endings import FAILED, MODEL_TIMEOUT, OUTPUT_LIMIT, TIME_LIMIT
from webapp.chat.messages import Participant
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.runs.limits import RunLimits
from webapp.chat.runs.pauses import results
from webapp.chat.runs.silence import Silence
from webapp.chat.runs.stamp import Stamper
from webapp.chat.runs.writer import RunWriter

logger = logging.getLogger(__name__)

# What an agent may say in its RUN_FINISHED besides the outcome.
_DETAILS = {"usage": list, "metadata": dict}


class MissingAgent:
    """Stands in for an agent that was asked and is no longer registered."""

    def __init__(self, agent_id: str) -> None:
        self.id = agent_id
        self.name = agent_id

    async def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        """Fail, with a sentence."""
        raise AgentError(f"The agent {self.name} is no longer here.", code="agent-missing")
        yield {}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends: a word for the inbox, what to say before open parts are closed, the terminal event."""

    outcome: str
    terminal: Event
    signals: tuple[Event, ...] = ()

    @classmethod
    def stopped(cls, row: RunRow, *, by: Participant, timestamp: int) -> Ending:
        """A person has stopped the run."""
        signal = events.stopped_by(row.run_id, participant_id=by.id, name=by.name)
        terminal = events.run_finished(
            row.chat_id, row.run_id, timestamp=timestamp, outcome=events.cancelled()
        )
        return cls("cancelled", terminal, (signal,))

    @classmethod
    def failed(cls, row: RunRow, *, code: str, sentence: str, timestamp: int) -> Ending:
        """The run cannot go on. ``sentence`` is shown to people."""
        return cls(
            code,
            events.run_error(row.chat_id, row.run_id, code=code, sentence=sentence, timestamp=timestamp),
        )

    def told(self, parts: events.OpenParts) -> list[Event]:
        """The last events of the run, of which ``parts`` are open."""
        return [*self.signals, *parts.closing(), self.terminal]


class Run:
    """One attempt of one agent. ``over`` is set once nothing more will be written by it.

    While it is ``waiting`` for its turn, ``woken`` makes it look whether it has come.
    """

    def __init__(
        self,
        row: RunRow,
        *,
        agent: Agent,
        writer: RunWriter,
        limits: RunLimits,
        clock: Callable[[], float],
    ) -> None:
        self.row = row
        self.over = asyncio.Event()
        self.woken = asyncio.Event()
        self.waiting = False
        self._agent = agent
        self._writer = writer
        self._limits = limits
        self._clock = clock
        self._stamper = Stamper(
            run_id=row.run_id,
            agent_id=row.agent_id,
            agent_name=agent.name,
            trigger_id=row.message_id,
            clock=clock,
        )
        self._open = events.OpenParts()
        self._ending: Ending | None = None
        self._listening: asyncio.Task[None] | None = None
        self._pending: list[Event] = []
        self._flushed_at = 0.0
        self._something = asyncio.Event()
        self._urgent = asyncio.Event()
        self._room = asyncio.Event()

    def continues(self, first: str) -> None:
        """What is said belongs to an answer that the run ``first`` began."""
        self._stamper.continues = first

    @property
    def decided(self) -> bool:
        """Whether it is settled how the run ends."""
        return self._ending is not None

    # What may end a run. Each returns whether it was the one that did.

    def stop(self, participant: Participant) -> bool:
        """A person stops the run."""
        return self._end(Ending.stopped(self.row, by=participant, timestamp=self._now()))

    def fail(self, code: str, sentence: str) -> bool:
        """The run cannot go on. ``sentence`` is shown to people."""
        return self._end(Ending.failed(self.row, code=code, sentence=sentence, timestamp=self._now()))

    def _finish(self, told: Event) -> bool:
        """``told`` is the agent's own RUN_FINISHED, or empty."""
        outcome = _outcome(told.get("outcome"))
        terminal = events.run_finished(
            self.row.chat_id,
            self.row.run_id,
            timestamp=self._now(),
            outcome=outcome,
            details={key: told[key] for key, kind in _DETAILS.items() if isinstance(told.get(key), kind)},
        )
        return self._end(Ending(str(outcome["type"]) if outcome else "success", terminal))

    def _end(self, ending: Ending) -> bool:
        if self._ending is not None:
            return False
        self._ending = ending
        for waiting in (self._something, self._urgent, self._room, self.woken):
            waiting.set()
        if self._listening is not None and self._listening is not asyncio.current_task():
            self._listening.cancel()
        return True

    async def perform(self, prepare: Callable[[], Awaitable[AgentTurn]]) -> str:
        """Run the agent on the turn that ``prepare`` makes; return the outcome once it is durable.

        Raises the StreamError of an append that was refused for good; then nothing more is written.
        Cancelling this call abandons the run without a word, as a crash would.
        """
        timer = asyncio.get_running_loop().call_later(self._limits.time_limit, self.fail, *TIME_LIMIT)
        self._writer.on_failure = self._look_up
        told = results(self.row.resume, run_id=self.row.run_id, timestamp=self._now())
        self._pending += [self._started(), *told]
        try:
            async with aclosing(self._writer):
                return await self._write(prepare)
        finally:
            timer.cancel()
            await self._dismiss()

    async def _write(self, prepare: Callable[[], Awaitable[AgentTurn]]) -> str:
        if self._ending is None:
            # Durable before the agent is asked: a run that is known to have begun is not begun again. What it
            # says first is waited for, and need not wait for more.
            await self._writer.append(self._take())
            reached(Step.STARTED)
        if self._ending is None:
            self._listening = asyncio.create_task(self._listen(prepare))
            self._listening.add_done_callback(self._heard_out)
        while self._ending is None:
            await self._gather()
            await self._writer.room()
            self._flushed_at = asyncio.get_running_loop().time()
            await self._writer.put(self._take())
            reached(Step.BATCH_PUT)
        await self._dismiss()
        return await self._conclude(self._ending)

    async def _listen(self, prepare: Callable[[], Awaitable[AgentTurn]]) -> None:
        try:
            turn = await prepare()
            speech = self._agent.run(turn)
            silence = Silence(
                limit=self._limits.idle_limit,
                on_end=lambda: self.fail(*MODEL_TIMEOUT),
                decided=sum("toolCallId" not in answer for answer in turn.resume),
            )
            try:
                await self._take_down(speech, silence)
            finally:
                silence.stop()
                close = getattr(speech, "aclose", None)
                if close is not None:
                    await close()
        except AgentError as error:
            self.fail(error.code, error.sentence)
        except Exception:
            logger.exception("agent %s failed in run %s", self.row.agent_id, self.row.run_id)
            self.fail(*FAILED)

    async def _take_down(self, speech: AsyncIterator[Event], silence: Silence) -> None:
        async for event in speech:
            # An agent may ignore being cancelled; nobody listens to it any more.
            if self._ending is not None:
                return
            if isinstance(event, dict):
                silence.heard(event)
            kind = event.get("type") if isinstance(event, dict) else None
            if kind == events.RUN_FINISHED:
                known = {key: event[key] for key in ("type", "outcome", *_DETAILS) if key in event}
                (told,) = self._stamper.stamp(known)
                self._finish(told)
                return
            if kind == events.RUN_ERROR:
                # Its text is an exception's as likely as not. Who has a sentence for people raises
                # AgentError.
                self.fail(*FAILED)
                return
            self._pending += self._stamper.stamp(event)
            self._something.set()
            if self._stamper.written > self._limits.max_output_bytes:
                self.fail(*OUTPUT_LIMIT)
                return
            if len(self._pending) >= MAX_BATCH:
                self._urgent.set()
                self._room.clear()
                with silence.excused():
                    await self._room.wait()
        self._finish({})

    def _heard_out(self, listening: asyncio.Task[None]) -> None:
        # However an agent leaves, even by an exception that is no Exception, its run does not hang.
        if not listening.cancelled() and (error := listening.exception()) is not None:
            logger.error("agent %s broke off in run %s", self.row.agent_id, self.row.run_id, exc_info=error)
        self.fail(*FAILED)

    async def _gather(self) -> None:
        await self._something.wait()
        # What comes soon after the last append was begun, or while too many are under way, shares the next.
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._flushed_at + self._limits.window):
                await self._urgent.wait()

    def _look_up(self) -> None:
        """What was put could not be written: the next put says why."""
        self._something.set()
        self._urgent.set()

    def _take(self) -> list[Event]:
        batch, self._pending = merge(self._pending), []
        for event in batch:
            self._open.feed(event)
        if self._ending is None:
            self._something.clear()
            self._urgent.clear()
        self._room.set()
        return batch

    async def _dismiss(self) -> None:
        """Wait a moment for the agent to release what it holds."""
        listening, self._listening = self._listening, None
        if listening is None:
            return
        if self._ending is None:
            listening.cancel()
        _, still = await asyncio.wait({listening}, timeout=self._limits.agent_farewell)
        if still:
            logger.warning("agent %s does not stop in run %s", self.row.agent_id, self.row.run_id)
            listening.cancel()

    async def _conclude(self, ending: Ending) -> str:
        reached(Step.DECIDED)
        last = self._take()
        await self._writer.append(last, ending=ending.told(self._open))
        reached(Step.ENDED)
        return ending.outcome

    def _started(self) -> Event:
        row = self.row
        return events.run_started(
            row.chat_id,
            row.run_id,
            agent_id=row.agent_id,
            agent_name=self._agent.name,
            trigger_id=row.message_id,
            attempt=row.attempt,
            timestamp=self._now(),
            parent_run_id=row.parent_run_id,
            continues=row.continues,
        )

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _outcome(given: object) -> Mapping[str, Any] | None:
    """The agent's own outcome, if it is one of AG-UI's."""
    if not isinstance(given, dict):
        return None
    if given.get("type") == "cancelled":
        return events.cancelled()
    waiting_for = given.get("interrupts")
    if given.get("type") == "interrupt" and isinstance(waiting_for, list):
        asked = [each for each in waiting_for if isinstance(each, dict) and isinstance(each.get("id"), str)]
        if asked:
            return events.interrupts(asked)
    return None
