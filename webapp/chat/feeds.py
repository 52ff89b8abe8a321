"""Each person's own feed: small signals that something of theirs has changed, for every tab they have open.

Owns the streams ``people/<participantId>`` and that nobody waits for them: a signal is best effort and says
only where to look again. Whoever follows (``live.py``) looks once at the beginning anyway. Must not know what
the signals are about, nor who is concerned by what.

    {"kind": "chats", "chatId"}          the list of chats shows something else
    {"kind": "me", "name", "hue"}        they are shown so from now on
    {"kind": "draft", "chatId", "tab"}   that tab has written into the chat's message box
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from webapp.streams.clients.base import StreamClient, StreamError, StreamNotFound

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

    async def _tell(self, participant_id: str, message: bytes) -> None:
        path = feed_of(participant_id)
        try:
            try:
                await self._streams.append(path, [message])
            except StreamNotFound:
                await self._streams.ensure(path)
                await self._streams.append(path, [message])
        except StreamError as error:
            logger.info("a feed could not be told: %s", type(error).__name__)


def feed_of(participant_id: str) -> str:
    """The stream."""
    return f"people/{quote(participant_id, safe='')}"
