"""Writes a source of chunks into a stream: in batches, each once, up to exactly one end.

Owns the producer of a run, when a batch is due, and the run's last words when it is interrupted. Must not
know requests or responses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Unpack
from uuid import uuid4

from webapp.agents.pieces import Piece
from webapp.chat import events
from webapp.chat.coalesce import merge
from webapp.chat.reducer.parts import record
from webapp.session.background import LAST_WORDS
from webapp.session.listening import Listener
from webapp.session.reading import stored_events
from webapp.session.runs import RunOptions, listen
from webapp.session.streams import AnyStream, DurableStream, opened
from webapp.session.whole_run import INTERRUPTED, PassedOn
from webapp.streams.clients.base import (
    AppendReceipt,
    InvalidRequest,
    PayloadTooLarge,
    StaleEpoch,
    StreamError,
)
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry

logger = logging.getLogger(__name__)

# What comes while the last append is in flight, or soon after it was begun, shares the next one.
_WINDOW = 0.04

# A run outlasts a restart of its stream server.
_RETRY = Retry(attempts=100)

# One append stays well below what any stream server takes.
_APPEND_BYTES = 1024 * 1024
_APPEND_MESSAGES = 500

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
            receipt = await pipe.write(run.begin() or await pipe.heard())
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


async def append_chunks(
    producer: IdempotentProducer, chunks: Sequence[Any], *, close: bool = False
) -> AppendReceipt:
    """Append in pieces that any server takes. The receipt has the last offset and the first ``duplicate``."""
    groups = list(_groups([events.encode(chunk) for chunk in chunks])) or [[]]
    receipts = [
        await producer.append(group, close=close and number == len(groups))
        for number, group in enumerate(groups, start=1)
    ]
    return AppendReceipt(receipts[-1].offset, receipts[0].duplicate)


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
        """The tail after what was written last."""
        self._listener = listener
        self._place = place
        self._producer_id = producer_id
        self._prepare = prepare
        self._close = close
        self._producer: IdempotentProducer | None = None
        self._appending: asyncio.Future[AppendReceipt] | None = None
        self._is_last = False
        self._has_lost = False

    async def run(self, begin: Callable[[], Awaitable[bool]]) -> bool:
        """Write everything; False if ``begin`` says that it is not ours to write."""
        beginning = asyncio.ensure_future(begin())
        try:
            if not await asyncio.shield(beginning):
                return False
            await self._write_on()
        except asyncio.CancelledError:
            await self._last_words(beginning)
            raise
        finally:
            await self._listener.aclose()
            if self._producer is not None:
                await self._producer.aclose()
        return True

    async def heard(self) -> list[Any]:
        return await self._listener.batch(window=_WINDOW)

    async def write(self, chunks: list[Any]) -> AppendReceipt:
        """Append the chunks that were heard last. If they are refused, the end that says so."""
        self._is_last = self._listener.over
        # Not cut short by a cancellation: what is under way may be the end, and nobody could tell.
        self._appending = asyncio.ensure_future(self._append(chunks, close=self._close and self._is_last))
        try:
            receipt = await asyncio.shield(self._appending)
        except (PayloadTooLarge, InvalidRequest):
            if self._has_lost:
                raise
            logger.exception("%s: a part could not be stored", self._place.path)
            self._has_lost = True
            self._listener.lose()
            return await self.write(await self.heard())
        self.offset = receipt.offset
        return receipt

    async def _write_on(self) -> None:
        while not self._is_last:
            await self.write(await self.heard())

    async def _last_words(self, beginning: Awaitable[bool]) -> None:
        self._listener.fail(*INTERRUPTED)
        with suppress(TimeoutError, StreamError):
            async with asyncio.timeout(LAST_WORDS):
                if await beginning:
                    if self._appending is not None:
                        await self._appending
                    await self._write_on()

    async def _append(self, chunks: list[Any], *, close: bool) -> AppendReceipt:
        if not chunks and not close:
            return AppendReceipt(self.offset)
        if self._producer is None:
            self._producer = IdempotentProducer(
                self._place.client, self._place.path, producer_id=self._producer_id(), retry=_RETRY
            )
        return await append_chunks(self._producer, self._prepare(chunks), close=close)


async def _started_by(token: str, run_id: str, place: DurableStream) -> bool:
    """Whether the run's RUN_STARTED is the one with our token."""
    async for event in stored_events(place):
        if event.get("type") == events.RUN_STARTED and event.get("runId") == run_id:
            return record(event.get("metadata")).get(_STARTED_BY) == token
    return False


def _groups(messages: Sequence[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for message in messages:
        if group and (size + len(message) > _APPEND_BYTES or len(group) == _APPEND_MESSAGES):
            yield group
            group, size = [], 0
        group.append(message)
        size += len(message)
    if group:
        yield group
