"""Several processes on one stream server and one catalog: stopping each other's runs, and taking turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.chats import (
    ANA,
    BEN,
    CHAT,
    Gate,
    Streams,
    World,
    agent,
    check_runs,
    of,
    said,
    say,
    text_of,
)
from tests.support.waiting import aeventually
from webapp.agents.base import AgentTurn, Event
from webapp.agents.pieces import Piece
from webapp.chat.catalog.run_row import RunStatus
from webapp.chat.catalog.runs import Turn
from webapp.chat.messages import NewMessage, Participant
from webapp.chat.runs import RunLimits, Supervisor, watch
from webapp.streams.clients.base import AppendReceipt

STOPPED_BY_BEN = {
    "type": "CUSTOM",
    "name": "run.stopped-by",
    "value": {"runId": "r1", "participantId": "ben", "name": "Ben"},
}


class Counted(Streams):
    """Counts the tails that are followed at the moment."""

    tails = 0

    def tail(self, path: str, *, offset: str) -> object:
        return self._counted(self._inner.tail(path, offset=offset))

    async def _counted(self, pages: AsyncIterator[object]) -> AsyncIterator[object]:
        self.tails += 1
        try:
            async for page in pages:
                yield page
        finally:
            self.tails -= 1


@asynccontextmanager
async def nothing_left_of(streams: Counted) -> AsyncIterator[None]:
    """What is begun inside, is followed inside, and ends."""
    before = asyncio.all_tasks()
    yield
    await aeventually(lambda: streams.tails == 0 and asyncio.all_tasks() <= before)


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in of(events, "CUSTOM") if event["name"] == name]


def sequence(events: list[Event]) -> list[str]:
    """The runs' starts and ends, in order."""
    return [event["runId"] for event in events if event["type"].startswith("RUN_")]


async def status(world: World, run_id: str) -> str:
    row = await world.catalog.runs.get(run_id)
    assert row is not None
    return f"{row.status} {row.outcome}" if row.outcome else str(row.status)


async def stop(process: Supervisor, run_id: str | None, *, by: Participant = BEN) -> bool:
    return await process.stop(chat_id=CHAT, run_id=run_id, participant=by)


@pytest.mark.parametrize("run_id", ["r1", None], ids=["one", "all"])
async def test_a_run_of_another_process_is_stopped(world: World, run_id: str | None) -> None:
    gate, streams = Gate(), Counted(world.client)
    owner = await world.boot(gate, shared=True, streams=streams)
    other = await world.boot(gate, shared=True)
    async with nothing_left_of(streams):
        await say(owner, "question", run_id="r1", wait=False)
        await aeventually(lambda: said(world, "question: "))

        assert streams.tails == 1

        assert await stop(other, run_id)

        assert gate.let_go == ["question"]
        _, last = streams.appends[-1]
        assert last == [
            STOPPED_BY_BEN,
            {"type": "TEXT_MESSAGE_END", "messageId": "r1~1"},
            {**last[-1], "type": "RUN_FINISHED", "runId": "r1", "outcome": {"type": "cancelled"}},
        ]
        await owner.wait("r1")
    events = await world.events()
    check_runs(events)
    assert text_of(events, "r1") == "question: "
    assert await status(world, "r1") == "done cancelled"

    assert not await stop(other, run_id)
    assert not await stop(owner, run_id)
    assert not await stop(other, "never-was")
    assert await world.events() == events


async def test_a_queued_run_of_another_process_is_stopped_where_it_stands(world: World) -> None:
    gate = Gate()
    owner = await world.boot(gate, shared=True)
    other = await world.boot(gate, shared=True)
    await say(owner, "first", id="m1", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    await say(owner, "second", id="m2", run_id="r2", wait=False)

    assert not await other.stop(chat_id="another-chat", run_id="r2", participant=BEN)
    assert await stop(other, "r2")

    assert await status(world, "r1") == "running"
    gate.open.set()
    await owner.wait("r1")
    events = await world.events()
    assert gate.waiting == ["first"]
    assert text_of(events, "r1") == "first: done"
    assert [event["value"]["runId"] for event in named(events, "run.stopped-by")] == ["r2"]
    check_runs(events)


async def test_all_that_run_are_stopped_wherever_they_are(world: World) -> None:
    gates = [Gate(id=name) for name in ("one", "two")]
    here = await world.boot(*gates, shared=True)
    there = await world.boot(*gates, shared=True)
    for number, process in enumerate((here, there)):
        await process.accept(
            chat_id=CHAT,
            participant=ANA,
            message=NewMessage(f"m{number}", "go"),
            run_id=f"r{number}",
            agent_id=gates[number].id,
        )
    await say(there, "later", id="m2", run_id="r2", wait=False)
    await aeventually(lambda: all(gate.waiting for gate in gates))

    assert await stop(here, None)

    events = await world.events()
    assert {event["value"]["runId"] for event in named(events, "run.stopped-by")} == {"r0", "r1"}
    for gate in gates:
        gate.open.set()
    await there.wait("r2")
    events = await world.events()
    assert text_of(events, "r2") == "later: done"
    check_runs(events)


async def test_two_stops_from_two_processes_are_one(world: World) -> None:
    gate = Gate()
    processes = [await world.boot(gate, shared=True) for _ in range(3)]
    for number in range(20):
        await say(processes[0], "question", id=f"m{number}", run_id=f"r{number}", wait=False)
        await aeventually(lambda number=number: len(gate.waiting) > number)  # type: ignore[misc]
        people = (ANA, BEN, Participant("cleo", "Cleo"))
        asked = (
            stop(process, f"r{number}", by=by)
            for process, by in zip(reversed(processes), people, strict=True)
        )
        told = dict(zip((each.id for each in people), await asyncio.gather(*asked), strict=True))

        events = await world.events()
        [one] = [each for each in named(events, "run.stopped-by") if each["value"]["runId"] == f"r{number}"]
        assert told == {each.id: each.id == one["value"]["participantId"] for each in people}
        requests = [event["value"]["runId"] for event in named(events, "run.stop-requested")]
        assert requests.count(f"r{number}") <= 1
    check_runs(await world.events())


async def test_a_request_that_is_there_before_the_run_is_heard(world: World) -> None:
    """The row is committed and tells others of the run; its message is still being stored."""
    gate, streams = Gate(), Streams(world.client)
    storing, asked = asyncio.Event(), asyncio.Event()

    class Slow(Streams):
        async def append(self, *args: Any, **options: Any) -> AppendReceipt:
            storing.set()
            await asked.wait()
            return await super().append(*args, **options)

    owner = await world.boot(gate, shared=True, streams=Slow(world.client))
    other = await world.boot(gate, shared=True, streams=streams)
    sending = asyncio.create_task(say(owner, "question", run_id="r1"))
    await asyncio.wait_for(storing.wait(), 15)
    stopping = asyncio.create_task(stop(other, "r1"))
    await aeventually(lambda: streams.appends)
    asked.set()

    await sending
    assert await stopping
    events = await world.events()
    assert [event.get("name") for event in of(events, "CUSTOM")] == ["run.stop-requested", "run.stopped-by"]
    assert events[0]["name"] == "run.stop-requested"
    check_runs(events)


async def test_a_run_that_ends_while_its_end_is_asked_for_was_not_stopped(world: World) -> None:
    gate = Gate()

    class Late(Streams):
        async def append(self, *args: Any, **options: Any) -> AppendReceipt:
            gate.open.set()
            await owner.wait("r1")
            return await super().append(*args, **options)

    owner = await world.boot(gate, shared=True)
    other = await world.boot(gate, shared=True, streams=Late(world.client))
    await say(owner, "question", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)

    assert not await stop(other, "r1")

    events = await world.events()
    assert [event["type"] for event in events[-2:]] == ["RUN_FINISHED", "CUSTOM"]
    assert text_of(events, "r1") == "question: done"
    check_runs(events)


async def test_a_request_is_heard_although_live_replies_have_ended(world: World) -> None:
    """As between SIGTERM and the end of the grace that running answers have."""
    gate = Gate()
    owner = await world.boot(gate, shared=True)
    other = await world.boot(gate, shared=True)
    await say(owner, "question", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    world.client._engine.drain.set()

    assert await stop(other, "r1")

    await owner.wait("r1")
    assert await status(world, "r1") == "done cancelled"


async def test_a_process_alone_follows_nothing(world: World) -> None:
    gate, streams = Gate(), Counted(world.client)
    alone = await world.boot(gate, streams=streams)
    await say(alone, "question", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    assert streams.tails == 0
    assert await stop(alone, "r1")
    assert named(await world.events(), "run.stop-requested") == []


async def test_turns_are_taken_across_processes(world: World) -> None:
    gate = Gate()
    one = await world.boot(gate, shared=True)
    two = await world.boot(gate, shared=True)
    for number, process in enumerate([one, two, one, two, two, one]):
        await say(process, str(number), id=f"m{number}", run_id=f"r{number}", wait=False)
    await aeventually(lambda: gate.waiting)
    assert [await status(world, f"r{number}") for number in range(6)] == ["running", *["appended"] * 5]
    await aeventually(lambda: (one.busy, two.busy) == (1, 0))  # the others have looked and wait

    gate.open.set()
    for number in range(6):
        await one.wait(f"r{number}")

    events = await world.events()
    assert sequence(events) == [f"r{number}" for number in range(6) for _ in "se"]
    assert gate.waiting == list("012345")
    check_runs(events)


async def test_the_end_of_one_run_wakes_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time it would look again by itself never comes."""
    monkeypatch.setattr(watch, "_PAUSES", (*[0.05] * 40, 3600))
    gate, looks = Gate(), 0
    one = await world.boot(gate, shared=True)
    two = await world.boot(gate, shared=True)
    take_turn = two._inbox.take_turn

    async def counted(*args: Any, **options: Any) -> Turn:
        nonlocal looks
        looks += 1
        return await take_turn(*args, **options)

    monkeypatch.setattr(two._inbox, "take_turn", counted)
    await say(one, "1", id="m1", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    await say(two, "2", id="m2", run_id="r2", wait=False)
    await aeventually(lambda: looks == 41)

    gate.open.set()

    await asyncio.wait_for(two.wait("r2"), 15)
    assert sequence(await world.events()) == ["r1", "r1", "r2", "r2"]


async def test_each_prompt_has_the_answers_of_other_processes(world: World) -> None:
    prompts: list[list[str]] = []

    async def remember(turn: AgentTurn) -> AsyncIterator[Piece]:
        prompts.append([part["content"] for message in turn.messages for part in message["parts"]])
        yield f"answer {turn.text}"

    processes = [await world.boot(agent(remember), shared=True) for _ in range(3)]
    sent = [
        await say(process, str(number), id=f"m{number}", wait=False)
        for number, process in enumerate(processes)
    ]
    for each in sent:
        await processes[0].wait(each.run_id)
    assert prompts == [["0"], ["0", "answer 0", "1"], ["0", "answer 0", "1", "answer 1", "2"]]


async def test_other_agents_do_not_wait(world: World) -> None:
    gates = [Gate(id=name) for name in ("one", "two")]
    here = await world.boot(*gates, shared=True)
    there = await world.boot(*gates, shared=True)
    await say(here, "to one", id="m1", wait=False)
    await there.accept(chat_id=CHAT, participant=ANA, message=NewMessage("m2", "to two"), agent_id="two")
    await aeventually(lambda: gates[0].waiting and gates[1].waiting)
    for gate in gates:
        gate.open.set()


async def test_whoever_is_shut_down_leaves_its_turns_to_the_others(world: World) -> None:
    gate, limits = Gate(), RunLimits(lease=3, window=0.005)
    going = await world.boot(gate, shared=True, limits=limits)
    staying = await world.boot(gate, shared=True, limits=limits)
    await say(staying, "1", id="m1", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    await say(going, "2", id="m2", run_id="r2", wait=False)
    await aeventually(lambda: going._lanes.get("r2").waiting)  # type: ignore[union-attr]
    await say(going, "3", id="m3", run_id="r3", wait=False)
    await going.aclose(grace=0.1)
    assert [await status(world, run) for run in ("r2", "r3")] == ["appended", "appended"]
    await say(staying, "4", id="m4", run_id="r4", wait=False)
    gate.open.set()
    await staying.wait("r4")

    events = await world.events()
    assert sequence(events) == ["r1", "r1", "r2", "r2", "r3", "r3", "r4", "r4"]
    assert [text_of(events, f"r{number}") for number in range(1, 5)] == [
        f"{number}: done" for number in range(1, 5)
    ]
    check_runs(events)


async def test_a_run_that_waits_keeps_its_lease(world: World) -> None:
    gate, limits = Gate(), RunLimits(lease=1.5, window=0.005)
    one = await world.boot(gate, shared=True, limits=limits)
    two = await world.boot(gate, shared=True, limits=limits)
    await say(one, "1", id="m1", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    await say(two, "2", id="m2", run_id="r2", wait=False)
    first = await world.catalog.runs.get("r2")
    assert first is not None

    async def renewed() -> bool:
        row = await world.catalog.runs.get("r2")
        assert row is not None
        return row.lease_until > first.lease_until + 2 * limits.lease

    await aeventually(renewed)
    row = await world.catalog.runs.get("r2")
    assert row is not None
    assert (row.owner, row.epoch, row.status) == (first.owner, 0, RunStatus.APPENDED)
    gate.open.set()
