"""Snapshots: folded once, extended by the suffix, cached, and always what a replay would give."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from tests.support.chats import CHAT, World, say
from tests.support.waiting import aeventually
from webapp.agents.scripted import DemoAgent
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.snapshots import CachedSnapshot
from webapp.chat.reducer import REDUCER_VERSION, materialize
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import BEGINNING, ReadPage

PATH = f"chats/{CHAT}"
COMMANDS = ("hi", "/tool", "/approve", "/think", "/fail", "/silent", "/long 40")


class Reads:
    """A stream client that notes from where it was read."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.offsets: list[str] = []
        self.messages = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self, path: str, *, offset: str = BEGINNING) -> ReadPage:
        self.offsets.append(offset)
        page: ReadPage = await self._inner.read(path, offset=offset)
        self.messages += len(page.messages)
        return page


async def converse(world: World) -> Catalog:
    supervisor = await world.boot(DemoAgent(word_delay=0, long_word_delay=0))
    for number, text in enumerate(COMMANDS):
        await say(supervisor, text, id=f"m{number}")
    tail = await world.client.ensure(PATH)

    async def cached() -> bool:
        found = await world.catalog.snapshots.get(PATH, reducer_version=REDUCER_VERSION)
        return found is not None and found.offset == tail

    await aeventually(cached, what="the snapshot after the last run")
    return world.catalog


async def test_a_snapshot_is_what_a_replay_gives(world: World) -> None:
    catalog = await converse(world)
    snapshot = await Sessions(streams=world.client, cache=catalog.snapshots).snapshot(CHAT)
    assert snapshot.snapshot == materialize(await world.events())
    assert snapshot.offset == await world.client.ensure(PATH)


async def test_only_the_suffix_is_read(world: World) -> None:
    streams = Reads(world.client)
    sessions = Sessions(streams=streams, cache=(await converse(world)).snapshots)
    await world.catalog.snapshots.drop(PATH)
    first = await sessions.snapshot(CHAT)
    assert streams.messages == len(await world.events())

    assert await sessions.snapshot(CHAT) is first
    await world.client.append(PATH, [b'{"type":"TEXT_MESSAGE_START","messageId":"x","role":"user"}'])
    second = await sessions.snapshot(CHAT)

    assert streams.messages == len(await world.events())
    assert streams.offsets[-2:] == [first.offset, first.offset]
    assert [message["id"] for message in second.snapshot.messages][-1] == "x"
    assert first.snapshot.messages[-1]["id"] != "x"


async def test_callers_at_the_same_time_share_one_fold(world: World) -> None:
    streams = Reads(world.client)
    sessions = Sessions(streams=streams, cache=(await converse(world)).snapshots)
    await world.catalog.snapshots.drop(PATH)

    snapshots = await asyncio.gather(*(sessions.snapshot(CHAT) for _ in range(20)))

    assert all(each is snapshots[0] for each in snapshots)
    assert streams.messages == len(await world.events())


async def test_a_run_leaves_its_snapshot_for_the_next_process(world: World) -> None:
    catalog = await converse(world)
    streams = Reads(world.client)
    fresh = await Sessions(streams=streams, cache=catalog.snapshots).snapshot(CHAT)

    assert streams.messages == 0
    assert fresh.snapshot == materialize(await world.events())


async def test_every_split_gives_the_same(world: World) -> None:
    """G8: the cached fold up to any offset and the events after it are the whole."""
    catalog = await converse(world)
    events = await world.events()
    whole = materialize(events)
    pages = [(BEGINNING, 0)]
    await world.client.ensure("copy")
    for number, event in enumerate(events, 1):
        receipt = await world.client.append("copy", [msgspec.json.encode(event)])
        pages.append((receipt.offset, number))
    for offset, count in pages[::7]:
        body = msgspec.json.encode(materialize(events[:count]).to_json())
        await catalog.snapshots.put(
            "chats/split", CachedSnapshot(offset, body), reducer_version=REDUCER_VERSION
        )
        sessions = Sessions(streams=Elsewhere(world.client), cache=catalog.snapshots)
        assert (await sessions.snapshot("split")).snapshot == whole


class Elsewhere(Reads):
    """Reads ``chats/split`` from ``copy``."""

    async def ensure(self, path: str) -> str:
        return ""

    async def read(self, path: str, *, offset: str = BEGINNING) -> ReadPage:
        return await super().read("copy", offset=offset)


async def test_a_cached_snapshot_that_fits_nothing_is_made_again(world: World) -> None:
    catalog = await converse(world)
    whole = materialize(await world.events())
    for offset, body in [
        (BEGINNING, b"no json"),
        (BEGINNING, b'{"version":-1}'),
        ("9999999999999999_9999999999999999", msgspec.json.encode(whole.to_json())),
        ("not an offset", msgspec.json.encode(whole.to_json())),
    ]:
        await catalog.snapshots.put(PATH, CachedSnapshot(offset, body), reducer_version=REDUCER_VERSION)
        fresh = await Sessions(streams=world.client, cache=catalog.snapshots).snapshot(CHAT)
        assert fresh.snapshot == whole, offset


@pytest.mark.parametrize("made_again", [True, False])
async def test_a_lost_stream_starts_again(world: World, made_again: bool) -> None:
    sessions = Sessions(streams=world.client, cache=(await converse(world)).snapshots)
    await sessions.snapshot(CHAT)
    await world.client.delete(PATH)
    if made_again:
        await world.client.ensure(PATH)
    again = await sessions.snapshot(CHAT)
    assert again.snapshot.messages == []
    await world.client.append(PATH, [b'{"type":"CUSTOM","name":"x","value":1}'])
    assert (await sessions.snapshot(CHAT)).offset > again.offset


async def test_the_least_used_fold_is_forgotten(world: World) -> None:
    catalog = (await world.boot())._catalog
    sessions = Sessions(streams=world.client, cache=catalog.snapshots, capacity=2)
    one = await sessions.snapshot("one")
    two = await sessions.snapshot("two")
    assert await sessions.snapshot("one") is one
    await sessions.snapshot("three")
    assert await sessions.snapshot("one") is one
    assert await sessions.snapshot("two") is not two


async def test_a_long_stretch_is_cached_in_between(world: World) -> None:
    catalog = (await world.boot())._catalog
    sessions = Sessions(streams=world.client, cache=catalog.snapshots, save_every=3)
    path = await sessions.ensure("long")
    for number in range(3):
        assert await catalog.snapshots.get(path, reducer_version=REDUCER_VERSION) is None
        await world.client.append(path, [b'{"type":"CUSTOM","name":"x","value":%d}' % number])
        await sessions.snapshot("long")
    assert await catalog.snapshots.get(path, reducer_version=REDUCER_VERSION) is not None
