"""One WebSocket: any number of runs, one after the other or side by side.

Owns the connection's life: what its frames do, what is sent when, and with which code it is closed. A run
never depends on it. A frame of the client is a JSON object:

    RunAgentInput                      have a run, and follow it
    {type: "resume", runId, offset}    follow a run on, after the event with the id ``offset`` (or "-1")
    {type: "abort", runId}             stop a run
    {type: "ping"}                     answered by {type: "pong"}

What is sent is ``{id, chunk}`` for each event, ``{type: "ping"}`` now and then, and a RUN_ERROR without an id
for a frame that was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing, suppress
from typing import Any

import msgspec
from litestar import WebSocket
from litestar.datastructures import State
from litestar.exceptions import WebSocketException

from webapp.chat.errors import ChatNotFound, LimitReached
from webapp.chat.following import RunCursor
from webapp.chat.messages import Role
from webapp.sharing.losses import Loss
from webapp.streams.clients.base import BEGINNING, StreamError
from webapp.streams.limits import Slot
from webapp.streams.signals import first
from webapp.web.bodies import parse_json
from webapp.web.errors import MalformedBody, describe
from webapp.web.guards import Admission, check_shown, enter
from webapp.web.identity import Visitor
from webapp.web.run_frames import PING, PONG, refused_text, socket_text
from webapp.web.run_input import accept, parse_run_input
from webapp.web.run_places import RunPlace, events_from, find_run, place_after
from webapp.web.schemas import RunId
from webapp.web.services import Services

IDLE = 300.0
"""Seconds without a frame or a run after which the socket is closed."""

MAX_FOLLOWED = 32
"""Runs that one socket may follow at once."""

NORMAL, BROKEN, RESTARTING = 1000, 1011, 1012

ChatWebSocket = WebSocket[None, None, State]


class _Over(Exception):
    """The connection ends. ``code`` is None when there is nobody to say so to."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Named(msgspec.Struct, frozen=True, rename="camel"):
    run_id: RunId
    offset: str = BEGINNING


class ChatSocket:
    """An accepted socket of ``visitor``. ``chat_id`` is the chat its address names; empty, frames name it."""

    def __init__(
        self, socket: ChatWebSocket, services: Services, visitor: Visitor, *, chat_id: str, slot: Slot
    ) -> None:
        self._socket = socket
        self._slot = slot
        self._services = services
        self._visitor = visitor
        self._chat_id = chat_id
        self._writing = asyncio.Lock()
        self._followed: set[str] = set()
        self._losses: set[Loss] = set()
        self._heard_at = self._now()
        self._tasks: asyncio.TaskGroup

    async def serve(self, admission: Admission | None, resumed: RunPlace | None = None) -> None:
        """Until one side leaves. With ``resumed`` that run is followed, and the socket closed after it.

        ``admission`` is to the chat its address names. Of every chat that was entered, whatever the visitor
        loses there ends the socket: what it carries of others is taken up again.
        """
        end = _Over(BROKEN)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for work in (self._listen(), self._beat(), self._leave_when_told()):
                    self._tasks.create_task(work)
                if admission is not None:
                    self._leave_when_lost(admission)
                if resumed is not None:
                    self._follow(resumed, then_close=True)
        except* _Over as group:
            (end, *_) = (each for each in group.exceptions if isinstance(each, _Over))
        except* Exception as group:
            describe(group)  # logs it
        if end.code is not None:
            with suppress(_Over):
                await self._send_within(self._socket.close(end.code, end.reason))

    async def _listen(self) -> None:
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                raise _Over(None)
            self._heard_at = self._now()
            text = message.get("text")
            await self._heed(text.encode() if text else message.get("bytes") or b"")

    async def _heed(self, data: bytes) -> None:
        frame: dict[str, Any] = {}
        try:
            frame = parse_json(data)
            await self._act(frame)
        except _Over:
            raise
        except Exception as error:
            await self._send(refused_text(describe(error), frame.get("runId")))

    async def _act(self, frame: dict[str, Any]) -> None:
        match frame.get("type"):
            case None:
                await self._run(frame)
            case "abort":
                await self._abort(_named(frame).run_id)
            case "resume":
                await self._resume(_named(frame))
            case "ping":
                await self._send(PONG)
            case _:
                raise MalformedBody("There is no frame of this type.")

    async def _run(self, frame: dict[str, Any]) -> None:
        wanted = parse_run_input(frame)
        chat_id = self._chat_id or wanted.thread_id or ""
        admission = await enter(self._services, self._visitor, chat_id, Role.CHAT)
        self._check_room()
        self._leave_when_lost(admission)
        accepted = await accept(self._services, self._visitor, admission, wanted)
        after = RunCursor(accepted.offset)
        self._follow(RunPlace(chat_id=chat_id, run_id=accepted.run_id, after=after))

    async def _resume(self, named: _Named) -> None:
        row = await find_run(self._services, named.run_id, chat_id=self._chat_id)
        admission = await enter(self._services, self._visitor, row.chat_id, Role.VIEW)
        await check_shown(self._services, admission, row.message_id)
        self._check_room()
        self._leave_when_lost(admission)
        self._follow(place_after(row, named.offset))

    async def _abort(self, run_id: str) -> None:
        with suppress(ChatNotFound):  # there is nothing to stop
            row = await find_run(self._services, run_id, chat_id=self._chat_id)
            admission = await enter(self._services, self._visitor, row.chat_id, Role.CHAT)
            await check_shown(self._services, admission, row.message_id)
            await self._services.supervisor.stop(
                chat_id=row.chat_id, run_id=run_id, participant=self._visitor.participant
            )

    def _check_room(self) -> None:
        if len(self._followed) >= MAX_FOLLOWED:
            raise LimitReached("This connection follows too many answers. Wait for one of them.")

    def _follow(self, place: RunPlace, *, then_close: bool = False) -> None:
        # What is followed already has been sent or will be: a frame that repeats another adds nothing.
        if place.run_id not in self._followed:
            self._followed.add(place.run_id)
            self._tasks.create_task(self._pass_on(place, then_close=then_close))

    async def _pass_on(self, place: RunPlace, *, then_close: bool) -> None:
        try:
            async with aclosing(events_from(self._services, place)) as batches:
                async for batch in batches:
                    for event in batch:
                        await self._send(socket_text(event))
        except StreamError:
            code = RESTARTING if self._services.drain.is_set() else BROKEN
            raise _Over(code, "The conversation cannot be reached right now.") from None
        finally:
            self._followed.discard(place.run_id)
            self._heard_at = self._now()
        if then_close and not self._followed:
            raise _Over(NORMAL, "The run has ended.")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(min(self._services.settings.streams.ping_interval, IDLE))
            if not self._followed and self._now() >= self._heard_at + IDLE:
                raise _Over(NORMAL, "Nothing was said for a while.")
            await self._send(PING)

    def _leave_when_lost(self, admission: Admission) -> None:
        if admission.loss not in self._losses:
            self._losses.add(admission.loss)
            self._tasks.create_task(self._leave_at(admission.loss))

    async def _leave_at(self, loss: Loss) -> None:
        await first(loss)
        raise _Over(None)

    async def _leave_when_told(self) -> None:
        await first(self._services.drain, self._slot.cut)
        if self._slot.cut.fired:
            raise _Over(None)  # not closed by us: the server drops the connection without a handshake
        raise _Over(RESTARTING, "The server restarts.")

    async def _send(self, text: str) -> None:
        async with self._writing:
            await self._send_within(self._socket.send_text(text))
        # A server's send() may return at once when the client has gone: let the listener hear of it.
        await asyncio.sleep(0)

    async def _send_within(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._services.settings.streams.write_timeout):
                await sending
        except (OSError, WebSocketException, RuntimeError):
            # The client reads too slowly or has gone, or the server has closed the socket by itself.
            raise _Over(None) from None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _named(frame: dict[str, Any]) -> _Named:
    try:
        return msgspec.convert(frame, _Named)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"The frame does not fit: {error}.") from None
