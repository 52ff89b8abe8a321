"""Messages that wait are edited, dropped and put first, until an agent has begun to answer them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from tests.support.chats import ANA, BEN, CHAT, Gate, Streams, World, check_runs, of, questions, said, say
from tests.support.waiting import aeventually
from webapp.agents.base import Event
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.errors import Conflict, Unavailable
from webapp.chat.events import MESSAGE_DROPPED, MESSAGE_EDITED
from webapp.chat.following import RunCursor, follow
from webapp.chat.messages import NewMessage
from webapp.chat.reducer import materialize
from webapp.chat.runs import Supervisor
from webapp.chat.runs.queue import Action, Change
from webapp.streams.clients.base import StreamsUnavailable

Gates = tuple[Supervisor, Gate]


async def change(supervisor: Supervisor, id: str, action: str, text: str = "") -> None:
    await supervisor.change_queued(
        Change(chat_id=CHAT, message_id=id, participant=BEN, action=Action(action), text=text)
    )


async def code_of(refused: Any) -> str:
    with pytest.raises(Conflict) as refusal:
        await refused
    return refusal.value.code


def named(events: list[Event], name: str) -> list[dict[str, Any]]:
    return [event["value"] for event in of(events, "CUSTOM") if event["name"] == name]


def shown(events: list[Event]) -> list[str]:
    """What people have said, as everybody sees it."""
    said = [message for message in materialize(events).messages if message["role"] == "user"]
    return [message["parts"][0]["content"] for message in said]


async def fill(supervisor: Supervisor, gate: Gate, *texts: str) -> None:
    """The first of the texts is being answered, the others wait."""
    for number, text in enumerate(texts, 1):
        await say(supervisor, text, id=f"m{number}", run_id=f"r{number}", wait=False)
    await aeventually(lambda: gate.waiting)


async def ended(world: World, supervisor: Supervisor, gate: Gate, *run_ids: str) -> list[Event]:
    gate.open.set()
    for run_id in run_ids:
        await supervisor.wait(run_id)
    events = await world.events()
    check_runs(events)
    return events


@pytest.fixture(params=[False, True], ids=["alone", "shared"])
def shared(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_an_edited_message_is_answered_as_it_is_now(world: World, shared: bool) -> None:
    gate = Gate()
    supervisor = await world.boot(gate, shared=shared)
    await fill(supervisor, gate, "one", "two")

    await change(supervisor, "m2", "edit", "two, or rather three")
    await change(supervisor, "m2", "edit", "four")

    assert await code_of(change(supervisor, "m1", "edit", "too late")) == "already-started"
    assert await code_of(change(supervisor, "m9", "edit", "of what?")) == "not-waiting"
    assert shown(await world.events()) == ["one", "four"]
    # Whoever sends it again, as it was or as it is, means the same message.
    for text in ("two", "four"):
        assert (await say(supervisor, text, id="m2", run_id="r2", wait=False)).duplicate
    with pytest.raises(Conflict):
        await say(supervisor, "five", id="m2", run_id="r2", wait=False)

    events = await ended(world, supervisor, gate, "r1", "r2")
    assert gate.waiting == ["one", "four"]
    edits = named(events, MESSAGE_EDITED)
    assert [(edit["messageId"], edit["text"], edit["name"]) for edit in edits] == [
        ("m2", "two, or rather three", "Ben"),
        ("m2", "four", "Ben"),
    ]
    assert questions(events) == ["m1", "m2"]
    assert await code_of(change(supervisor, "m2", "drop")) == "already-started"
    for number, text in enumerate(("four", "two"), 3):  # further attempts, with either text
        await say(supervisor, text, id="m2", run_id=f"r{number}")
    assert gate.waiting == ["one", "four", "four", "four"]


async def test_a_dropped_message_was_never_said(world: World, shared: bool) -> None:
    gate = Gate()
    supervisor = await world.boot(gate, shared=shared)
    await fill(supervisor, gate, "one", "two", "three")
    reply = asyncio.create_task(_followed(world, "r2"))

    await change(supervisor, "m2", "drop")

    assert await asyncio.wait_for(reply, 15) == []
    assert await code_of(change(supervisor, "m2", "drop")) == "message-dropped"
    assert await code_of(change(supervisor, "m2", "edit", "again")) == "message-dropped"
    await asyncio.wait_for(supervisor.wait("r2"), 15)
    assert (await say(supervisor, "two", id="m2", run_id="r2")).duplicate
    assert await code_of(say(supervisor, "two", id="m2", run_id="r9")) == "message-dropped"

    events = await ended(world, supervisor, gate, "r1", "r3")
    assert gate.waiting == ["one", "three"]
    assert shown(events) == ["one", "three"]
    [told] = named(events, MESSAGE_DROPPED)
    assert (told["messageId"], told["runIds"], told["name"]) == ("m2", ["r2"], "Ben")
    row = await world.catalog.runs.get("r2")
    assert row is not None
    assert (row.status, row.outcome, row.events) == (RunStatus.DONE, "dropped", None)


async def _followed(world: World, run_id: str) -> list[object]:
    """The events of a run until its reply ends."""
    pages = follow(world.client, f"chats/{CHAT}", run_id, after=RunCursor("-1"))
    return [event async for page in pages for event in page]


async def test_a_steered_message_is_the_next_one(world: World, shared: bool) -> None:
    gate = Gate()
    supervisor = await world.boot(gate, shared=shared)
    await fill(supervisor, gate, "one", "two", "three", "four")

    await change(supervisor, "m4", "steer")

    await aeventually(lambda: gate.waiting == ["one", "four"])
    assert gate.let_go == ["one"]
    assert await code_of(change(supervisor, "m4", "steer")) == "already-started"
    events = await ended(world, supervisor, gate, "r2", "r3", "r4")
    assert gate.waiting == ["one", "four", "two", "three"]
    [stop] = named(events, "run.stopped-by")
    assert (stop["runId"], stop["name"]) == ("r1", "Ben")


async def test_a_steered_message_is_the_next_one_after_a_crash(world: World, shared: bool) -> None:
    gate, streams = Gate(), Streams(world.client)
    supervisor = await world.boot(gate, shared=shared, streams=streams)
    await fill(supervisor, gate, "one", "two", "three")
    # It dies before it can stop what is running.
    streams.halt_before = lambda events: True
    with suppress(TimeoutError, asyncio.CancelledError):
        await asyncio.wait_for(change(supervisor, "m3", "steer"), 0.5)
    await world.crash()

    again = Gate()
    again.open.set()
    supervisor = await world.boot(again)
    events = await ended(world, supervisor, again, "r1", "r2", "r3")
    assert again.waiting == ["three", "two"]
    assert [event["runId"] for event in of(events, "RUN_STARTED")] == ["r1", "r3", "r2"]


async def crash_while_telling(world: World, action: str, *, told: bool) -> None:
    gate, streams = Gate(), Streams(world.client)
    supervisor = await world.boot(gate, streams=streams)
    await fill(supervisor, gate, "one", "two")

    def tells(events: list[Event]) -> bool:
        return str(events[0].get("name")).startswith("message.")

    if told:
        streams.halt_after = tells
    else:
        streams.halt_before = tells
    changing = asyncio.create_task(change(supervisor, "m2", action, "three"))
    await asyncio.wait_for(streams.reached.wait(), 15)
    await world.crash()
    with suppress(asyncio.CancelledError):
        await changing


@pytest.mark.parametrize("told", [False, True], ids=["untold", "told"])
async def test_an_edit_outlives_a_crash(world: World, told: bool) -> None:
    await crash_while_telling(world, "edit", told=told)
    gate = Gate()
    supervisor = await world.boot(gate)
    events = await ended(world, supervisor, gate, "r2")
    assert gate.waiting == ["three"]
    assert len(named(events, MESSAGE_EDITED)) == 1
    assert shown(events)[1] == "three"


@pytest.mark.parametrize("told", [False, True], ids=["untold", "told"])
async def test_a_drop_outlives_a_crash(world: World, told: bool) -> None:
    await crash_while_telling(world, "drop", told=told)
    gate = Gate()
    supervisor = await world.boot(gate)
    events = await ended(world, supervisor, gate, "r2")
    assert gate.waiting == []
    assert len(named(events, MESSAGE_DROPPED)) == 1
    assert [event["runId"] for event in of(events, "RUN_STARTED")] == ["r1"]
    assert await world.catalog.runs.unfinished() == []


@pytest.mark.parametrize("action", ["edit", "drop"])
async def test_no_run_begins_before_the_change_is_told_whoever_tells_it(world: World, action: str) -> None:
    """The process that made the change hangs; the one that has the run tells it when its turn has come."""
    gate, stuck = Gate(), Streams(world.client)
    owner = await world.boot(gate, shared=True)
    other = await world.boot(gate, shared=True, streams=stuck)
    await fill(owner, gate, "one", "two")
    stuck.halt_before = lambda events: True
    changing = asyncio.create_task(change(other, "m2", action, "three"))
    await asyncio.wait_for(stuck.reached.wait(), 15)

    events = await ended(world, owner, gate, "r1", "r2")

    assert gate.waiting == (["one", "three"] if action == "edit" else ["one"])
    assert shown(events) == gate.waiting
    assert len(named(events, MESSAGE_EDITED if action == "edit" else MESSAGE_DROPPED)) == 1
    changing.cancel()
    with suppress(asyncio.CancelledError):
        await changing


async def test_a_change_that_cannot_be_told_yet_is_told_before_the_next(world: World) -> None:
    gate, streams = Gate(), Streams(world.client)
    supervisor = await world.boot(gate, streams=streams)
    await fill(supervisor, gate, "one", "two")
    streams.refuse = lambda events: StreamsUnavailable("away")
    with pytest.raises(Unavailable):
        await change(supervisor, "m2", "edit", "three")
    streams.refuse = lambda events: None
    await change(supervisor, "m2", "edit", "four")
    events = await ended(world, supervisor, gate, "r2")
    assert [edit["text"] for edit in named(events, MESSAGE_EDITED)] == ["three", "four"]
    assert gate.waiting == ["one", "four"]


async def test_of_many_changes_at_once_and_a_start_one_order_comes_out(world: World) -> None:
    """Two processes edit and drop while the turn comes: what the agent is asked is what everybody sees."""
    for round in range(8):
        gate = Gate()
        one, two = [await world.boot(gate, shared=True) for _ in range(2)]
        names = [f"m{round}-{number}" for number in range(2)]
        for name in names:
            await one.accept(
                chat_id=CHAT, participant=ANA, message=NewMessage(name, name), run_id=f"run-{name}"
            )
        await aeventually(lambda gate=gate: gate.waiting)  # type: ignore[misc]
        gate.open.set()
        results = await asyncio.gather(
            change(one, names[1], "edit", "by one"),
            change(two, names[1], "edit", "by two"),
            change(two, names[1], "drop") if round % 2 else asyncio.sleep(0),
            return_exceptions=True,
        )
        for result in results:
            assert result is None or isinstance(result, Conflict | Unavailable), result
        await one.wait(f"run-{names[1]}")
        events = await world.events()
        check_runs(events)
        asked = gate.waiting[1:]
        kept = [each for each in materialize(events).messages if each["id"] == names[1]]
        assert asked == [each["parts"][0]["content"] for each in kept]
        assert await said(world, f"{names[0]}: ")


@pytest.mark.parametrize("shared", [False, True])
async def test_somebody_is_quicker_to_tell_a_change_just_as_the_turn_comes(
    world: World, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """The turn is refused because a change has to be told, and then there is nothing left to tell."""
    gate = Gate()
    one, other = await world.boot(gate, shared=shared), await world.boot(gate, shared=True)
    await fill(one, gate, "first", "second")
    name = "take_turn" if shared else "mark_running"
    begin = getattr(one._inbox, name)

    async def between(row: RunRow, *, now: float) -> object:
        monkeypatch.setattr(one._inbox, name, begin)
        edited = {"editId": "e1", "messageId": "m2", "text": "edited", "participantId": "ben", "name": "Ben"}
        event: Event = {"type": "CUSTOM", "name": MESSAGE_EDITED, "value": edited}
        await other._inbox.change_waiting(CHAT, "m2", lambda _: {"events": [event]})
        refused = await begin(row, now=now)
        await other._queue.catch_up(row)
        return refused

    async def wait_for_second(row: RunRow, *, now: float) -> object:
        return await (between if row.message_id == "m2" and gate.open.is_set() else begin)(row, now=now)

    monkeypatch.setattr(one._inbox, name, wait_for_second)
    events = await ended(world, one, gate, "r1", "r2")
    assert shown(events) == ["first", "edited"]
    assert gate.waiting == ["first", "edited"]
    answered = await one._inbox.get("r2")
    assert answered is not None
    assert answered.epoch == 0, "nobody had to take it over"
    check_runs(events)
