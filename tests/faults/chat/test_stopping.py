"""Stopping a run whose owner is dead, cut off or gone: it ends late, not never, by whoever asked first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.chats import (
    ANA,
    BEN,
    CHAT,
    Gate,
    Streams,
    World,
    check_runs,
    of,
    said,
    say,
    text_of,
)
from tests.support.fault_proxy import FaultProxy
from tests.support.stream_server import PATIENCE, StreamServer, stream_server, url_of
from tests.support.waiting import aeventually
from webapp.agents.base import Event
from webapp.chat.runs import RunLimits, Supervisor
from webapp.streams.clients.base import AppendReceipt, ReadPage, StreamsUnavailable
from webapp.streams.clients.http import HttpStreamClient

# Leases are looked at often, and end only when a test says so; a request to the dead is not waited for.
LIMITS = RunLimits(lease=0.3, agent_farewell=0.05, window=0.005)


class Clock:
    """A clock that stands still, so that a lease lasts as long as a test wants."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def expire_leases(self) -> None:
        self.now += 2 * LIMITS.lease


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def stop(process: Supervisor, run_id: str, *, by: object = BEN) -> bool:
    return await process.stop(chat_id=CHAT, run_id=run_id, participant=by)  # type: ignore[arg-type]


def signals(events: list[Event], name: str) -> list[tuple[str, str]]:
    """The runs and people that a signal names."""
    values = [event["value"] for event in of(events, "CUSTOM") if event["name"] == name]
    return [(value["runId"], value["participantId"]) for value in values]


async def test_whoever_takes_over_from_the_dead_knows_who_wanted_a_stop(world: World, clock: Clock) -> None:
    gate = Gate()
    owner = await world.boot(gate, shared=True, limits=LIMITS, clock=clock)
    await say(owner, "first", id="m1", run_id="r1", wait=False)
    await aeventually(lambda: said(world, "first: "))
    await say(owner, "second", id="m2", run_id="r2", wait=False)
    await say(owner, "third", id="m3", run_id="r3", wait=False)
    await world.crash()

    heir = await world.boot(gate, shared=True, limits=LIMITS, clock=clock)
    gate.open.set()
    for run_id in ("r1", "r2"):
        # The second time as after a lost reply; and another person is later, which is no error.
        assert await stop(heir, run_id)
        assert await stop(heir, run_id)
        assert not await stop(heir, run_id, by=ANA)
    assert signals(await world.events(), "run.stop-requested") == [("r1", "ben"), ("r2", "ben")]
    clock.expire_leases()
    await heir.wait("r3")

    events = await world.events()
    assert sorted(signals(events, "run.stopped-by")) == [("r1", "ben"), ("r2", "ben")]
    outcomes = {event["runId"]: event.get("outcome") for event in of(events, "RUN_FINISHED")}
    assert outcomes == {"r1": {"type": "cancelled"}, "r2": {"type": "cancelled"}, "r3": None}
    assert [text_of(events, run) for run in ("r1", "r2", "r3")] == ["first: ", "", "third: done"]
    assert gate.waiting == ["first", "third"]
    check_runs(events)
    row = await world.catalog.runs.get("r1")
    assert row is not None
    assert row.outcome == "cancelled"


async def test_of_two_who_ask_at_once_the_first_counts(world: World, clock: Clock) -> None:
    """Neither has seen the other's request, and the owner hears none."""

    class Together(Streams):
        both = asyncio.Barrier(2)

        async def append(self, *args: Any, **options: Any) -> AppendReceipt:
            await self.both.wait()
            return await super().append(*args, **options)

    owner = await world.boot(Gate(), shared=True, limits=LIMITS, clock=clock)
    await say(owner, "question", run_id="r1", wait=False)
    await aeventually(lambda: said(world, "question: "))
    await world.crash()
    processes = [
        await world.boot(shared=True, limits=LIMITS, clock=clock, streams=Together(world.client))
        for _ in range(2)
    ]

    people = (ANA, BEN)
    told = await asyncio.gather(
        *(stop(process, "r1", by=by) for process, by in zip(processes, people, strict=True))
    )

    [(_, first)] = signals(await world.events(), "run.stop-requested")
    assert told == [person.id == first for person in people]


class Deaf(Streams):
    """Nothing that is new is heard of."""

    async def tail(self, path: str, *, offset: str) -> AsyncIterator[ReadPage]:
        await asyncio.Event().wait()
        yield ReadPage((), offset, True)


async def test_a_message_that_is_not_in_the_stream_yet(world: World, clock: Clock) -> None:
    gate, streams = Gate(), Streams(world.client)
    owner = await world.boot(gate, shared=True, limits=LIMITS, clock=clock, streams=streams)
    streams.halt_before = lambda events: events[0]["type"] == "TEXT_MESSAGE_START"
    sending = asyncio.create_task(say(owner, "question", run_id="r1", wait=False))
    await asyncio.wait_for(streams.reached.wait(), 15)
    await world.crash()
    with suppress(asyncio.CancelledError):
        await sending

    heir = await world.boot(gate, shared=True, limits=LIMITS, clock=clock, streams=Deaf(world.client))
    assert await stop(heir, "r1")
    clock.expire_leases()
    await heir.wait("r1")

    events = await world.events()
    assert events[0]["name"] == "run.stop-requested"
    assert signals(events, "run.stopped-by") == [("r1", "ben")]
    assert gate.waiting == []
    check_runs(events)


async def test_an_end_without_its_row_is_left_as_it_is(world: World, clock: Clock) -> None:
    """The owner died between the terminal event and the row."""
    streams = Streams(world.client)
    owner = await world.boot(shared=True, limits=LIMITS, clock=clock, streams=streams)
    streams.halt_after = lambda events: events[-1]["type"] == "RUN_FINISHED"
    await say(owner, "question", run_id="r1", wait=False)
    await asyncio.wait_for(streams.reached.wait(), 15)
    await world.crash()
    events = await world.events()

    heir = await world.boot(shared=True, limits=LIMITS, clock=clock)
    assert not await stop(heir, "r1")

    assert await world.events() == events


async def test_what_is_taken_over_goes_before_what_waits_for_it(world: World, clock: Clock) -> None:
    gate = Gate()
    doomed = await world.boot(gate, shared=True, limits=LIMITS, clock=clock)
    await say(doomed, "1", id="m1", run_id="r1", wait=False)
    await aeventually(lambda: said(world, "1: "))
    await say(doomed, "2", id="m2", run_id="r2", wait=False)
    await world.crash()
    heir = await world.boot(gate, shared=True, limits=LIMITS, clock=clock)
    await say(heir, "3", id="m3", run_id="r3", wait=False)

    gate.open.set()
    clock.expire_leases()
    for run_id in ("r1", "r2", "r3"):
        await heir.wait(run_id)

    events = await world.events()
    order = [event["runId"] for event in events if event["type"].startswith("RUN_")]
    assert order == ["r1", "r1", "r2", "r2", "r3", "r3"]
    assert of(events, "RUN_ERROR")[0]["code"] == "interrupted"
    assert gate.waiting == ["1", "2", "3"]
    check_runs(events)


@pytest.fixture
async def server() -> AsyncIterator[StreamServer]:
    async with stream_server() as server:
        yield server


@pytest.fixture
async def elsewhere(server: StreamServer, tmp_path: Path) -> AsyncIterator[World]:
    """A chat whose streams are those of ``server``."""
    world = World(server.engine.store, tmp_path)
    yield world
    await world.aclose()


async def test_a_request_arrives_late_at_an_owner_that_is_cut_off(
    elsewhere: World, server: StreamServer, start_proxy: Callable[[int], FaultProxy]
) -> None:
    gate, proxy = Gate(), start_proxy(server.port)
    limits = RunLimits(agent_farewell=0.05, window=0.005)
    client = HttpStreamClient(url_of(proxy.port), patience=PATIENCE)
    owner = await elsewhere.boot(gate, shared=True, limits=limits, streams=client)
    other = await elsewhere.boot(gate, shared=True, limits=limits)
    for number in range(5):
        run_id = f"r{number}"
        await say(owner, str(number), id=f"m{number}", run_id=run_id, wait=False)
        await aeventually(lambda number=number: said(elsewhere, f"{number}: "))  # type: ignore[misc]
        proxy.down()
        assert await stop(other, run_id)
        assert signals(await elsewhere.events(), "run.stopped-by") == [
            (f"r{earlier}", "ben") for earlier in range(number)
        ]
        proxy.up()
        await asyncio.wait_for(owner.wait(run_id), 15)
    events = await elsewhere.events()
    assert signals(events, "run.stopped-by") == [(f"r{number}", "ben") for number in range(5)]
    check_runs(events)
    await owner.aclose()
    await client.aclose()


async def test_whoever_cannot_ask_is_told_so(
    elsewhere: World, server: StreamServer, start_proxy: Callable[[int], FaultProxy]
) -> None:
    gate, proxy = Gate(), start_proxy(server.port)
    client = HttpStreamClient(url_of(proxy.port), patience=PATIENCE)
    owner = await elsewhere.boot(gate, shared=True)
    other = await elsewhere.boot(gate, shared=True, streams=client)
    await say(owner, "question", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    proxy.down()
    with pytest.raises(StreamsUnavailable):
        await stop(other, "r1")
    assert await stop(owner, "r1")
    proxy.up()
    assert not await stop(other, "r1")
    assert signals(await elsewhere.events(), "run.stop-requested") == []
    await other.aclose()
    await client.aclose()


async def test_a_stream_server_that_restarts_between_a_run_and_its_stop(
    elsewhere: World, server: StreamServer
) -> None:
    gate, clients = Gate(), [HttpStreamClient(server.url, patience=PATIENCE) for _ in range(2)]
    owner, other = [await elsewhere.boot(gate, shared=True, streams=client) for client in clients]
    await say(owner, "question", run_id="r1", wait=False)
    await aeventually(lambda: said(elsewhere, "question: "))
    await aeventually(lambda: clients[0].tails == 1)
    await server.stop()
    await server.start()

    assert await stop(other, "r1")

    events = await elsewhere.events()
    assert signals(events, "run.stopped-by") == [("r1", "ben")]
    check_runs(events)
    await owner.wait("r1")
    # Nobody is left who follows the chat.
    await aeventually(lambda: all(client.tails == 0 for client in clients))
    for process, client in zip((owner, other), clients, strict=True):
        await process.aclose()
        await client.aclose()
