"""A process dies at any step between a message and the end of its answer; the next one puts it right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from tests.support.chats import ANA, CHAT, Streams, World, agent, check_runs, of, questions, say, text_of
from tests.support.waiting import aeventually
from webapp.agents.base import AgentTurn, Event
from webapp.agents.pieces import Piece
from webapp.agents.scripted import EchoAgent
from webapp.chat.catalog.run_row import RunStatus
from webapp.chat.messages import NewMessage
from webapp.chat.runs import RunLimits
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import AppendReceipt, ProducerTuple, StaleEpoch

Condition = Callable[[list[Event]], bool]


def has(kind: str, **values: object) -> Condition:
    """Whether a batch has an event of that type with those values."""
    return lambda events: any(event["type"] == kind and values.items() <= event.items() for event in events)


question = has("TEXT_MESSAGE_START", role="user")
started = has("RUN_STARTED")
words = lambda events: has("TEXT_MESSAGE_CONTENT")(events) and not question(events)  # noqa: E731
end = has("RUN_FINISHED")


async def crash_at(world: World, *, before: Condition | None = None, after: Condition | None = None) -> None:
    """Boot, send a message, and die at the failpoint."""
    streams = Streams(world.client)
    # Words come one by one, so that the first are not stored together with the end.
    supervisor = await world.boot(EchoAgent(word_delay=0.05), streams=streams)
    streams.halt_before = before or streams.halt_before
    streams.halt_after = after or streams.halt_after
    await world.crash_at(streams, say(supervisor, "hello there", run_id="r1", wait=False))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(question, None, id="accepted, not appended"),
        pytest.param(None, question, id="appended, nobody told"),
        pytest.param(started, None, id="before the run starts"),
    ],
)
async def test_a_message_whose_run_had_not_started_is_answered(
    world: World, before: Condition | None, after: Condition | None
) -> None:
    await crash_at(world, before=before, after=after)

    supervisor = await world.boot()
    repeated = await say(supervisor, "hello there", run_id="r1")

    assert repeated.duplicate
    events = await world.events()
    assert questions(events) == ["m1"]
    assert text_of(events, "r1") == "Echo: hello there"
    assert len(of(events, "RUN_STARTED")) == 1
    check_runs(events)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        pytest.param(None, started, "", id="just started"),
        pytest.param(words, None, "", id="before the first words"),
        pytest.param(None, words, "Echo: ", id="after the first words"),
        pytest.param(end, None, "", id="before the end"),
    ],
)
async def test_a_run_that_had_started_is_interrupted(
    world: World, before: Condition | None, after: Condition | None, kept: str
) -> None:
    await crash_at(world, before=before, after=after)

    supervisor = await world.boot()
    await supervisor.wait("r1")

    events = await world.events()
    assert text_of(events, "r1").startswith(kept)
    assert events[-1]["type"] == "RUN_ERROR"
    assert events[-1]["code"] == "interrupted"
    check_runs(events)
    row = await world.catalog.runs.get("r1")
    assert row is not None
    assert (row.status, row.outcome) == (RunStatus.DONE, "interrupted")

    again = await say(supervisor, "hello there", run_id="r2")
    assert not again.duplicate
    events = await world.events()
    assert questions(events) == ["m1"]
    assert text_of(events, "r2") == "Echo: hello there"
    check_runs(events)


async def test_a_run_that_had_ended_is_left_alone(world: World) -> None:
    await crash_at(world, after=end)
    before = await world.events()

    supervisor = await world.boot()
    await supervisor.wait("r1")

    after = await world.events()
    assert after[: len(before)] == before
    assert [event.get("name") for event in after[len(before) :]] == ["run.claimed"]
    check_runs(after)


async def test_dying_again_while_recovering(world: World) -> None:
    await crash_at(world, after=words)
    streams = Streams(world.client)
    streams.halt_after = has("CUSTOM", name="run.claimed")
    booting = asyncio.create_task(world.boot(streams=streams))
    await asyncio.wait_for(streams.reached.wait(), 15)
    await world.crash()
    with suppress(asyncio.CancelledError):
        await booting

    supervisor = await world.boot()
    await supervisor.wait("r1")

    events = await world.events()
    assert [e["value"]["epoch"] for e in of(events, "CUSTOM")] == [1, 2]
    assert len(of(events, "RUN_ERROR")) == 1
    check_runs(events)


class Forgetful(Streams):
    """A stream server that has forgotten its producers."""

    async def append(
        self,
        path: str,
        messages: Sequence[bytes],
        *,
        producer: ProducerTuple | None = None,
        close: bool = False,
    ) -> AppendReceipt:
        return await super().append(path, messages, close=close)


async def test_a_server_that_forgot_its_producers_is_told_nothing_twice(world: World) -> None:
    await crash_at(world, after=question)
    supervisor = await world.boot(streams=Forgetful(world.client))
    await say(supervisor, "hello there", run_id="r1")
    events = await world.events()
    assert questions(events) == ["m1"]
    assert text_of(events, "r1") == "Echo: hello there"


async def test_the_queue_outlives_a_crash_in_order(world: World) -> None:
    async def stuck(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield "let me think"
        await asyncio.Event().wait()

    async def quick(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield f"answer {turn.text}"

    supervisor = await world.boot(agent(stuck))
    for number in "123":
        await say(supervisor, number, id=f"m{number}", run_id=f"r{number}", wait=False)
    await aeventually(lambda: _said(world, "let me think"))
    await world.crash()

    supervisor = await world.boot(agent(quick))
    for number in "123":
        await supervisor.wait(f"r{number}")

    events = await world.events()
    assert questions(events) == ["m1", "m2", "m3"]
    assert [text_of(events, f"r{number}") for number in "123"] == ["let me think", "answer 2", "answer 3"]
    assert [event["runId"] for event in of(events, "RUN_STARTED")] == ["r1", "r2", "r3"]
    check_runs(events)


async def test_an_agent_that_is_gone_after_the_restart(world: World) -> None:
    await crash_at(world, after=question)
    supervisor = await world.boot(agent(_nothing, id="other"))
    await supervisor.wait("r1")
    events = await world.events()
    assert events[-1]["code"] == "agent-missing"
    check_runs(events)


async def test_the_old_writer_is_fenced(world: World) -> None:
    """F15: what a zombie appends after the recovery is refused."""
    streams = Streams(world.client)
    await world.boot(agent(_endless), streams=streams)
    zombie = world._supervisors[-1]
    await say(zombie, "hello", run_id="r1", wait=False)
    await aeventually(lambda: _said(world, "tick "))

    # Not crashed: it is alive and does not know that it was declared dead.
    supervisor = await world.boot()
    await supervisor.wait("r1")

    recovered = await world.events()
    assert recovered[-1]["code"] == "interrupted"
    producer, _ = [each for each in streams.appends if each[0] and each[0].id == "run:r1"][-1]
    assert producer is not None
    late = b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"r1~1","delta":"late"}'
    with pytest.raises(StaleEpoch):
        await world.client.append(
            f"chats/{CHAT}", [late], producer=ProducerTuple("run:r1", 0, producer.seq + 1)
        )
    await aeventually(lambda: zombie._lanes.get("r1") is None)
    events = await world.events()
    assert events == recovered
    check_runs(events)


async def test_a_lease_that_expires_is_taken_over(world: World) -> None:
    """Several processes: nobody takes a living owner's run, somebody takes a dead one's."""
    limits = RunLimits(lease=0.6, window=0.005)
    streams = Streams(world.client)
    await world.boot(agent(_endless), streams=streams, limits=limits)
    await say(world._supervisors[-1], "hello", run_id="r1", wait=False)
    await aeventually(lambda: _said(world, "tick "))
    await world.crash()

    survivor = await world.boot(agent(_endless), limits=limits, shared=True)
    await asyncio.wait_for(survivor.wait("r1"), 15)

    events = await world.events()
    assert events[-1]["code"] == "interrupted"
    check_runs(events)


async def test_a_living_run_keeps_its_lease(world: World) -> None:
    limits = RunLimits(lease=3.0, window=0.005)
    finish = asyncio.Event()

    async def slow(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield "slowly"
        await finish.wait()

    owner = await world.boot(agent(slow), limits=limits)
    await world.boot(agent(slow), limits=limits, shared=True)
    await say(owner, "hello", run_id="r1", wait=False)
    first = await world.catalog.runs.get("r1")
    assert first is not None

    async def renewed() -> bool:
        row = await world.catalog.runs.get("r1")
        return row is not None and row.lease_until > first.lease_until + limits.lease

    await aeventually(renewed)
    finish.set()
    await owner.wait("r1")
    events = await world.events()
    assert events[-1]["type"] == "RUN_FINISHED"
    assert of(events, "CUSTOM") == []
    check_runs(events)


async def test_a_run_that_lost_its_row_stops(world: World) -> None:
    limits = RunLimits(lease=0.3, window=0.005)
    supervisor = await world.boot(agent(_endless), limits=limits)
    await say(supervisor, "hello", run_id="r1", wait=False)
    await aeventually(lambda: _said(world, "tick "))
    row = await world.catalog.runs.get("r1")
    assert row is not None
    assert await world.catalog.runs.claim(row, owner="somebody", lease_until=row.lease_until + 1000)

    await aeventually(lambda: supervisor._lanes.get("r1") is None)

    assert of(await world.events(), "RUN_ERROR") == []
    assert supervisor._lanes.running() == []


async def test_shutting_down_lets_runs_finish(world: World) -> None:
    release = asyncio.Event()

    async def slow(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield "one "
        await release.wait()
        yield "two"

    supervisor = await world.boot(agent(slow))
    for number in "12":
        await say(supervisor, "hello", id=f"m{number}", run_id=f"r{number}", wait=False)
    await aeventually(lambda: _said(world, "one "))
    closing = asyncio.create_task(supervisor.aclose(grace=15))
    await asyncio.sleep(0)
    release.set()
    await closing

    events = await world.events()
    assert text_of(events, "r1") == "one two"
    assert len(of(events, "RUN_STARTED")) == 1
    check_runs(events)

    supervisor = await world.boot(agent(slow))
    await supervisor.wait("r2")
    events = await world.events()
    assert text_of(events, "r2") == "one two"
    check_runs(events)


async def test_shutting_down_interrupts_what_does_not_finish(world: World) -> None:
    supervisor = await world.boot(agent(_endless))
    sent = [
        await supervisor.accept(chat_id=chat, participant=ANA, message=NewMessage("m1", "hi"))
        for chat in await _chats(world, 5)
    ]
    await supervisor.aclose(grace=0.1)

    for chat, accepted in zip(await _chats(world, 5), sent, strict=True):
        events = await world.events(chat)
        assert events[-1]["runId"] == accepted.run_id
        assert events[-1]["code"] == "interrupted"
        check_runs(events)
    assert await world.catalog.runs.unfinished() == []


async def test_a_snapshot_survives_a_crash_and_equals_a_replay(world: World) -> None:
    await crash_at(world, after=words)
    await world.boot()
    fresh = await Sessions(streams=world.client, cache=world.catalog.snapshots).snapshot(CHAT)
    replayed = Sessions(streams=world.client, cache=(await _empty(world)).snapshots)
    assert await replayed.snapshot(CHAT) == fresh


async def _empty(world: World) -> object:
    from webapp.chat.catalog import Catalog

    catalog = await Catalog.open("sqlite://")
    world._catalogs.append(catalog)
    return catalog


async def _chats(world: World, count: int) -> list[str]:
    names = [f"chat-number-{number}" for number in range(count)]
    for name in names:
        await world.catalog.create_chat(name, owner=ANA)
    return names


async def _said(world: World, text: str) -> bool:
    return any(text in event["delta"] for event in of(await world.events(), "TEXT_MESSAGE_CONTENT"))


async def _endless(turn: AgentTurn) -> AsyncIterator[Piece]:
    while True:
        yield "tick "
        await asyncio.sleep(0.01)


async def _nothing(turn: AgentTurn) -> AsyncIterator[Piece]:
    return
    yield


async def test_a_queued_run_keeps_its_clients_tools(world: World) -> None:
    tool = {"name": "roll", "description": "Rolls a die.", "parameters": {"type": "object"}}
    busy = asyncio.Event()

    async def wait(turn: AgentTurn) -> AsyncIterator[Piece]:
        busy.set()
        await asyncio.Event().wait()
        yield ""

    supervisor = await world.boot(agent(wait))
    await say(supervisor, "first", id="m1", wait=False)
    queued = await say(supervisor, "second", id="m2", wait=False, tools=[tool])
    await asyncio.wait_for(busy.wait(), 15)
    await world.crash()
    offered: list[Sequence[Mapping[str, Any]]] = []

    async def remember(turn: AgentTurn) -> AsyncIterator[Piece]:
        offered.append(turn.tools)
        yield "done"

    again = await world.boot(agent(remember))
    await again.wait(queued.run_id)
    await say(again, "third", id="m3")
    assert offered == [(tool,), ()]
