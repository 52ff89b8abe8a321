"""Each person's feed: what is told arrives, and nobody waits for it."""

from __future__ import annotations

import json
from contextlib import aclosing

import pytest

from tests.support.appends import stored
from tests.support.chats import World
from tests.support.waiting import aeventually
from webapp.chat import feeds as module
from webapp.chat import live
from webapp.chat.feeds import FEED_TTL, Feeds, feed_of
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


async def test_a_long_feed_is_begun_anew_and_whoever_follows_hears_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SIGNALS", 5)
    feeds = Feeds(streams=world.client)
    await feeds.tell(["ana"], SIGNAL)
    said: list[live.LiveFrame] = []
    async with live.Merge([live.signals(world.client, "ana")]) as merge:
        opened = await merge.next(seconds=20)
        assert opened is not None
        for number in range(17):
            await feeds.tell(["ana"], {"kind": "draft", "number": number})
            # Each is heard, or that it may have been missed.
            frame = await merge.next(seconds=20)
            while frame is not None:
                said.append(frame)
                frame = merge.take()

        async def heard_the_last() -> bool:
            while (frame := merge.take()) is not None:
                said.append(frame)
            return said[-1].data.get("number") == 16

        await aeventually(heard_the_last, what="the last signal")
    numbers = [frame.data["number"] for frame in said if "number" in frame.data]
    assert numbers == sorted(set(numbers)), "each at most once, in order"
    assert {"kind": "chats"} in [frame.data for frame in said]
    assert len(await stored(world.client, feed_of("ana"))) <= 5
    # A tab that comes back with a place in a feed that is no more.
    async with aclosing(live.signals(world.client, "ana", offset=str(opened.id))) as again:
        first = await anext(again)
        assert first.event == "open"
        assert first.id != opened.id


async def test_a_feed_ends_some_time_after_the_last_signal(world: World) -> None:
    await Feeds(streams=world.client).tell(["ana"], SIGNAL)
    page = await world.client._engine.read(
        feed_of("ana"), (await world.client._store.head(feed_of("ana"))).tail
    )
    assert page.record.lifetime.ttl == FEED_TTL
