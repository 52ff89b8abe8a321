"""Responses to those who send: the answer goes to a stream, not to them.

Owns what is done before a response and what goes on after it. Must not know how chunks are batched
(``piping``) or read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Literal, TypeAlias, TypeVar, Unpack

from webapp.agents.pieces import Piece
from webapp.session.background import keep
from webapp.session.chunks import append_once, to_message_echo_chunks
from webapp.session.piping import PipedRun, pipe_and_close, pipe_run
from webapp.session.reading import wait_for_end
from webapp.session.replies import json_response, response
from webapp.session.runs import TIME_LIMIT, RunOptions
from webapp.session.streams import AnyStream, DurableStream, opened
from webapp.streams.asgi import Responder

logger = logging.getLogger(__name__)

T = TypeVar("T")
Mode: TypeAlias = Literal["immediate", "await"]


async def to_durable_chat_session_response(
    stream: AnyStream,
    *,
    new_messages: Sequence[Mapping[str, Any]],
    response_stream: AsyncIterable[Piece],
    mode: Mode = "immediate",
    wait_until: Callable[[asyncio.Task[PipedRun]], object] | None = None,
    headers: Mapping[str, str] | None = None,
    **options: Unpack[RunOptions],
) -> Responder:
    """Append ``new_messages`` to the session, pipe ``response_stream`` behind them, and return the response.

    On return the messages are durable. With ``mode="immediate"`` the answer is written in the background,
    whatever becomes of this request, and the response is 202; with ``mode="await"`` it is 200 once the run's
    end is durable, and whoever hangs up meanwhile ends nothing. The body is empty, ``Cache-Control`` is
    ``no-store``, ``X-Run-Id`` says the ``run_id`` that was given.

    A message is in the session once, however often it is sent: its ``id`` is its idempotency key. The same
    goes for a run and its ``run_id``; what else becomes of ``response_stream`` is told at
    ``pipe_sanitized_chunks_to_stream``, and the other ``options`` at ``RunOptions``.

    ``wait_until`` is handed the task that writes. An app need not keep it, but calls ``finish_writes`` when
    it stops. ``headers`` are added to the response.

    Raises StreamErrors if the messages could not be stored, and with ``mode="await"`` if the run could not
    (``to_error_response`` makes responses of them). A run that fails raises nothing: its RUN_ERROR is in the
    stream.
    """

    async def prepare(place: DurableStream) -> None:
        if place.create_if_missing:
            await place.client.ensure(place.path)
        for message in new_messages:
            echo = to_message_echo_chunks(message, clock=options.get("clock", time.time))
            await append_once(place, echo, producer_id=f"msg:{echo[0]['messageId']}")

    async def answer(place: DurableStream) -> PipedRun:
        piped = await pipe_run(response_stream, place, **options)
        if piped.duplicate and mode == "await":
            await wait_for_end(place, piped.run_id)
        return piped

    writing = await _begun(stream, response_stream, prepare, answer)
    if wait_until is not None:
        wait_until(writing)
    if mode == "await":
        await asyncio.shield(writing)
    run_id = options.get("run_id")
    named = {"X-Run-Id": run_id} if run_id else {}
    return response(200 if mode == "await" else 202, headers={**named, **(headers or {})})


async def to_durable_stream_response(
    source: AsyncIterable[Any],
    *,
    stream: AnyStream,
    mode: Mode = "immediate",
    stop: asyncio.Event | None = None,
    time_limit: float | None = TIME_LIMIT,
    wait_until: Callable[[asyncio.Task[str]], object] | None = None,
    expose_location_header: bool = True,
    headers: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Responder:
    """Write ``source`` into a stream of its own, close the stream behind it, and return where to read it.

    ``source`` yields anything that is JSON; it is written as it is, in order and once. One that raises, or
    is cut off by ``stop`` or ``time_limit`` (seconds) or at shutdown, still leaves a closed stream; unless it
    was stopped, its last chunk is a RUN_ERROR with a ``code`` and a sentence of ours.

    With ``mode="immediate"`` the response is 201 ``{"streamUrl"}``, with ``mode="await"`` it is 200
    ``{"streamUrl", "finalOffset"}`` once the stream is closed. Both have the URL in ``Location``, which
    ``expose_location_header`` lets scripts of other origins see.

    ``wait_until``, ``headers`` and what is raised: as in ``to_durable_chat_session_response``. ValueError for
    a DurableStream without ``read_url``.
    """
    url = stream.read_url or getattr(stream, "write_url", "")
    if not url:
        raise ValueError("The response says where to read the stream: give it a read_url.")

    async def prepare(place: DurableStream) -> None:
        if place.create_if_missing:
            await place.client.ensure(place.path)

    async def write(place: DurableStream) -> str:
        return await pipe_and_close(source, place, stop=stop, time_limit=time_limit, clock=clock)

    writing = await _begun(stream, source, prepare, write)
    if wait_until is not None:
        wait_until(writing)
    exposed = {"Access-Control-Expose-Headers": "Location"} if expose_location_header else {}
    told = {"Location": url, **exposed, **(headers or {})}
    if mode == "await":
        final_offset = await asyncio.shield(writing)
        return json_response(200, {"streamUrl": url, "finalOffset": final_offset}, headers=told)
    return json_response(201, {"streamUrl": url}, headers=told)


async def _begun(
    stream: AnyStream,
    source: AsyncIterable[Any],
    prepare: Callable[[DurableStream], Awaitable[None]],
    write: Callable[[DurableStream], Awaitable[T]],
) -> asyncio.Task[T]:
    """The task that writes, once everything is prepared. What is begun goes on if the caller is cancelled."""

    async def begin() -> asyncio.Task[T]:
        async with AsyncExitStack() as stack:
            try:
                place = await stack.enter_async_context(opened(stream))
                await prepare(place)
            except BaseException:
                if (close := getattr(source, "aclose", None)) is not None:
                    await close()
                raise
            return keep(go_on(place, stack.pop_all()))

    async def go_on(place: DurableStream, connections: AsyncExitStack) -> T:
        async with connections:
            try:
                return await write(place)
            except Exception as error:
                logger.error("%s: an answer could not be written: %s", place.path, error, exc_info=error)
                raise

    return await asyncio.shield(keep(begin()))
