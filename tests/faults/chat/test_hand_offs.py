"""A process dies while a message is accepted for two agents, or between the end of a run and what follows it;
and many requests for two agents come at once (G10).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from tests.support.chats import CHAT, Streams, World, agent, of, questions, say
from webapp.agents.base import Agent, AgentTurn, Event
from webapp.agents.pieces import Piece
from webapp.chat.catalog.run_row import RunStatus
from webapp.chat.catalog.runs import RunInbox
from webapp.chat.runs import RunLimits, Supervisor

LIMITS = RunLimits(window=0.005, agent_turns=4)
Condition = Callable[[list[Event]], bool]
Place = tuple[int, Condition]


def chatty(id: str, *others: str) -> Agent:
    async def run(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield f"{id} to " + " ".join(f"@{other}" for other in others)

    return agent(run, id=id)


def pair() -> tuple[Agent, Agent]:
    """Two that always mention each other."""
    return chatty("one", "two"), chatty("two", "one")


def quiet_pair() -> tuple[Agent, Agent]:
    return chatty("one"), chatty("two")


def answered(events: Sequence[Event]) -> list[str]:
    return [each["metadata"]["agentId"] for each in of(events, "RUN_STARTED")]


def cards(events: Sequence[Event]) -> int:
    return sum(each["name"] == "chat.waiting-for-person" for each in of(events, "CUSTOM"))


def nth(number: int, condition: Condition) -> Condition:
    """The condition, when it is true for that time."""
    seen = 0

    def reached(events: list[Event]) -> bool:
        nonlocal seen
        seen += condition(events)
        return seen == number and condition(events)

    return reached


def end(events: list[Event]) -> bool:
    return bool(of(events, "RUN_FINISHED"))


def card(events: list[Event]) -> bool:
    return bool(cards(events))


async def die_at(world: World, *, before: Place | None = None, after: Place | None = None) -> None:
    streams = Streams(world.client)
    if before:
        streams.halt_before = nth(*before)
    if after:
        streams.halt_after = nth(*after)
    supervisor = await world.boot(*pair(), streams=streams, limits=LIMITS)
    await world.crash_at(streams, say(supervisor, "hello", run_id="r1", wait=False))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, (1, end), id="the first has ended, the second is not asked yet"),
        pytest.param(None, (2, end), id="the second has ended"),
        pytest.param((1, card), None, id="the last has ended, nobody is told"),
        pytest.param(None, (1, card), id="people are told, the run is not done"),
    ],
)
async def test_a_hand_off_is_made_once(world: World, before: Place | None, after: Place | None) -> None:
    await die_at(world, before=before, after=after)

    await world.boot(*pair(), limits=LIMITS)

    events = await world.quiet()
    assert answered(events) == ["one", "two"] * 2
    assert cards(events) == 1


async def test_a_hand_off_that_was_committed_is_taken_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead between the commit and the start of what follows."""
    reached = asyncio.Event()
    supervisor = await world.boot(*pair(), limits=LIMITS)
    enqueue = supervisor._performer.enqueue

    def dying(startable: Any) -> None:
        if startable.row.agent_id == "one":
            enqueue(startable)
        else:
            reached.set()

    monkeypatch.setattr(supervisor._performer, "enqueue", dying)
    await say(supervisor, "hello")
    await asyncio.wait_for(reached.wait(), 15)
    await world.crash()
    [waiting] = await world.catalog.runs.unfinished(chat_id=CHAT)
    assert (waiting.agent_id, waiting.status) == ("two", RunStatus.APPENDED)

    await world.boot(*pair(), limits=LIMITS)

    events = await world.quiet()
    assert answered(events) == ["one", "two"] * 2
    assert cards(events) == 1


async def test_another_process_takes_up_a_hand_off(world: World) -> None:
    """The first one is silent, and not known to be dead."""
    streams = Streams(world.client)
    streams.halt_after = nth(1, end)
    limits = RunLimits(window=0.005, agent_turns=4, lease=0.6)
    silent = await world.boot(*pair(), streams=streams, limits=limits, shared=True)
    await say(silent, "hello", wait=False)
    await asyncio.wait_for(streams.reached.wait(), 15)
    assert silent._keeper is not None
    silent._keeper.cancel()

    await world.boot(*pair(), limits=limits, shared=True)

    events = await world.quiet()
    assert answered(events) == ["one", "two"] * 2
    assert cards(events) == 1
    await world.crash()


@pytest.mark.parametrize("run_id", ["r1", None])
async def test_twenty_requests_for_two_agents_from_two_processes(world: World, run_id: str | None) -> None:
    """G10."""
    processes = [await world.boot(*quiet_pair(), shared=True) for _ in range(2)]

    replies = await asyncio.gather(
        *(say(each, "@one @two", run_id=run_id, wait=False) for _ in range(10) for each in processes)
    )

    assert len({(reply.run_id, reply.further) for reply in replies}) == 1
    events = await world.quiet()
    assert questions(events) == ["m1"]
    assert sorted(answered(events)) == ["one", "two"]


async def test_processes_that_disagree_on_whom_a_message_is_for(world: World) -> None:
    """One has not heard yet who has come: still one of them decides, for both."""
    processes: list[Supervisor] = [
        await world.boot(*agents, shared=True) for agents in (quiet_pair(), (chatty("two"),))
    ]
    for number in range(10):
        replies = await asyncio.gather(
            *(say(each, "hello", id=f"m{number}", wait=False) for each in processes * 5)
        )
        assert len({reply.run_id for reply in replies}) == 1
    events = await world.quiet()
    assert len(answered(events)) == 10


@pytest.mark.parametrize("committed", [True, False])
async def test_a_message_for_two_is_healed(
    world: World, committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dead after the rows are committed: before the message is stored, or with one row told of it."""
    streams, reached = Streams(world.client), asyncio.Event()
    supervisor = await world.boot(*quiet_pair(), streams=streams)

    async def dies(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    if committed:
        streams.halt_before = lambda events: bool(of(events, "TEXT_MESSAGE_START"))
        waiting = streams.reached.wait()
    else:
        mark, calls = RunInbox.mark_appended, 0

        async def once(inbox: RunInbox, row: Any) -> Any:
            nonlocal calls
            calls += 1
            return await (mark(inbox, row) if calls == 1 else dies())

        monkeypatch.setattr(RunInbox, "mark_appended", once)
        waiting = reached.wait()
    sending = asyncio.create_task(say(supervisor, "@one @two", run_id="r1", wait=False))
    await asyncio.wait_for(waiting, 15)
    await world.crash()
    with suppress(asyncio.CancelledError):
        await sending
    monkeypatch.undo()
    rows = await world.catalog.runs.attempts(CHAT, "m1")
    assert [row.agent_id for row in rows] == ["one", "two"]

    again = await world.boot(*quiet_pair())
    repeated = await say(again, "@one @two", run_id="r1")

    assert (repeated.run_id, repeated.further, repeated.duplicate) == ("r1", ("r1~two",), True)
    events = await world.quiet()
    assert questions(events) == ["m1"]
    assert sorted(answered(events)) == ["one", "two"]
