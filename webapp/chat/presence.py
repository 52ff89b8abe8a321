"""Who is in each chat, across all processes: beats go into ``presence/<chatId>``, and who watches folds them.

Owns those streams. They are signals and no history: they end by themselves some minutes after the last beat,
and a long one is begun anew by whoever watches it, from what they know. Beats are best effort; nobody waits
for one. Must not know HTTP or who may see what.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import aclosing, suppress

import msgspec

from webapp.chat.presence_board import MAX_TABS, Beat, Board, Person
from webapp.streams.clients.base import (
    BEGINNING,
    ReadPage,
    StreamClient,
    StreamConflict,
    StreamError,
    StreamGone,
    StreamNotFound,
)
from webapp.streams.signals import Signal, first

logger = logging.getLogger(__name__)

STREAM_TTL = 600
"""Seconds a stream stays after its last beat."""

MAX_MESSAGES = 2000
"""A stream with more is begun anew, so that nobody has to read much to know who is here."""

_GATHER = 0.1
_RETRY = 1.0
_LOST = (StreamNotFound, StreamGone)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Beat)


class _Watch:
    """One chat as this process follows it, for as long as somebody looks."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.read = False
        self.lost = False
        """The stream was; what is known has to be told again."""
        self.ended = False
        self.news = Signal()
        self.watchers = 0
        self.task: asyncio.Task[None] | None = None
        self._people: tuple[Person, ...] = ()
        self._until: float | None = 0.0

    def people(self, now: float) -> tuple[Person, ...]:
        """The same object as long as it is the same list."""
        if self._until is not None and now >= self._until:
            people = self.board.people(now)
            self._people = self._people if people == self._people else people
            self._until = self.board.next_change(now)
        return self._people

    def seconds_left(self, now: float) -> float | None:
        """For how long the list stays as it is, if nothing is heard."""
        return None if self._until is None or not self.read else max(self._until - now, 0.01)

    def heard(self) -> None:
        self._until = 0.0
        self.tell()

    def tell(self) -> None:
        news, self.news = self.news, Signal()
        news.fire()


class Presence:
    """``ttl`` is for how long somebody is here after a beat; ``clock`` gives seconds since the epoch."""

    def __init__(self, *, streams: StreamClient, clock: Callable[[], float], ttl: float) -> None:
        self._streams = streams
        self._clock = clock
        self._ttl = ttl
        self._stream_ttl = max(STREAM_TTL, round(2 * ttl))
        self._watches: dict[str, _Watch] = {}
        self._waiting: dict[str, dict[tuple[str, str], Beat]] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}
        self._farewells: set[asyncio.Task[None]] = set()

    def beat(self, chat_id: str, beat: Beat) -> None:
        """Have a sign of life told soon, with what else there is to tell of the chat by then."""
        waiting = self._waiting.setdefault(chat_id, {})
        key = (beat.participant_id, beat.tab)
        others = sum(who == beat.participant_id for who, _ in waiting)
        if (key in waiting and waiting[key].seq > beat.seq) or (key not in waiting and others >= MAX_TABS):
            return
        waiting[key] = beat
        if chat_id not in self._writers:
            self._writers[chat_id] = asyncio.create_task(self._write(chat_id))

    def send_away(self, chat_id: str, participant_ids: Collection[str]) -> None:
        """Have these people be here no longer, as if each of their tabs had said so. One that says something
        afterwards is heard: its number is higher.
        """
        waiting = self._waiting.get(chat_id, {})
        for key in [key for key in waiting if key[0] in participant_ids]:
            del waiting[key]
        task = asyncio.create_task(self._send_away(chat_id, participant_ids))
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def follow(self, chat_id: str) -> AsyncGenerator[tuple[Person, ...], None]:
        """The whole list, at once and after each change, until this process begins to stop."""
        watch = self._watches.get(chat_id)
        if watch is None or watch.ended:
            watch = self._watches[chat_id] = _Watch(self._board())
            watch.task = asyncio.create_task(self._watch(chat_id, watch))
        watch.watchers += 1
        last: tuple[Person, ...] | None = None
        try:
            while not watch.ended:
                news, now = watch.news, self._clock()
                people = watch.people(now)
                if watch.read and people is not last:
                    last = people
                    yield people
                else:
                    await first(news, seconds=watch.seconds_left(now))
        finally:
            watch.watchers -= 1
            if not watch.watchers:
                await self._leave(chat_id, watch)

    async def people(self, chat_id: str) -> tuple[Person, ...]:
        """The list as it is now. Raises StreamsUnavailable."""
        watch = self._watches.get(chat_id)
        if watch is not None and watch.read and not watch.ended:
            return watch.people(self._clock())  # who is followed need not be read
        return (await self._read(chat_id)).people(self._clock())

    async def aclose(self) -> None:
        """Stop following and telling."""
        tasks = [*self._writers.values(), *self._farewells]
        tasks += (watch.task for watch in self._watches.values() if watch.task)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _board(self) -> Board:
        return Board(ttl=self._ttl)

    async def _read(self, chat_id: str) -> Board:
        board, offset, up_to_date = self._board(), BEGINNING, False
        with suppress(*_LOST):
            while not up_to_date:
                page = await self._streams.read(_path(chat_id), offset=offset)
                self._fold(board, page)
                offset, up_to_date = page.next_offset, page.up_to_date
        return board

    async def _send_away(self, chat_id: str, participant_ids: Collection[str]) -> None:
        try:
            board = await self._read(chat_id)
        except StreamError as error:
            logger.info("who has left chat %s cannot be told: %s", chat_id, type(error).__name__)
            return
        now = round(self._clock() * 1000)
        for said in board.beats():
            if said.participant_id in participant_ids and said.state != "gone":
                at = max(now, said.at + 1)  # of two with one number the later one counts
                self.beat(chat_id, msgspec.structs.replace(said, state="gone", typing=False, at=at))

    def _fold(self, board: Board, page: ReadPage) -> None:
        now = self._clock()
        for message in page.messages:
            try:
                board.apply(_decoder.decode(message), now=now)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # not ours

    async def _leave(self, chat_id: str, watch: _Watch) -> None:
        if self._watches.get(chat_id) is watch:
            del self._watches[chat_id]
        assert watch.task is not None
        watch.task.cancel()
        await asyncio.wait({watch.task})

    async def _watch(self, chat_id: str, watch: _Watch) -> None:
        try:
            while not await self._read_through(chat_id, watch):
                pass
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("who is in chat %s cannot be followed", chat_id)
        watch.ended = True
        watch.tell()

    async def _read_through(self, chat_id: str, watch: _Watch) -> bool:
        """Read one incarnation of the stream; whether this process begins to stop."""
        path = _path(chat_id)
        try:
            await self._ensure(path)
            if watch.lost:
                await self._append(path, watch.board.beats())
                watch.lost = False
            count, offset, up_to_date = 0, BEGINNING, False
            while not up_to_date:
                page = await self._streams.read(path, offset=offset)
                count += self._hear(watch, page)
                offset, up_to_date = page.next_offset, page.up_to_date
            watch.read = True
            watch.heard()
            async with aclosing(self._streams.tail(path, offset=offset)) as pages:
                async for page in pages:
                    count += self._hear(watch, page)
                    if count > MAX_MESSAGES:
                        await self._streams.delete(path)
                        watch.lost = True
                        return False
        except _LOST:
            watch.lost = True
            return False
        except StreamError as error:
            logger.info("who is in chat %s cannot be read: %s", chat_id, type(error).__name__)
            await asyncio.sleep(_RETRY)
            return False
        return True

    def _hear(self, watch: _Watch, page: ReadPage) -> int:
        self._fold(watch.board, page)
        if watch.read:
            watch.heard()
        return len(page.messages)

    async def _write(self, chat_id: str) -> None:
        try:
            while waiting := self._waiting.pop(chat_id, None):
                try:
                    await self._told(_path(chat_id), waiting.values())
                except StreamError as error:
                    logger.info("beats of chat %s are lost: %s", chat_id, type(error).__name__)
                # Whoever has something to say meanwhile says it together.
                await asyncio.sleep(_GATHER)
        finally:
            del self._writers[chat_id]

    async def _told(self, path: str, beats: Iterable[Beat]) -> None:
        try:
            await self._append(path, beats)
        except _LOST:
            await self._ensure(path)
            await self._append(path, beats)

    async def _append(self, path: str, beats: Iterable[Beat]) -> None:
        if messages := [_encoder.encode(beat) for beat in beats]:
            await self._streams.append(path, messages)

    async def _ensure(self, path: str) -> None:
        with suppress(StreamConflict):  # it is there, from a time of other settings
            await self._streams.ensure(path, ttl=self._stream_ttl)


def _path(chat_id: str) -> str:
    return f"presence/{chat_id}"
