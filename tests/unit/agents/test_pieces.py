"""Strings into events."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from webapp.agents.base import Event
from webapp.agents.pieces import Piece, as_events

CUSTOM: Event = {"type": "CUSTOM", "name": "x", "value": 1}


async def frame(*pieces: Piece) -> list[Event]:
    async def source() -> AsyncIterator[Piece]:
        for piece in pieces:
            yield piece

    return [event async for event in as_events(source())]


async def test_strings_become_one_message() -> None:
    assert await frame("a", "", "b") == [
        {"type": "TEXT_MESSAGE_START", "messageId": "text-1", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "text-1", "delta": "a"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "text-1", "delta": "b"},
        {"type": "TEXT_MESSAGE_END", "messageId": "text-1"},
    ]


async def test_nothing_becomes_nothing() -> None:
    assert await frame() == []
    assert await frame("") == []


async def test_an_event_stands_between_messages() -> None:
    kinds = [(event["type"], event.get("messageId")) for event in await frame("a", CUSTOM, CUSTOM, "b")]
    assert kinds == [
        ("TEXT_MESSAGE_START", "text-1"),
        ("TEXT_MESSAGE_CONTENT", "text-1"),
        ("TEXT_MESSAGE_END", "text-1"),
        ("CUSTOM", None),
        ("CUSTOM", None),
        ("TEXT_MESSAGE_START", "text-2"),
        ("TEXT_MESSAGE_CONTENT", "text-2"),
        ("TEXT_MESSAGE_END", "text-2"),
    ]


@given(st.lists(st.text() | st.just(CUSTOM)))
async def test_every_message_is_closed_and_every_letter_kept(pieces: list[Piece]) -> None:
    events = await frame(*pieces)
    kinds = [event["type"] for event in events]
    assert kinds.count("TEXT_MESSAGE_START") == kinds.count("TEXT_MESSAGE_END")
    assert "".join(event.get("delta", "") for event in events) == "".join(
        piece for piece in pieces if isinstance(piece, str)
    )
    assert kinds.count("CUSTOM") == len([piece for piece in pieces if not isinstance(piece, str)])
