"""Each person's feed: what is told arrives, and nobody waits for it."""

from __future__ import annotations

import json

import pytest

from tests.support.appends import stored
from tests.support.chats import World
from webapp.chat.feeds import Feeds, feed_of
from webapp.streams.clients.base import StreamsUnavailable

SIGNAL = {"kind": "chats", "chatId": "c1234567"}


@pytest.mark.parametrize("who", ["ana", "Ana Müller <ana@example.com>", "a/b?c#d", "100%"])
async def test_a_person_hears_what_they_are_told_and_no_more(world: World, who: str) -> None:
    feeds = Feeds(streams=world.client)
    await feeds.tell([who, "ben"], SIGNAL)
    await feeds.tell([who], {"kind": "draft"})
    told = {each: await stored(world.client, feed_of(each)) for each in (who, "ben")}
    assert [json.loads(each) for each in told[who]] == [SIGNAL, {"kind": "draft"}]
    assert [json.loads(each) for each in told["ben"]] == [SIGNAL]


async def test_a_feed_that_is_lost_is_made_anew(world: World) -> None:
    feeds = Feeds(streams=world.client)
    await feeds.tell(["ana"], {"kind": "before"})
    await world.client.delete(feed_of("ana"))
    await feeds.tell(["ana"], SIGNAL)
    assert [json.loads(each) for each in await stored(world.client, feed_of("ana"))] == [SIGNAL]


async def test_telling_never_fails(world: World) -> None:
    class Away:
        async def append(self, *arguments: object, **more: object) -> None:
            raise StreamsUnavailable("away")

    await Feeds(streams=Away()).tell(["ana", ".."], SIGNAL)  # type: ignore[arg-type]
    await Feeds(streams=world.client).tell(["..", "x\x00"], SIGNAL)
