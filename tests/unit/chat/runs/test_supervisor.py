"""Accepting, queueing and stopping runs; what the supervisor does when storage fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

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
    questions,
    said,
    say,
    text_of,
)
from tests.support.waiting import aeventually
from webapp.agents.base import AgentTurn, Event
from webapp.agents.pieces import Piece
from webapp.chat.errors import Conflict, InvalidMessage, LimitReached, TooLarge, Unavailable
from webapp.chat.messages import NewMessage
from webapp.chat.runs import RunLimits, Supervisor
from webapp.streams.clients.base import PayloadTooLarge, StreamsUnavailable


async def test_a_message_is_answered(world: World) -> None:
    supervisor = await world.boot()

    accepted = await say(supervisor, "hello there", run_id="r1")

    events = await world.events()
    assert [event["type"] for event in events[:4]] == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_STARTED",
    ]
    assert (accepted.run_id, accepted.duplicate) == ("r1", False)
    assert text_of(events, "r1") == "Echo: hello there"
    assert events[-1]["type"] == "RUN_FINISHED"
    check_runs(events)
    start = of(events, "TEXT_MESSAGE_START")[1]
    assert (start["role"], start["name"]) == ("assistant", "Echo")
    assert start["metadata"]["agentId"] == "echo"
    assert start["metadata"]["parentId"] == "m1"
    chat = await world.catalog.get_chat(CHAT)
    assert chat is not None
    await aeventually(lambda: _title(world))


async def _title(world: World) -> bool:
    chat = await world.catalog.get_chat(CHAT)
    return chat is not None and chat.title == "hello there"


async def test_the_same_text_with_two_ids_is_two_messages(world: World) -> None:
    supervisor = await world.boot()
    await say(supervisor, "again", id="a")
    await say(supervisor, "again", id="b")
    assert questions(await world.events()) == ["a", "b"]


async def test_other_text_with_a_used_id_is_refused(world: World) -> None:
    supervisor = await world.boot()
    await say(supervisor, "this")
    with pytest.raises(Conflict):
        await say(supervisor, "that")
    with pytest.raises(Conflict):
        await say(supervisor, "that", run_id="new")
    assert questions(await world.events()) == ["m1"]


async def test_what_only_the_stream_knows_is_known(world: World) -> None:
    """As in a fork: the message is in the stream and no row tells of it."""
    supervisor = await world.boot()
    events = [
        b'{"type":"TEXT_MESSAGE_START","messageId":"old","role":"user","name":"Ana","metadata":{}}',
        b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"old","delta":"from before"}',
        b'{"type":"TEXT_MESSAGE_END","messageId":"old"}',
        b'{"type":"TEXT_MESSAGE_START","messageId":"answer","role":"assistant"}',
        b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"answer","delta":"hi"}',
        b'{"type":"TEXT_MESSAGE_END","messageId":"answer"}',
    ]
    await world.client.ensure(f"chats/{CHAT}")
    await world.client.append(f"chats/{CHAT}", events)

    with pytest.raises(Conflict):
        await say(supervisor, "other text", id="old")
    with pytest.raises(Conflict):
        await say(supervisor, "hi", id="answer")
    retry = await say(supervisor, "from before", id="old")

    assert questions(await world.events()) == ["old"]
    assert text_of(await world.events(), retry.run_id) == "Echo: from before"


async def test_attempts(world: World) -> None:
    now = [1000.0]
    supervisor = await world.boot(clock=lambda: now[0], limits=RunLimits(duplicate_window=10))

    async def told(run_id: str | None = None) -> tuple[str, bool]:
        accepted = await say(supervisor, "hi", run_id=run_id)
        return accepted.run_id, accepted.duplicate

    assert await told("r1") == ("r1", False)
    assert await told("r1") == ("r1", True)
    assert await told() == ("r1", True)
    assert await told("r2") == ("r2", False)
    now[0] += 9
    assert await told() == ("r2", True)
    now[0] += 2
    third = await say(supervisor, "hi")

    assert not third.duplicate
    events = await world.events()
    assert questions(events) == ["m1"]
    assert [event["metadata"]["attempt"] for event in of(events, "RUN_STARTED")] == [1, 2, 3]
    check_runs(events)


async def test_a_run_id_belongs_to_one_message(world: World) -> None:
    supervisor = await world.boot()
    await say(supervisor, "hi", run_id="r1")
    with pytest.raises(Conflict):
        await say(supervisor, "ho", id="m2", run_id="r1")
    for bad in ("", "a b", "x" * 129, "r1\n"):
        with pytest.raises(InvalidMessage):
            await say(supervisor, "ho", id="m2", run_id=bad)
    assert questions(await world.events()) == ["m1"]


async def test_one_agent_answers_in_order(world: World) -> None:
    gate = Gate()
    supervisor = await world.boot(gate)
    for number in "123":
        await say(supervisor, number, id=f"m{number}", run_id=f"r{number}", wait=False)
    await aeventually(lambda: gate.waiting == ["1"])
    gate.open.set()
    await asyncio.gather(*(supervisor.wait(f"r{number}") for number in "123"))

    events = await world.events()
    assert gate.waiting == ["1", "2", "3"]
    assert [event["runId"] for event in events if event["type"].startswith("RUN")] == [
        "r1", "r1", "r2", "r2", "r3", "r3",
    ]  # fmt: skip
    check_runs(events)


async def test_the_prompt_is_the_conversation_without_the_queue(world: World) -> None:
    prompts: list[list[str]] = []

    async def remember(turn: AgentTurn) -> AsyncIterator[Piece]:
        prompts.append([part["content"] for message in turn.messages for part in message["parts"]])
        assert (turn.speaker, turn.data) == ("Ana", {"key": turn.text})
        yield f"answer {turn.text}"

    supervisor = await world.boot(agent(remember))
    sent = [
        await say(supervisor, number, id=f"m{number}", wait=False, data={"key": number}) for number in "123"
    ]
    for each in sent:
        await supervisor.wait(each.run_id)

    assert prompts == [
        ["1"],
        ["1", "answer 1", "2"],
        ["1", "answer 1", "2", "answer 2", "3"],
    ]


async def test_stopping(world: World) -> None:
    gate = Gate()
    supervisor = await world.boot(gate)
    await say(supervisor, "question", run_id="r1", wait=False)
    await aeventually(lambda: said(world, "question: "))

    assert await supervisor.stop(chat_id=CHAT, run_id="r1", participant=BEN)

    assert gate.let_go == ["question"]
    events = await world.events()
    assert events[-3:] == [
        {
            "type": "CUSTOM",
            "name": "run.stopped-by",
            "value": {"runId": "r1", "participantId": "ben", "name": "Ben"},
        },
        {"type": "TEXT_MESSAGE_END", "messageId": "r1~1"},
        {**events[-1], "type": "RUN_FINISHED", "runId": "r1", "outcome": {"type": "cancelled"}},
    ]
    check_runs(events)
    assert not await supervisor.stop(chat_id=CHAT, run_id="r1", participant=BEN)
    assert not await supervisor.stop(chat_id=CHAT, run_id=None, participant=BEN)
    assert await world.events() == events

    gate.open.set()
    await say(supervisor, "next", id="m2", run_id="r2")
    assert text_of(await world.events(), "r2") == "next: done"


async def test_two_stops_at_once_are_one(world: World) -> None:
    gate = Gate()
    supervisor = await world.boot(gate)
    await say(supervisor, "question", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    stops = [supervisor.stop(chat_id=CHAT, run_id=each, participant=ANA) for each in ("r1", None, "r1")]
    assert sorted(await asyncio.gather(*stops)) == [False, False, True]
    events = await world.events()
    assert len(of(events, "CUSTOM")) == 1
    check_runs(events)


async def test_a_queued_run_is_stopped_where_it_stands(world: World) -> None:
    gate = Gate()
    supervisor = await world.boot(gate)
    await say(supervisor, "first", id="m1", run_id="r1", wait=False)
    await say(supervisor, "second", id="m2", run_id="r2", wait=False)
    await aeventually(lambda: gate.waiting)

    assert await supervisor.stop(chat_id=CHAT, run_id="r2", participant=ANA)
    assert not await supervisor.stop(chat_id="another-chat", run_id="r1", participant=ANA)

    gate.open.set()
    await supervisor.wait("r1")
    events = await world.events()
    assert gate.waiting == ["first"]
    assert text_of(events, "r1") == "first: done"
    check_runs(events)


async def test_a_stopped_answer_is_part_of_the_next_prompt(world: World) -> None:
    prompts: list[list[str]] = []

    async def talk(turn: AgentTurn) -> AsyncIterator[Piece]:
        prompts.append([part["content"] for message in turn.messages for part in message["parts"]])
        yield "as I was saying"
        if turn.text == "one":
            await asyncio.Event().wait()

    supervisor = await world.boot(agent(talk))
    await say(supervisor, "one", id="m1", run_id="r1", wait=False)
    await aeventually(lambda: said(world, "as I was saying"))
    await supervisor.stop(chat_id=CHAT, run_id=None, participant=ANA)
    await say(supervisor, "two", id="m2")
    assert prompts[1] == ["one", "as I was saying", "two"]


async def test_an_append_that_fails_for_a_while_is_repeated(world: World) -> None:
    streams = Streams(world.client)
    supervisor = await world.boot(streams=streams)
    refusals = iter(range(3))

    def flaky(events: list[Event]) -> Exception | None:
        answering = any(event["type"] == "TEXT_MESSAGE_CONTENT" for event in events) and streams.appends
        if answering and next(refusals, None) is not None:
            return StreamsUnavailable("not now", retry_after=0.001)
        return None

    streams.refuse = flaky
    await say(supervisor, "hello there", run_id="r1", wait=False)
    await supervisor.wait("r1")

    events = await world.events()
    assert text_of(events, "r1") == "Echo: hello there"
    check_runs(events)
    seqs = [producer.seq for producer, _ in streams.appends if producer and producer.id == "run:r1"]
    assert seqs == list(range(len(seqs)))


async def test_nothing_is_accepted_while_the_streams_are_away(world: World) -> None:
    streams = Streams(world.client)
    supervisor = await world.boot(streams=streams)
    await world.client.ensure(f"chats/{CHAT}")
    streams.refuse = lambda events: StreamsUnavailable("not now", retry_after=0.001)
    with pytest.raises(Unavailable) as refused:
        await say(supervisor, "hello", run_id="r1")
    assert refused.value.retry_after > 0
    streams.refuse = lambda events: None

    again = await say(supervisor, "hello", run_id="r2")

    assert again.run_id == "r1"
    assert again.duplicate
    events = await world.events()
    assert questions(events) == ["m1"]
    assert text_of(events, "r1") == "Echo: hello"
    check_runs(events)


async def test_a_message_that_can_never_be_stored_is_not_accepted(world: World) -> None:
    streams = Streams(world.client)
    supervisor = await world.boot(streams=streams)
    streams.refuse = lambda events: PayloadTooLarge("too large")
    with pytest.raises(TooLarge):
        await say(supervisor, "hello", run_id="r1")
    assert await world.catalog.runs.unfinished() == []


async def test_limits(world: World) -> None:
    gate = Gate()
    limits = RunLimits(max_active_per_participant=2, max_queued_per_chat=3)
    supervisor = await world.boot(gate, limits=limits)
    for number in "12":
        await say(supervisor, number, id=f"a{number}", wait=False)
    with pytest.raises(LimitReached):
        await say(supervisor, "3", id="a3", wait=False)
    assert (await say(supervisor, "2", id="a2", wait=False)).duplicate
    await say(supervisor, "1", id="b1", by=BEN, wait=False)
    with pytest.raises(LimitReached):
        await say(supervisor, "2", id="b2", by=BEN, wait=False)
    gate.open.set()


async def test_a_sender_who_hangs_up_does_not_undo_the_message(world: World) -> None:
    streams = Streams(world.client)
    supervisor = await world.boot(streams=streams)
    storing, gone = asyncio.Event(), asyncio.Event()

    def hold(events: list[Event]) -> Exception | None:
        storing.set()
        return None if gone.is_set() else StreamsUnavailable("not now", retry_after=0.001)

    streams.refuse = hold
    sender = asyncio.create_task(say(supervisor, "hello", run_id="r1"))
    await asyncio.wait_for(storing.wait(), 15)
    sender.cancel()
    gone.set()
    with pytest.raises(asyncio.CancelledError):
        await sender

    await supervisor.wait("r1")
    assert text_of(await world.events(), "r1") == "Echo: hello"


async def test_a_run_whose_chat_is_deleted_goes_quietly(world: World) -> None:
    gate = Gate()
    supervisor = await world.boot(gate)
    await say(supervisor, "hello", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    await world.client.delete(f"chats/{CHAT}")
    gate.open.set()
    await supervisor.wait("r1")
    row = await world.catalog.runs.get("r1")
    assert row is not None
    assert row.outcome == "lost"


async def test_an_unknown_agent_is_refused(world: World) -> None:
    supervisor = await world.boot()
    with pytest.raises(InvalidMessage):
        await supervisor.accept(
            chat_id=CHAT, participant=ANA, message=NewMessage("m1", "hi"), agent_id="nobody"
        )


async def test_waiting_for_a_run_that_never_was(world: World) -> None:
    supervisor: Supervisor = await world.boot()
    await supervisor.wait("nothing")
