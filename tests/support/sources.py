"""Sources of chunks; one knows what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.support.session_app import events_in
from webapp.session.streams import AnyStream

START = {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}
CALL = {"type": "TOOL_CALL_START", "toolCallId": "t", "toolCallName": "roll"}


def content(delta: str) -> dict[str, Any]:
    return {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": delta}


class Source:
    """Yields ``chunks``, then hangs or does ``ending``; knows whether it was begun and let go."""

    def __init__(self, *chunks: Any, ending: Callable[[], None] = lambda: None, hang: bool = False) -> None:
        self.chunks = chunks
        self.ending = ending
        self.hang = hang
        self.begun = False
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[Any]:
        self.begun = True
        try:
            for chunk in self.chunks:
                yield chunk
            if self.hang:
                await asyncio.Event().wait()
            self.ending()
        finally:
            self.closed = True


def raising(error: BaseException) -> Callable[[], None]:
    def ending() -> None:
        raise error

    return ending


async def say(*pieces: Any, until: asyncio.Event | None = None) -> AsyncIterator[Any]:
    """``pieces``; a last one if ``until`` is given, once it is set."""
    for piece in pieces:
        yield piece
    if until is not None:
        await until.wait()
        yield "bye"


async def has_said(stream: AnyStream, text: str) -> bool:
    """Whether the text is in the stream."""
    return text in str(await events_in(stream))
