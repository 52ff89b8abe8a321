"""One reply for all that a browser follows: any number of chats, who is in them, what is the visitor's own.

    GET /api/live?chats=<id>:<offset>,…&mine=<offset>

Each chat is asked for by itself: one that is gone, or not the visitor's to see, gives ``gone`` and the rest
goes on. Nothing is created by asking. ``live=long-poll`` and ``live=no`` are for where events do not get
through, and for those who want to know at once whether anybody answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal
from zlib import crc32

import msgspec
from litestar import get
from litestar.params import FromQuery

from webapp.chat import live
from webapp.chat.errors import ChatError, InvalidMessage
from webapp.chat.live import LiveFrame, Merge, Source
from webapp.chat.messages import Role
from webapp.sharing.losses import Loss
from webapp.streams.asgi import Responder
from webapp.streams.clients.base import StreamError, StreamGone, StreamNotFound, StreamsUnavailable
from webapp.streams.live import LIFETIME_SPREAD
from webapp.streams.protocol import names, sse
from webapp.streams.signals import first
from webapp.streams.wire import WireResponse
from webapp.web.errors import Problem, StreamRefused, describe, refusal
from webapp.web.guards import SAME_ORIGIN_READ, enter
from webapp.web.identity import Caller, Visitor
from webapp.web.services import AppServices, Services

MAX_CHATS = 100
_HEADERS = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))

Mode = Literal["sse", "long-poll", "no"]
_rng = Random()  # noqa: S311  (spreads load, guards nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for: chats with their offsets, and the place in what is the visitor's own."""

    chats: dict[str, str]
    mine: str
    mode: Mode
    cursor: str


@get("/api/live", opt={SAME_ORIGIN_READ: True})
async def read_live(
    services: AppServices,
    visitor: Caller,
    *,
    chats: FromQuery[str] = "",
    mine: FromQuery[str] = live.NOW,
    live: FromQuery[Mode] = "sse",
    cursor: FromQuery[str] = "",
) -> Responder:
    """SSE; or with ``live=long-poll`` ``{frames: [[event, data, id?]…], cursor, upToDate}`` once there is
    something; or with ``live=no`` the same at once.
    """
    wanted = Wanted(chats=_parsed(chats), mine=mine, mode=live, cursor=cursor)
    answers = {"sse": _events, "long-poll": _poll, "no": _once}

    async def answer() -> WireResponse:
        try:
            return await answers[wanted.mode](services, await _sources(services, visitor, wanted), wanted)
        except StreamError as error:
            return refusal(error)

    principal = visitor.participant.id
    return Responder(
        answer,
        slot=None if wanted.mode == "no" else (lambda: services.slots.claim(principal, f"live/{principal}")),
        write_timeout=services.settings.streams.write_timeout,
    )


def _parsed(chats: str) -> dict[str, str]:
    """Raises InvalidMessage."""
    pairs = [pair.partition(":") for pair in chats.split(",") if pair]
    found = {chat_id: offset for chat_id, _, offset in pairs}
    if len(found) != len(pairs) or len(found) > MAX_CHATS or not all(found.values()):
        raise InvalidMessage(
            f"Ask for at most {MAX_CHATS} chats, each once and as id:offset.", code="invalid-chats"
        )
    return found


async def _sources(services: Services, visitor: Visitor, wanted: Wanted) -> list[Source]:
    """A source for what is the visitor's own, and those of each chat."""
    # A token that is good for one chat tells nothing of others.
    person = visitor.participant.id if visitor.stored and visitor.only_chat is None else None
    sources = [live.signals(services.streams, person, offset=wanted.mine)]
    entering = (_stream(services, visitor, *chat) for chat in wanted.chats.items())
    for chat_id, found in zip(wanted.chats, await asyncio.gather(*entering), strict=True):
        if isinstance(found, Problem):
            sources.append(_gone(chat_id, found))
            continue
        stream, loss = found
        sources.append(_until(loss, _until_gone(chat_id, stream)))
        if wanted.mode != "no":
            sources.append(_lost(chat_id, loss))
            sources.append(_until(loss, live.people(services.presence, chat_id)))
    return sources


async def _stream(
    services: Services, visitor: Visitor, chat_id: str, offset: str
) -> tuple[Source, Loss] | Problem:
    """The chat's stream, and what fires when the visitor loses it; or why they do not see it."""
    try:
        admission = await enter(services, visitor, chat_id, Role.VIEW, create=False)
    except ChatError as refused:
        return describe(refused)
    reader = services.excerpts.reader(chat_id, since=admission.since)
    return live.chat(reader, services.sessions.path(chat_id), chat_id, offset=offset), admission.loss


async def _until(loss: Loss, source: Source) -> Source:
    """What the source has, as long as nothing is lost."""
    async with aclosing(source):
        async for frame in source:
            if loss.fired:
                return
            yield frame


async def _lost(chat_id: str, loss: Loss) -> Source:
    """Says why, once something is lost. If it is not all, the whole reply is asked for again."""
    await first(loss)
    if loss.code == "changed":
        raise StreamsUnavailable("what may be seen has changed", retry_after=1)
    sentence = "This chat was deleted." if loss.code == "deleted" else "Your access to this chat has ended."
    yield LiveFrame("gone", _told(chat_id, Problem(404, loss.code, sentence)))


async def _until_gone(chat_id: str, stream: Source) -> Source:
    """The chat's stream; whatever ends it for good is told. That it cannot be reached is for all to know."""
    try:
        async for frame in stream:
            yield frame
        return
    except StreamsUnavailable:
        raise
    except (StreamNotFound, StreamGone) as gone:
        problem = describe(StreamRefused(gone.status))
    except Exception as error:
        problem = describe(error)
    finally:
        await stream.aclose()
    yield LiveFrame("gone", _told(chat_id, problem))


async def _gone(chat_id: str, problem: Problem) -> Source:
    yield LiveFrame("gone", _told(chat_id, problem))


def _told(chat_id: str, problem: Problem) -> dict[str, object]:
    return {"id": chat_id, "code": problem.code, "error": problem.sentence, "status": problem.status}


async def _events(services: Services, sources: list[Source], wanted: Wanted) -> WireResponse:
    return WireResponse(
        status=200,
        headers=((names.CONTENT_TYPE, names.EVENT_STREAM), *_HEADERS),
        body=_frames(services, sources),
    )


async def _frames(services: Services, sources: list[Source]) -> AsyncGenerator[bytes, None]:
    """Until time is up or the server drains, which is told."""
    limits, drain, loop = services.settings.streams, services.drain, asyncio.get_running_loop()
    ends = loop.time() + limits.sse_lifetime * _rng.uniform(1 - LIFETIME_SPREAD, 1 + LIFETIME_SPREAD)
    async with Merge(sources) as merge:
        while (left := ends - loop.time()) > 0 and not drain.is_set():
            frame = await merge.next(drain, seconds=min(limits.ping_interval, left))
            if frame is not None:
                yield frame.encode()
            elif not drain.is_set():
                yield sse.PING
    yield LiveFrame("end", {}).encode()


async def _once(services: Services, sources: list[Source], wanted: Wanted) -> WireResponse:
    return _page(await live.once(sources), wanted.cursor)


async def _poll(services: Services, sources: list[Source], wanted: Wanted) -> WireResponse:
    """What is new, once there is something; after a while, nothing."""
    loop, known = asyncio.get_running_loop(), _Known(wanted.cursor)
    ends = loop.time() + services.settings.streams.long_poll_timeout
    news: list[LiveFrame] = []
    async with Merge(sources) as merge:
        wait = partial(merge.next, services.drain)
        while not news and (frame := await wait(seconds=ends - loop.time())) is not None:
            while frame is not None:
                if known.is_news(frame):
                    news.append(frame)
                frame = merge.take()
    return _page(news, known.cursor)


class _Known:
    """Which lists of people the reader has: a poll begins with all of them, and only another one is news."""

    def __init__(self, cursor: str) -> None:
        self._lists = dict(pair.partition(":")[::2] for pair in cursor.split(",") if pair)

    @property
    def cursor(self) -> str:
        return ",".join(f"{chat_id}:{digest}" for chat_id, digest in self._lists.items())

    def is_news(self, frame: LiveFrame) -> bool:
        if frame.event == "batch":
            return bool(frame.data["events"]) or not frame.data["upToDate"]
        if frame.event == "presence":
            digest, chat_id = f"{crc32(frame.body()):x}", frame.data["id"]
            if self._lists.get(chat_id) == digest:
                return False
            self._lists[chat_id] = digest
        return frame.event != "open"


def _page(frames: list[LiveFrame], cursor: str) -> WireResponse:
    body = msgspec.json.encode(
        {
            "frames": [
                (frame.event, msgspec.Raw(frame.body()), *([] if frame.id is None else [frame.id]))
                for frame in frames
            ],
            "cursor": cursor,
            "upToDate": all(frame.data.get("upToDate", True) for frame in frames),
        }
    )
    return WireResponse(status=200, headers=((names.CONTENT_TYPE, names.JSON), *_HEADERS), body=body)


ROUTES = [read_live]
