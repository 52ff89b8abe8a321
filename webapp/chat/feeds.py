"""Each person's own feed: small signals that something of theirs has changed, for every tab they have open.

Owns the streams ``people/<participantId>`` and that nobody waits for them: a signal is best effort and says
only where to look again. Whoever follows (``live.py``) looks once at the beginning anyway. So a feed need not
be kept: a long one is begun anew, and one to which nothing was said for a month ends. Must not know what the
signals are about, nor who is concerned by what.

    {"kind": "chats", "chatId"}          the list of chats shows something else
    {"kind": "me", "name", "hue"}        they are shown so from now on
    {"kind": "draft", "chatId", "tab"}   that tab has written into the chat's message box
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec

from webapp.streams.clients.base import (
    StreamClient,
    StreamConflict,
    StreamError,
    StreamGone,
    StreamNotFound,
)

logger = logging.getLogger(__name__)

Signal = Mapping[str, Any]

MAX_SIGNALS = 1000
"""After so many by one process, a feed is begun anew."""

FEED_TTL = 30 * 24 * 3600


class Feeds:
    """The feeds of all people."""

    def __init__(self, *, streams: StreamClient) -> None:
        self._streams = streams
        self._said: Counter[str] = Counter()

    async def tell(self, participant_ids: Collection[str], signal: Signal) -> None:
        """Put ``signal`` into the feeds of these people. Never raises."""
        message = msgspec.json.encode(signal)
        await asyncio.gather(*(self._tell(each, message) for each in participant_ids))

    async def _tell(self, participant_id: str, message: bytes) -> None:
        path = feed_of(participant_id)
        self._said[path] += 1
        try:
            if self._said[path] > MAX_SIGNALS:
                del self._said[path]
                await self._streams.delete(path)
            await self._streams.append(path, [message])
        except (StreamNotFound, StreamGone):
            await self._begin(path, message)
        except StreamError as error:
            logger.info("a feed could not be told: %s", type(error).__name__)

    async def _begin(self, path: str, message: bytes) -> None:
        try:
            await ensure_feed(self._streams, path)
            await self._streams.append(path, [message])
        except StreamError as error:
            logger.info("a feed could not be begun: %s", type(error).__name__)


async def ensure_feed(streams: StreamClient, path: str) -> None:
    """Have the stream be there."""
    with suppress(StreamConflict):  # it is, from a time of other settings
        await streams.ensure(path, ttl=FEED_TTL)


def feed_of(participant_id: str) -> str:
    """The stream."""
    return f"people/{quote(participant_id, safe='')}"
