"""Forks that are cut off: made once more, each is whole and has one end for every run."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from tests.support.chats import ANA, BEN, CHAT, Gate, Streams, World, check_runs, of, said, say
from tests.support.waiting import aeventually
from webapp.chat.catalog import Chat
from webapp.chat.errors import Conflict
from webapp.chat.forks import Forks
from webapp.chat.sessions import Sessions
from webapp.chat.telling import Telling
from webapp.streams.clients.base import StreamClient

FORK = "the-fork-of-mine"


def forks(world: World, streams: Streams | StreamClient) -> Forks:
    """As another process would have them."""
    client: StreamClient = streams  # type: ignore[assignment]
    sessions = Sessions(streams=client, cache=world.catalog.snapshots)
    telling = Telling(streams=client, sessions=sessions)
    return Forks(streams=client, sessions=sessions, telling=telling, catalog=world.catalog, clock=time.time)


async def answering(world: World, gate: Gate) -> Chat:
    """A chat in which an answer has begun and does not go on before the gate opens."""
    supervisor = await world.boot(gate)
    await say(supervisor, "hello", wait=False)
    await aeventually(lambda: said(world, "hello: "), what="it begins to answer")

    async def named() -> Chat | None:
        chat = await world.catalog.get_chat(CHAT)
        return chat if chat and chat.title else None

    chat = await aeventually(named, what="the chat has a name")
    assert chat is not None
    return chat


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_fork_that_is_cut_off_is_made_once_more(world: World, moment: str) -> None:
    gate = Gate()
    chat = await answering(world, gate)
    streams = Streams(world.client)
    setattr(streams, f"halt_{moment}", lambda events: bool(of(events, "RUN_FINISHED")))
    first = forks(world, streams)
    place = await first.places.end(CHAT)
    dying = asyncio.create_task(first.fork(chat, FORK, at=place, by=ANA))
    await asyncio.wait_for(streams.reached.wait(), 10)
    assert await world.catalog.get_chat(FORK) is None, "nobody sees half of it"
    dying.cancel()
    made, token = await forks(world, world.client).fork(chat, FORK, at=place, by=ANA)
    assert token
    assert (made.parent_id, made.title) == (CHAT, "hello (fork)")
    events = await world.events(FORK)
    check_runs(events)
    (end,) = of(events, "RUN_FINISHED")
    assert end["outcome"] == {"type": "cancelled"}
    assert await forks(world, world.client).fork(chat, FORK, at=place, by=ANA) == (made, None)
    assert await world.events(FORK) == events
    with pytest.raises(Conflict):
        await forks(world, world.client).fork(chat, FORK, at=place, by=BEN)
    gate.open.set()


async def test_a_fork_of_a_part_has_nothing_else(world: World) -> None:
    supervisor = await world.boot()
    for number in (1, 2, 3):
        await say(supervisor, f"word{number}", id=f"m{number}")
    chat = await world.catalog.get_chat(CHAT)
    assert chat is not None
    row = (await world.catalog.runs.attempts(CHAT, "m2"))[0]
    maker = forks(world, world.client)
    place = await maker.places.stretch(CHAT, "m3", since=row.offset or "")

    async def everything(messages: object) -> list[bytes]:
        return list(messages)  # type: ignore[call-overload, no-any-return]

    named = replace(chat, title="Plans")
    await maker.fork(named, FORK, at=place, by=BEN, message_id="m3", sieve=everything)
    snapshot = await maker._sessions.snapshot(FORK)
    assert [m["role"] for m in snapshot.snapshot.messages] == ["user", "assistant", "user"]
    assert not any(b"word1" in raw for raw in (await world.client.read(f"chats/{FORK}")).messages)
