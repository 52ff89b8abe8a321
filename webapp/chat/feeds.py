"""Each person's own feed: small signals that something of theirs has changed, for every tab they have open.

Owns the streams ``people/<participantId>`` and that nobody waits for them: a signal is best effort, says only
where to look again, and whoever follows looks once at the beginning anyway. Must not know what the signals
are about, nor who is concerned by what.

    {"kind": "chats", "chatId"}          the list of chats shows something else
    {"kind": "me", "name", "hue"}        they are shown so from now on
    {"kind": "draft", "chatId", "tab"}   that tab has written into the chat's message box
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import msgspec

from webapp.streams.clients.base import StreamClient, StreamError, StreamGone, StreamNotFound

logger = logging.getLogger(__name__)

Signal = Mapping[str, Any]


class Feeds:
    """The feeds of all people."""

    def __init__(self, *, streams: StreamClient) -> None:
        self._streams = streams

    async def tell(self, participant_ids: Collection[str], signal: Signal) -> None:
        """Put ``signal`` into the feeds of these people. Never raises."""
        message = msgspec.json.encode(signal)
        await asyncio.gather(*(self._tell(each, message) for each in participant_ids))

    async def follow(self, participant_id: str) -> AsyncGenerator[Signal, None]:
        """The person's signals from now on, until this process begins to stop."""
        path = _path(participant_id)
        while True:
            offset = await self._streams.ensure(path)
            try:
                async with aclosing(self._streams.tail(path, offset=offset)) as pages:
                    async for page in pages:
                        for message in page.messages:
                            if (signal := _read(message)) is not None:
                                yield signal
                return
            except (StreamNotFound, StreamGone):
                continue  # it was lost, and is made anew

    async def _tell(self, participant_id: str, message: bytes) -> None:
        path = _path(participant_id)
        try:
            try:
                await self._streams.append(path, [message])
            except StreamNotFound:
                await self._streams.ensure(path)
                await self._streams.append(path, [message])
        except StreamError as error:
            logger.info("a feed could not be told: %s", type(error).__name__)


def _path(participant_id: str) -> str:
    return f"people/{quote(participant_id, safe='')}"


def _read(message: bytes) -> Signal | None:
    try:
        signal = msgspec.json.decode(message)
    except msgspec.DecodeError:
        return None
    return signal if isinstance(signal, dict) else None
