"""An answer that broke off goes on, and a message finds its place among the branches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.chats import ANA, BEN, CHAT, Gate, World, agent, check_runs, of, say, text_of
from tests.support.waiting import aeventually
from webapp.agents.base import AgentError, AgentTurn
from webapp.agents.pieces import Piece, go_on
from webapp.agents.scripted import DemoAgent
from webapp.chat.branches import Branches
from webapp.chat.catalog.choices import Choice
from webapp.chat.errors import Conflict
from webapp.chat.messages import NewMessage
from webapp.chat.reducer import materialize
from webapp.chat.runs import Accepted, Supervisor


class Halting:
    """Says one word more of the message with each turn, and then breaks off."""

    def __init__(self) -> None:
        self.turns: list[AgentTurn] = []

    async def run(self, turn: AgentTurn) -> AsyncIterator[Piece]:
        self.turns.append(turn)
        words = turn.text.split()
        place = len(turn.begun.split())
        yield f"{words[place]} "
        if place + 1 < len(words):
            raise AgentError("That was all for now.")


async def on(supervisor: Supervisor, run_id: str) -> Accepted:
    accepted = await supervisor.go_on(chat_id=CHAT, run_id=run_id, participant=BEN)
    await supervisor.wait(accepted.run_id)
    return accepted


async def messages(world: World) -> list[dict[str, Any]]:
    return materialize(await world.events()).messages


async def test_it_goes_on_as_often_as_it_breaks_off_and_is_one_answer(world: World) -> None:
    halting = Halting()
    supervisor = await world.boot(agent(halting.run))
    await say(supervisor, "one two three", run_id="r1")
    second = await on(supervisor, "r1")
    third = await on(supervisor, second.run_id)
    events = await world.events()
    check_runs(events)
    assert [text_of(events, run) for run in ("r1", second.run_id, third.run_id)] == ["one ", "two ", "three "]
    assert [turn.begun for turn in halting.turns] == ["", "one ", "one two "]
    starts = of(events, "TEXT_MESSAGE_START")[1:]
    assert [start["metadata"].get("continues") for start in starts] == [None, "r1", "r1"]
    said = await messages(world)
    assert [message["id"] for message in Branches(said).path()] == [message["id"] for message in said]
    with pytest.raises(Conflict):
        await on(supervisor, third.run_id)  # it has ended well

    await say(supervisor, "four", id="m2")
    assert [turn["role"] for turn in halting.turns[-1].messages] == ["user", *["assistant"] * 3, "user"]


async def test_many_who_wish_it_get_one_run(world: World) -> None:
    supervisor = await world.boot(agent(Halting().run))
    await say(supervisor, "one two", run_id="r1")
    wished = await asyncio.gather(*(on(supervisor, "r1") for _ in range(5)))
    assert len({each.run_id for each in wished}) == 1
    assert [each.duplicate for each in wished].count(False) == 1
    assert len(of(await world.events(), "RUN_STARTED")) == 2


async def test_two_processes_make_one_run_of_it(world: World) -> None:
    first = await world.boot(agent(Halting().run), shared=True)
    await say(first, "one two", run_id="r1")
    second = await world.boot(agent(Halting().run), shared=True)
    wished = await asyncio.gather(on(first, "r1"), on(second, "r1"))
    assert len({each.run_id for each in wished}) == 1
    assert len(of(await world.events(), "RUN_STARTED")) == 2


async def test_what_was_accepted_goes_on_after_a_crash(world: World) -> None:
    gate = Gate()
    supervisor = await world.boot(agent(gate.run))
    await say(supervisor, "Hi", run_id="r1", wait=False)
    await aeventually(lambda: gate.waiting)
    await supervisor.stop(chat_id=CHAT, run_id="r1", participant=ANA)
    gate.open.set()
    accepted = await supervisor.go_on(chat_id=CHAT, run_id="r1", participant=ANA)
    await world.crash()
    again = await world.boot(agent(gate.run))
    await again.wait(accepted.run_id)
    events = await world.events()
    check_runs(events)
    (row,) = [row for row in await world.catalog.runs.attempts(CHAT, "m1") if row.run_id == accepted.run_id]
    assert (row.continues, row.outcome) in {("r1", "success"), ("r1", "interrupted")}


@pytest.mark.parametrize("run_id", ["r1", "nowhere"])
async def test_what_has_not_broken_off_does_not_go_on(world: World, run_id: str) -> None:
    supervisor = await world.boot(agent(Halting().run))
    await say(supervisor, "one", run_id="r1")
    with pytest.raises(Conflict):
        await supervisor.go_on(chat_id=CHAT, run_id=run_id, participant=ANA)


async def test_what_was_answered_again_does_not_go_on(world: World) -> None:
    supervisor = await world.boot(agent(Halting().run))
    await say(supervisor, "one two", run_id="r1")
    await say(supervisor, "one two", run_id="r2")
    with pytest.raises(Conflict):
        await on(supervisor, "r1")


async def test_the_demo_goes_on_where_it_was_stopped(world: World) -> None:
    supervisor = await world.boot(DemoAgent(word_delay=0, long_word_delay=0.005))
    await say(supervisor, "/long 60", run_id="r1", wait=False)
    await aeventually(lambda: supervisor.busy)

    async def begun() -> bool:
        return len(text_of(await world.events(), "r1").split()) > 10

    await aeventually(begun, what="some words")
    await supervisor.stop(chat_id=CHAT, run_id="r1", participant=ANA)
    second = await on(supervisor, "r1")
    events = await world.events()
    whole = text_of(events, "r1") + text_of(events, second.run_id)
    fresh = await say(supervisor, "/long 60", id="m2", run_id="r3")
    assert whole == text_of(await world.events(), fresh.run_id)


async def test_a_message_is_placed_where_its_sender_is(world: World) -> None:
    supervisor = await world.boot(agent(Halting().run))

    async def send(id: str, by: Any = ANA, **metadata: str) -> dict[str, Any]:
        accepted = await supervisor.accept(
            chat_id=CHAT, participant=by, message=NewMessage(id, "one", metadata=metadata)
        )
        await supervisor.wait(accepted.run_id)
        found = next(message for message in await messages(world) if message["id"] == id)
        return {
            key: value
            for key, value in found["metadata"].items()
            if key not in ("createdAt", "guest", "participantId")
        }

    assert await send("m1") == {}
    answer = (await messages(world))[-1]["id"]
    assert await send("m2") == {"parentId": answer}
    assert await send("m1b", editOf="m1") == {"editOf": "m1"}
    newest = (await messages(world))[-1]["id"]
    assert await send("m3") == {"parentId": newest}
    assert await send("m4", parentId=answer) == {"parentId": answer}

    # Who looks at another version writes there, and the path to it stays with the message.
    await world.catalog.choices.choose(CHAT, BEN.id, "m1", Choice("m1"))
    placed = await send("m6", by=BEN)
    assert placed["choices"] == {"m1": "m1"}
    path = [each["id"] for each in Branches(await messages(world)).path(placed["choices"])]
    assert placed["parentId"] in path
    # Who makes another version looks at that one.
    await send("m1c", by=BEN, editOf="m1")
    assert await world.catalog.choices.of(CHAT, BEN.id) == {}


@pytest.mark.parametrize(
    ("after", "rest"),
    [
        ("", "one two three"),
        ("one", " two three"),
        ("one tw", "o three"),
        ("one two three", ""),
        ("other", "ne two three"),
    ],
)
async def test_what_was_said_is_not_said_again(after: str, rest: str) -> None:
    async def pieces() -> AsyncIterator[Piece]:
        for piece in ("one ", "two ", "three"):
            yield piece

    assert "".join([str(piece) async for piece in go_on(pieces(), after=after)]) == rest
