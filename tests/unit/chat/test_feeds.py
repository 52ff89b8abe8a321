"""Each person's feed: what is told arrives, and nobody waits for it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tests.support.chats import World
from tests.support.waiting import aeventually
from webapp.chat.feeds import Feeds, Signal
from webapp.streams.clients.base import StreamsUnavailable

SIGNAL = {"kind": "chats", "chatId": "c1234567"}


async def gather(feeds: Feeds, who: str, into: list[Signal]) -> None:
    async with aclosing(feeds.follow(who)) as signals:
        async for signal in signals:
            into.append(signal)


@pytest.mark.parametrize("who", ["ana", "Ana Müller <ana@example.com>", "a/b?c#d"])
async def test_a_person_hears_what_they_are_told_and_no_more(world: World, who: str) -> None:
    feeds = Feeds(streams=world.client)
    await feeds.tell([who], {"kind": "before"})
    heard: list[Signal] = []
    following = asyncio.create_task(gather(feeds, who, heard))

    async def told() -> bool:
        await feeds.tell([who, "ben"], SIGNAL)
        return bool(heard)

    await aeventually(told, what="the first signal")
    assert all(each == SIGNAL for each in heard)
    following.cancel()


async def test_a_feed_that_is_lost_is_made_anew(world: World) -> None:
    feeds = Feeds(streams=world.client)
    heard: list[Signal] = []
    following = asyncio.create_task(gather(feeds, "ana", heard))

    async def told() -> bool:
        await feeds.tell(["ana"], SIGNAL)
        return bool(heard)

    await aeventually(told)
    await world.client.delete("people/ana")
    heard.clear()
    await aeventually(told, what="a signal after the loss")
    following.cancel()


async def test_telling_never_fails(world: World) -> None:
    class Away:
        async def append(self, *arguments: object, **more: object) -> None:
            raise StreamsUnavailable("away")

    await Feeds(streams=Away()).tell(["ana", ".."], SIGNAL)  # type: ignore[arg-type]
    await Feeds(streams=world.client).tell(["..", "x\x00"], SIGNAL)
