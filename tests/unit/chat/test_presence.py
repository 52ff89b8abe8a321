"""Presence over streams: several processes see the same people, whatever becomes of the stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from random import Random
from typing import Any

import pytest

from tests.support.appends import stored
from tests.support.scheduler import interleave
from tests.support.waiting import aeventually
from webapp.chat import presence as module
from webapp.chat.presence import Presence
from webapp.chat.presence_board import Beat, Person
from webapp.streams.clients.base import StreamNotFound
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.store.memory import MemoryStore

CHAT = "chat-1"
PATH = f"presence/{CHAT}"

Make = Callable[..., Presence]


def beat(who: str = "ana", tab: str = "t1", seq: int = 1, **said: Any) -> Beat:
    about: dict[str, Any] = {"hue": 3, "guest": False, "role": "chat", "state": "active"}
    about |= {"name": who.capitalize(), "at": round(time.time() * 1000)}
    return Beat(**{**about, "participant_id": who, "tab": tab, "seq": seq, **said})


@pytest.fixture
async def client() -> AsyncIterator[LocalStreamClient]:
    store = MemoryStore()
    yield LocalStreamClient(Engine(store))
    await store.aclose()


@pytest.fixture
async def process(client: LocalStreamClient) -> AsyncIterator[Make]:
    """Make one that is another process's, as far as it knows."""
    async with AsyncExitStack() as stack:

        def make(*, ttl: float = 75.0) -> Presence:
            made = Presence(streams=client, clock=time.time, ttl=ttl)
            stack.push_async_callback(made.aclose)
            return made

        yield make


class Watcher:
    """Follows a chat and keeps every list."""

    def __init__(self, presence: Presence) -> None:
        self.lists: list[tuple[Person, ...]] = []
        self.task = asyncio.create_task(self._follow(presence))

    async def _follow(self, presence: Presence) -> None:
        async with aclosing(presence.follow(CHAT)) as lists:
            async for people in lists:
                self.lists.append(people)

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.lists[-1]] if self.lists else ["?"]

    async def sees(self, *names: str) -> None:
        await aeventually(lambda: self.names == list(names), what=f"{names}, not {self.names}")

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


async def test_every_process_sees_the_same_people(process: Make) -> None:
    here, there = process(), process()
    one, two = Watcher(here), Watcher(there)
    await one.sees()
    await two.sees()
    here.beat(CHAT, beat())
    there.beat(CHAT, beat("ben"))
    for watcher in (one, two):
        await watcher.sees("Ana", "Ben")
    assert await here.people(CHAT) == await process().people(CHAT) == one.lists[-1] == two.lists[-1]
    for watcher in (one, two):
        await watcher.leave()


async def test_whoever_comes_later_has_the_list_at_once(process: Make) -> None:
    here = process()
    here.beat(CHAT, beat())
    await aeventually(lambda: here.people(CHAT))
    late = Watcher(process())
    await late.sees("Ana")
    assert [len(people) for people in late.lists] == [1]
    await late.leave()


async def test_only_what_changes_is_told(process: Make) -> None:
    here = process()
    watcher = Watcher(here)
    await watcher.sees()
    for seq in range(1, 6):
        here.beat(CHAT, beat(seq=seq))
        await aeventually(lambda seq=seq: _seq(here, seq))
    here.beat(CHAT, beat("ben"))
    await watcher.sees("Ana", "Ben")
    assert [[one.name for one in people] for people in watcher.lists] == [[], ["Ana"], ["Ana", "Ben"]]
    await watcher.leave()


async def _seq(presence: Presence, seq: int) -> bool:
    return await presence.people(CHAT) != () and not presence._waiting


async def test_silence_ends_a_stay_and_typing_while_nothing_is_heard(process: Make) -> None:
    here = process(ttl=0.4)
    watcher = Watcher(here)
    await watcher.sees()
    here.beat(CHAT, beat(typing=True))
    await watcher.sees("Ana")
    await watcher.sees()
    await watcher.leave()


def test_typing_is_seen_at_once_and_ends_though_the_typist_vanishes() -> None:
    """AC-59, on a loop whose time moves only while nothing is to be done, at whatever moment the key is hit.

    The tab says so with its first key and again with one that comes 2.5 s later (presence.js); it vanishes
    with its last key, whether it had just said so or not.
    """

    async def race(rng: Random) -> None:
        loop = asyncio.get_running_loop()
        now = lambda: 1_800_000_000.0 + loop.time()  # noqa: E731 - a clock
        said = lambda who, seq, typing: beat(who, seq=seq, typing=typing, at=round(now() * 1000))  # noqa: E731
        store = MemoryStore()
        streams = LocalStreamClient(Engine(store))
        here, there = (Presence(streams=streams, clock=now, ttl=75.0) for _ in range(2))
        changes: list[tuple[float, list[str]]] = []

        async def watch() -> None:
            async with aclosing(there.follow(CHAT)) as lists:
                async for people in lists:
                    changes.append((loop.time(), [one.name for one in people if one.typing]))

        watching = asyncio.create_task(watch())
        # Others are heard meanwhile, so that the typist's word may have to wait for its turn.
        here.beat(CHAT, said("ben", 1, False))
        await asyncio.sleep(rng.uniform(0, 0.3))
        first_key = loop.time()
        here.beat(CHAT, said("ana", 1, True))
        last_key = first_key + rng.uniform(0, 4.9)
        if last_key >= first_key + 2.5:
            await asyncio.sleep(rng.uniform(2.5, last_key - first_key))
            here.beat(CHAT, said("ana", 2, True))
        await asyncio.sleep(30)
        shown = next(at for at, names in changes if names == ["Ana"])
        ended = next(at for at, names in changes if at > shown and not names)
        assert shown - first_key < 0.5
        assert ended - last_key <= 6
        assert changes[-1][1] == []
        watching.cancel()
        await asyncio.wait({watching})
        for each in (here, there):
            await each.aclose()
        await store.aclose()

    interleave(race, rng=Random(7), times=50)


async def test_no_ghosts_after_a_restart(client: LocalStreamClient, process: Make) -> None:
    """The stream outlives the process; those who died with it are gone when their time is up."""
    first = process(ttl=0.5)
    first.beat(CHAT, beat())
    await aeventually(lambda: first.people(CHAT))
    await first.aclose()
    await aeventually(lambda: _empty(process(ttl=0.5)))
    assert len(await stored(client, PATH)) == 1


async def _empty(presence: Presence) -> bool:
    return await presence.people(CHAT) == ()


async def test_a_stream_that_is_lost_is_made_anew_from_what_is_known(
    client: LocalStreamClient, process: Make
) -> None:
    here, there = process(), process()
    one, two = Watcher(here), Watcher(there)
    here.beat(CHAT, beat())
    await one.sees("Ana")
    await two.sees("Ana")
    await client.delete(PATH)
    there.beat(CHAT, beat("ben"))
    for watcher in (one, two):
        await watcher.sees("Ana", "Ben")
    newcomer = Watcher(process())
    await newcomer.sees("Ana", "Ben")
    for watcher in (one, two, newcomer):
        await watcher.leave()
    assert not here._watches


async def test_a_long_stream_is_begun_anew(
    client: LocalStreamClient, process: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_MESSAGES", 5)
    monkeypatch.setattr(module, "_GATHER", 0.0)
    here = process()
    watchers = [Watcher(here), Watcher(process())]
    for seq in range(1, 30):
        here.beat(CHAT, beat(seq=seq))
        await aeventually(lambda: not here._waiting)
    here.beat(CHAT, beat("ben"))
    for watcher in watchers:
        await watcher.sees("Ana", "Ben")
    assert len(await stored(client, PATH)) < 15
    for watcher in watchers:
        assert [] not in [list(people) for people in watcher.lists[1:]]
        await watcher.leave()


async def test_beats_at_the_same_time_are_one_append(client: LocalStreamClient, process: Make) -> None:
    here = process()
    await client.ensure(PATH, ttl=600)
    appends: list[int] = []
    append = client.append

    async def counted(path: str, messages: list[bytes], **more: Any) -> Any:
        appends.append(len(messages))
        return await append(path, messages, **more)

    client.append = counted  # type: ignore[method-assign, assignment]
    for number in range(200):
        here.beat(CHAT, beat(f"p{number}"))
    for seq in range(2, 100):
        here.beat(CHAT, beat("p0", seq=seq))
    await aeventually(lambda: _count(here, 200))
    assert sum(appends) == 200
    assert len(appends) <= 2


async def _count(presence: Presence, count: int) -> bool:
    return len(await presence.people(CHAT)) == count


async def test_nobody_is_there_where_nobody_ever_was(client: LocalStreamClient, process: Make) -> None:
    assert await process().people(CHAT) == ()
    with pytest.raises(StreamNotFound):
        await client.read(PATH)


async def test_what_is_no_beat_is_passed_over(client: LocalStreamClient, process: Make) -> None:
    await client.ensure(PATH, ttl=600)
    await client.append(PATH, [b'{"tab": 1}', b"[]", b'"x"', b'{"participantId": "eve"}'])
    here = process()
    here.beat(CHAT, beat())
    await aeventually(lambda: here.people(CHAT))
    assert [one.name for one in await here.people(CHAT)] == ["Ana"]


async def test_the_stream_ends_some_time_after_the_last_beat(
    client: LocalStreamClient, process: Make
) -> None:
    here = process()
    here.beat(CHAT, beat())
    await aeventually(lambda: here.people(CHAT))
    page = await client._engine.read(PATH, (await client._store.head(PATH)).tail)
    assert page.record.lifetime.ttl == module.STREAM_TTL


async def test_whoever_is_sent_away_is_gone_in_every_process(process: Make) -> None:
    """Each process does it when it hears of the loss; a tab that is let in again is heard again."""
    here, there = process(), process()
    watchers = [Watcher(here), Watcher(there)]
    here.beat(CHAT, beat())
    here.beat(CHAT, beat(tab="t2", device="phone", typing=True))
    there.beat(CHAT, beat("ben", seq=7))
    for watcher in watchers:
        await watcher.sees("Ana", "Ben")
    here.beat(CHAT, beat(tab="t3"))  # let in before, and not told yet
    for each in (here, there):
        each.send_away(CHAT, {"ana", "nobody"})
    for watcher in watchers:
        await watcher.sees("Ben")
    assert [one.name for one in await process().people(CHAT)] == ["Ben"]
    there.beat(CHAT, beat(seq=2))
    for watcher in watchers:
        await watcher.sees("Ana", "Ben")
        await watcher.leave()


async def test_who_is_followed_is_not_read_again(
    client: LocalStreamClient, process: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = process()
    watcher = Watcher(here)
    here.beat(CHAT, beat())
    await watcher.sees("Ana")
    reads: list[str] = []
    read = client.read

    async def counted(path: str, **more: Any) -> Any:
        reads.append(path)
        return await read(path, **more)

    monkeypatch.setattr(client, "read", counted)
    assert [one.name for one in await here.people(CHAT)] == ["Ana"]
    assert [one.name for one in await process().people(CHAT)] == ["Ana"]
    assert len(reads) == 1
    await watcher.leave()
