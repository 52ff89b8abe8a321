"""Several agents in one chat: who answers, who is handed on to, and when they have to wait for a person."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter

from tests.support.chats import (
    ANA,
    BEN,
    CHAT,
    Gate,
    World,
    agent,
    of,
    questions,
    say,
    text_of,
)
from tests.support.waiting import aeventually
from webapp.agents.base import Agent, AgentTurn, Event
from webapp.agents.cast import Cast, Member, trigger
from webapp.agents.pieces import Piece
from webapp.agents.scripted import CriticAgent, DemoAgent
from webapp.chat.errors import Conflict, InvalidMessage
from webapp.chat.messages import NewMessage, Participant
from webapp.chat.roster import Roster
from webapp.chat.runs import RunLimits, Supervisor
from webapp.chat.sessions import Sessions
from webapp.chat.telling import Telling

EVENT: TypeAdapter[Any] = TypeAdapter(AgUiEvent)
LIMITS = RunLimits(window=0.005)


def echo(id: str) -> Agent:
    """Says who spoke to it."""

    async def run(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield f"{id} heard {turn.speaker}"

    return agent(run, id=id)


def chatty(id: str, *others: str) -> Agent:
    """Always mentions the others."""

    async def run(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield f"{id} to " + " ".join(f"@{other}" for other in others)

    return agent(run, id=id)


def roster(world: World, cast: Any) -> Roster:
    sessions = Sessions(streams=world.client, cache=world.catalog.snapshots)
    return Roster(
        cast=Cast.of(cast), telling=Telling(streams=world.client, sessions=sessions), sessions=sessions
    )


async def quiet(world: World) -> list[Event]:
    """The stream, once every run of the chat is over: AG-UI's events alone."""
    events = await world.quiet()
    for event in events:
        EVENT.validate_python(event)
    return events


def answered(events: Sequence[Event]) -> list[tuple[str, str]]:
    """Which agent has begun on which message."""
    began = of(events, "RUN_STARTED")
    return [(each["metadata"]["agentId"], each["metadata"]["triggerId"]) for each in began]


def cards(events: Sequence[Event]) -> list[Any]:
    return [each["value"] for each in of(events, "CUSTOM") if each["name"] == "chat.waiting-for-person"]


@pytest.mark.parametrize(
    ("text", "agents"),
    [
        ("hello", ["one"]),
        ("@two hello", ["two"]),
        ("@TWO and @one", ["two", "one"]),
        ("please review this", ["three"]),
        ("please review this, @one", ["one"]),
        ("reviewed", ["one"]),
        ("@absent hello", ["one"]),
    ],
)
async def test_who_answers(world: World, text: str, agents: list[str]) -> None:
    members = (
        Member(agent=echo("absent"), present=False),
        *map(echo, ("one", "two")),
        Member(agent=echo("three"), triggers=(trigger("review"), trigger(r"/^now\b/"))),
    )
    supervisor = await world.boot(*members)

    accepted = await say(supervisor, text, run_id="r1")

    events = await quiet(world)
    assert questions(events) == ["m1"]
    assert sorted(answered(events)) == sorted((each, "m1") for each in agents)
    assert accepted.further == tuple(f"r1~{each}" for each in agents[1:])
    assert text_of(events, "r1") == f"{agents[0]} heard Ana"


async def test_a_run_id_that_leaves_no_room_for_another_is_taken(world: World) -> None:
    supervisor = await world.boot(echo("one"), echo("two"))
    first = "r" * 127
    accepted = await say(supervisor, "@one @two", run_id=first)
    assert accepted.run_id == first
    assert [len(each) <= 128 and each != first for each in accepted.further] == [True]
    assert len(answered(await quiet(world))) == 2


async def test_one_agent_is_asked_whatever_the_text_says(world: World) -> None:
    supervisor = await world.boot(echo("one"), echo("two"))
    accepted = await supervisor.accept(
        chat_id=CHAT, participant=ANA, message=NewMessage("m1", "@one"), agent_id="two"
    )
    assert accepted.further == ()
    assert answered(await quiet(world)) == [("two", "m1")]


async def test_a_new_attempt_is_of_the_agent_that_is_named(world: World) -> None:
    supervisor = await world.boot(echo("one"), echo("two"))
    await say(supervisor, "@one @two", run_id="r1")
    await quiet(world)

    again = await supervisor.accept(
        chat_id=CHAT, participant=ANA, message=NewMessage("m1", "@one @two"), agent_id="two", run_id="r2"
    )
    repeated = await say(supervisor, "@one @two", run_id="r1")

    assert (again.further, again.duplicate) == ((), False)
    assert (repeated.run_id, repeated.further, repeated.duplicate) == ("r1", ("r1~two",), True)
    events = await quiet(world)
    assert sorted(answered(events)) == [("one", "m1"), ("two", "m1"), ("two", "m1")]
    with pytest.raises(Conflict):
        await say(supervisor, "@one @two", run_id="r2", id="other")


async def test_all_of_a_message_again_is_a_new_attempt_of_all(world: World) -> None:
    now = [1000.0]
    supervisor = await world.boot(echo("one"), echo("two"), clock=lambda: now[0], limits=LIMITS)
    first = await say(supervisor, "@one @two")
    await quiet(world)
    again = await say(supervisor, "@one @two")
    now[0] += 11
    later = await say(supervisor, "@one @two")

    assert (again.run_id, again.further, again.duplicate) == (first.run_id, first.further, True)
    assert not later.duplicate
    events = await quiet(world)
    assert sorted(answered(events)) == [("one", "m1")] * 2 + [("two", "m1")] * 2
    attempts = [(e["metadata"]["agentId"], e["metadata"]["attempt"]) for e in of(events, "RUN_STARTED")]
    assert sorted(attempts) == [("one", 1), ("one", 2), ("two", 1), ("two", 2)]


async def test_stop_one_of_two_and_the_other_goes_on(world: World) -> None:
    """AC-15."""
    gates = [Gate(id="one"), Gate(id="two")]
    both = (trigger("both"),)
    supervisor = await world.boot(*(Member(agent=gate, triggers=both) for gate in gates))
    accepted = await say(supervisor, "both", run_id="r1", wait=False)
    await aeventually(lambda: all(gate.waiting for gate in gates))

    assert await supervisor.stop(chat_id=CHAT, run_id=accepted.further[0], participant=BEN)
    assert [gate.let_go for gate in gates] == [[], ["both"]]
    gates[0].open.set()

    events = await quiet(world)
    assert text_of(events, "r1").endswith("done")
    ends = {each["runId"]: each.get("outcome") for each in of(events, "RUN_FINISHED")}
    assert ends == {"r1": None, "r1~two": {"type": "cancelled"}}


async def test_an_agent_addresses_another(world: World) -> None:
    turns: list[AgentTurn] = []

    async def listens(turn: AgentTurn) -> AsyncIterator[Piece]:
        turns.append(turn)
        yield "Thank you."

    supervisor = await world.boot(chatty("one", "two"), agent(listens, id="two"))
    await say(supervisor, "hello", run_id="r1")

    events = await quiet(world)
    assert answered(events) == [("one", "m1"), ("two", "r1~1")]
    [turn] = turns
    assert (turn.text, turn.speaker, turn.others) == ("one to @two", "One", ["One"])
    assert [(each["role"], each["name"]) for each in turn.messages] == [("user", "Ana"), ("assistant", "One")]
    second = of(events, "RUN_STARTED")[1]
    assert second["parentRunId"] == "r1"
    assert cards(events) == []


async def test_only_what_an_answer_says_itself_hands_on(world: World) -> None:
    async def careful(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield "> @two said\n\n`@two` me@two @one @nobody"

    async def fails(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield "@two"
        raise ValueError

    supervisor = await world.boot(agent(careful, id="one"), echo("two"), agent(fails, id="three"))
    await say(supervisor, "hello")
    await say(supervisor, "@three", id="m2")
    assert answered(await quiet(world)) == [("one", "m1"), ("three", "m2")]


@pytest.mark.parametrize("shared", [False, True])
async def test_agents_that_always_mention_each_other_wait_for_a_person(world: World, shared: bool) -> None:
    """AC-52."""
    supervisor = await world.boot(chatty("one", "two"), chatty("two", "one"), shared=shared)
    await say(supervisor, "hello")
    events = await quiet(world)
    assert [who for who, _ in answered(events)] == ["one", "two"] * 3
    assert cards(events) == [{"messageId": "m1", "agents": ["One", "Two"], "turns": 6}]

    await say(supervisor, "go on", id="m2")
    events = await quiet(world)
    assert len(answered(events)) == 12
    assert [each["messageId"] for each in cards(events)] == ["m1", "m2"]


@pytest.mark.parametrize("shared", [False, True])
async def test_a_crowd_takes_no_more_turns_than_two(world: World, shared: bool) -> None:
    """Each answer addresses three others, so that many ends compete for the last turns."""
    names = ("one", "two", "three", "four")
    crowd = [chatty(name, *(other for other in names if other != name)) for name in names]
    limits = RunLimits(window=0.005, agent_turns=9)
    supervisor = await world.boot(*crowd, shared=shared, limits=limits)
    await say(supervisor, "@one @two @three @four")
    events = await quiet(world)
    assert len(answered(events)) == 9
    assert len(set(answered(events))) == 9
    [card] = cards(events)
    assert (card["messageId"], card["turns"], set(card["agents"])) == (
        "m1",
        9,
        {name.capitalize() for name in names},
    )


async def test_a_turn_that_a_person_has_repeated_counts_once(world: World) -> None:
    limits = RunLimits(window=0.005, agent_turns=3)
    supervisor = await world.boot(chatty("one", "two"), chatty("two", "one"), limits=limits)
    await say(supervisor, "hello", run_id="r1")
    events = await quiet(world)
    (_, _), (two, trigger_id), (_, _) = answered(events)

    again = NewMessage(trigger_id, "", by_agent=True)
    retry = {"chat_id": CHAT, "participant": BEN, "message": again, "run_id": "again"}
    with pytest.raises(InvalidMessage):
        await supervisor.accept(**retry, agent_id="one")  # its own
    await supervisor.accept(**retry, agent_id=two)
    repeated = await supervisor.accept(**retry, agent_id=two)

    assert repeated.duplicate
    events = await quiet(world)
    assert questions(events) == ["m1"]
    assert answered(events)[3:] == [("two", trigger_id)]
    assert len(cards(events)) == 1


@pytest.mark.parametrize("named", ["m1", "nothing", "r1~1"])
async def test_only_an_agents_message_can_be_answered_again_by_name(world: World, named: str) -> None:
    supervisor = await world.boot(echo("one"), echo("two"))
    await say(supervisor, "hello", run_id="r1")
    answer = NewMessage(named, "", by_agent=True)
    with pytest.raises((InvalidMessage, Conflict)):
        await supervisor.accept(chat_id=CHAT, participant=ANA, message=answer, agent_id="one")


async def test_who_says_nothing_leaves_no_message(world: World) -> None:
    """AC-53."""

    async def silent(turn: AgentTurn) -> AsyncIterator[Piece]:
        return
        yield

    supervisor = await world.boot(agent(silent, id="one"), chatty("two", "one"))
    await say(supervisor, "@one @two", run_id="r1")
    await quiet(world)
    snapshot = (await Sessions(streams=world.client, cache=world.catalog.snapshots).snapshot(CHAT)).snapshot
    assert [each.get("name") for each in snapshot.messages] == ["Ana", "Two"]
    silences = [(run["triggerId"], run["status"]) for run in snapshot.runs.values()]
    assert sorted(silences) == [("m1", "silent"), ("r1~two~1", "silent")]


async def test_agents_come_and_go(world: World) -> None:
    cast = [Member(agent=echo("one")), Member(agent=echo("two"), present=False)]
    supervisor = await world.boot(*cast)
    people = roster(world, cast)

    assert await people.change(CHAT, "two", present=True, by=BEN)
    assert not await people.change(CHAT, "two", present=True, by=ANA)
    await say(supervisor, "@two hello", id="m1")
    assert await people.change(CHAT, "one", present=False, by=ANA)
    with pytest.raises(Conflict):
        await people.change(CHAT, "two", present=False, by=ANA)
    with pytest.raises(InvalidMessage):
        await people.change(CHAT, "three", present=True, by=ANA)
    await say(supervisor, "@one hello", id="m2")

    events = await quiet(world)
    assert answered(events) == [("two", "m1"), ("two", "m2")]
    assert [(e["name"], e["value"]) for e in of(events, "CUSTOM")] == [
        ("agent.joined", {"agentId": "two", "name": "Two", "participantId": "ben", "by": "Ben"}),
        ("agent.left", {"agentId": "one", "name": "One", "participantId": "ana", "by": "Ana"}),
    ]
    snapshot = (await Sessions(streams=world.client, cache=world.catalog.snapshots).snapshot(CHAT)).snapshot
    assert snapshot.roster == {"two": True, "one": False}
    assert [note["after"] for note in snapshot.notes] == ["", next(m["id"] for m in snapshot.messages[1:])]


async def test_two_people_ask_in_turn(world: World) -> None:
    """AC-51."""
    supervisor = await world.boot(DemoAgent(word_delay=0), CriticAgent(word_delay=0))
    cleo = Participant("cleo", "Cleo")
    for number, person in enumerate((ANA, BEN, cleo, ANA)):
        await say(supervisor, "What is this?", id=f"m{number}", run_id=f"r{number}", by=person)
    events = await quiet(world)
    for number, person in enumerate((ANA, BEN, cleo, ANA)):
        assert person.name in text_of(events, f"r{number}").splitlines()[0]


async def test_the_demos_debate_ends_with_a_card(world: World) -> None:
    for number, opening in enumerate(("/debate", "@Critic /debate")):
        supervisor = await world.boot(DemoAgent(word_delay=0), CriticAgent(word_delay=0))
        await say(supervisor, opening, id=f"m{number}")
        events = await quiet(world)
        assert len(answered(events)) == 6 * (number + 1)
        assert len(cards(events)) == number + 1
        await supervisor.aclose()


async def test_two_agents_interleave(world: World) -> None:
    async def slow(turn: AgentTurn) -> AsyncIterator[Piece]:
        for word in ("a ", "b ", "c ", "d "):
            yield word
            await asyncio.sleep(0.03)

    supervisor: Supervisor = await world.boot(agent(slow, id="one"), agent(slow, id="two"))
    await say(supervisor, "@one @two", run_id="r1")
    events = await quiet(world)
    order = [each["messageId"] for each in of(events, "TEXT_MESSAGE_CONTENT") if each["messageId"] != "m1"]
    assert sum(one != other for one, other in pairwise(order)) > 2
    assert text_of(events, "r1") == text_of(events, "r1~two") == "a b c d "
