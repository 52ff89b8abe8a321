"""Writes a source of chunks into a stream: in batches, each once, up to exactly one end.

Owns the producer of a run, when a batch is due, and the run's last words when it is interrupted. Must not
know requests or responses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Unpack
from uuid import uuid4

from webapp.agents.pieces import Piece
from webapp.chat import events
from webapp.chat.coalesce import merge
from webapp.chat.endings import INTERRUPTED
from webapp.chat.reducer.parts import record
from webapp.session.background import LAST_WORDS
from webapp.session.listening import Listener
from webapp.session.reading import open_runs, stored_events
from webapp.session.runs import RunOptions, listen
from webapp.session.streams import AnyStream, DurableStream, opened
from webapp.session.whole_run import PassedOn
from webapp.streams.clients.base import (
    AppendReceipt,
    InvalidRequest,
    PayloadTooLarge,
    StaleEpoch,
    StreamError,
)
from webapp.streams.clients.producer import IdempotentProducer, ProducerLimits
from webapp.streams.clients.retry import Retry

logger = logging.getLogger(__name__)

# What comes soon after the last append was begun, or while too many are under way, shares the next one.
_WINDOW = 0.04
_LIMITS = ProducerLimits(linger=0.0)  # the listener gathers, and what it has gathered is merged

# A run outlasts a restart of its stream server.
_RETRY = Retry(attempts=100)

# What a stream may say to a chunk and still take others.
_REFUSED = (PayloadTooLarge, InvalidRequest)

_STARTED_BY: Final = "startedBy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipedRun:
    """A run that is over, and durable.

    ``outcome`` is ``success``, another outcome of AG-UI (``cancelled``, ``interrupt``), or the code of the
    RUN_ERROR it ended with. ``offset`` is the tail of the stream after it. ``duplicate``: an earlier call had
    begun the run, so this one has written nothing and knows neither.
    """

    run_id: str
    outcome: str
    offset: str
    duplicate: bool = False


async def pipe_sanitized_chunks_to_stream(
    source: AsyncIterable[Piece], stream: AnyStream, **options: Unpack[RunOptions]
) -> PipedRun:
    """Write ``source`` into ``stream`` as one whole run; return when its end is durable.

    ``source`` yields AG-UI events (dicts in camelCase, or models of ``ag-ui-protocol``), strings, or both.
    They are sanitised, cut or joined to a good size, and told to be the run's. What the source leaves out is
    added: RUN_STARTED before everything, the ends of open parts, and one RUN_FINISHED or RUN_ERROR. Ids of
    messages and tool calls are the source's, and must be like no others in the session. A source
    that raises ends with RUN_ERROR ``agent-failed`` and a sentence of ours, or those of an ``AgentError``; an
    error's own text is only logged. MESSAGES_SNAPSHOT is left out: it would undo what others say meanwhile.

    With a ``run_id`` a second call writes nothing and lets its source alone. Cancelling this call ends the
    run with RUN_ERROR ``interrupted``. ``options``: see ``RunOptions``.

    Raises the StreamError with which the stream refuses the run for good, or cannot be reached any more.
    """
    async with opened(stream) as place:
        return await pipe_run(source, place, **options)


async def pipe_run(
    source: AsyncIterable[Piece], place: DurableStream, **options: Unpack[RunOptions]
) -> PipedRun:
    """``pipe_sanitized_chunks_to_stream`` for a stream that is open."""
    token = uuid4().hex
    run, listener = listen(
        source,
        default_thread_id=place.path,
        refused=frozenset({events.MESSAGES_SNAPSHOT}),
        metadata={_STARTED_BY: token},
        **options,
    )
    pipe = _Pipe(listener, place, producer_id=lambda: f"run:{run.run_id}", prepare=merge)

    async def begin() -> bool:
        """Whether the run is this call's to write."""
        try:
            receipt = await pipe.start(run.begin())
        except StaleEpoch:
            return False
        # The producer may only have repeated what had arrived before.
        return not receipt.duplicate or await _started_by(token, run.run_id, place)

    if not await pipe.run(begin):
        return PipedRun(run_id=run.run_id, outcome="", offset="", duplicate=True)
    return PipedRun(run_id=run.run_id, outcome=run.outcome, offset=pipe.offset)


async def pipe_and_close(
    source: AsyncIterable[Any],
    place: DurableStream,
    *,
    stop: asyncio.Event | None,
    time_limit: float | None,
    clock: Callable[[], float],
) -> str:
    """Write chunks of any kind as they are and close the stream; the final offset."""
    listener = Listener(source, PassedOn(clock=clock), stop=stop, time_limit=time_limit)
    pipe = _Pipe(listener, place, producer_id=lambda: f"source:{uuid4().hex}", prepare=list, close=True)

    async def begin() -> bool:
        return True

    await pipe.run(begin)
    return pipe.offset


class _Pipe:
    """From a listener to a stream. ``producer_id`` is asked for at the first write."""

    def __init__(
        self,
        listener: Listener,
        place: DurableStream,
        *,
        producer_id: Callable[[], str],
        prepare: Callable[[list[Any]], list[Any]],
        close: bool = False,
    ) -> None:
        self.offset = ""
        """The tail after the last chunk."""
        self._listener = listener
        self._place = place
        self._producer_id = producer_id
        self._prepare = prepare
        self._close = close
        self._producer: IdempotentProducer | None = None

    async def run(self, begin: Callable[[], Awaitable[bool]]) -> bool:
        """Write everything; False if ``begin`` says that it is not ours to write."""
        # A task of its own: when we are cancelled, the end comes behind whatever is under way.
        writing = asyncio.ensure_future(self._write(begin))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._listener.fail(*INTERRUPTED)
            with suppress(TimeoutError, StreamError):
                async with asyncio.timeout(LAST_WORDS):
                    await asyncio.shield(writing)
            raise
        finally:
            writing.cancel()
            await asyncio.wait({writing})
            await self._listener.aclose()
            if self._producer is not None:
                await self._producer.aclose()

    async def start(self, chunks: list[Any]) -> AppendReceipt:
        """Append ``chunks``, or else the first one that is heard; durable on return."""
        try:
            return await self._append(chunks or await self._listener.batch(limit=1))
        except _REFUSED:
            await self._lose()
            return await self._append(await self._listener.batch(limit=1))

    async def _write(self, begin: Callable[[], Awaitable[bool]]) -> bool:
        if not await begin():
            return False
        try:
            await self._write_on()
        except _REFUSED:
            await self._lose()
            await self._write_on()
        return True

    async def _write_on(self) -> None:
        while True:
            await self._opened().room()
            chunks = self._prepare(await self._listener.batch(window=_WINDOW))
            if self._listener.over:
                break
            await self._put(chunks)
        # The end is durable on return, and so is what was put before it.
        await self._put(chunks[:-1])
        self.offset = (await self._append(chunks[-1:], close=self._close)).offset

    async def _lose(self) -> None:
        """The stream has refused a chunk, and with it all that were sent behind it."""
        logger.exception("%s: a part could not be stored", self._place.path)
        found = await open_runs(self._place)
        self._listener.lose({run_id: run.parts for run_id, run in found.items()})

    async def _put(self, chunks: list[Any]) -> None:
        await self._opened().put([events.encode(chunk) for chunk in chunks])

    async def _append(self, chunks: list[Any], *, close: bool = False) -> AppendReceipt:
        return await self._opened().append([events.encode(chunk) for chunk in chunks], close=close)

    def _opened(self) -> IdempotentProducer:
        if self._producer is None:
            self._producer = IdempotentProducer(
                self._place.client,
                self._place.path,
                producer_id=self._producer_id(),
                limits=_LIMITS,
                retry=_RETRY,
                on_failure=self._listener.nudge,
            )
        return self._producer


async def _started_by(token: str, run_id: str, place: DurableStream) -> bool:
    """Whether the run's RUN_STARTED is the one with our token."""
    async for event in stored_events(place):
        if event.get("type") == events.RUN_STARTED and event.get("runId") == run_id:
            return record(event.get("metadata")).get(_STARTED_BY) == token
    return False
