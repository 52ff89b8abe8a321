"""How many answers one may ask for within an hour, and how long one may be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.chats import ANA, BEN, CHAT, World, agent, say
from webapp.agents.base import AgentTurn
from webapp.agents.pieces import Piece
from webapp.chat.errors import LimitReached
from webapp.chat.messages import NewMessage
from webapp.chat.runs import RunLimits


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


LIMITS = RunLimits(window=0.005, duplicate_window=10_000.0)


async def test_a_person_has_so_many_answers_within_an_hour(world: World) -> None:
    clock = Clock()
    limits = replace(LIMITS, max_hourly_per_participant=3)
    supervisor = await world.boot(limits=limits, clock=clock)
    await world.catalog.create_chat("another-chat", owner=ANA)
    for number in range(3):
        await say(supervisor, "hello", id=f"m{number}")
        clock.now += 600
    with pytest.raises(LimitReached) as refused:
        await supervisor.accept(chat_id="another-chat", participant=ANA, message=NewMessage("n", "hi"))
    assert refused.value.retry_after == 1800
    await say(supervisor, "the same again", id="m-ben", by=BEN)
    assert (await say(supervisor, "hello", id="m2")).duplicate, "what was accepted is not asked for twice"
    clock.now += 1800
    await say(supervisor, "hello", id="m3")
    with pytest.raises(LimitReached) as refused:
        await say(supervisor, "hello", id="m4")
    assert refused.value.retry_after == 600


async def test_a_chat_has_so_many_answers_within_an_hour(world: World) -> None:
    clock = Clock()
    supervisor = await world.boot(limits=replace(LIMITS, max_hourly_per_chat=2), clock=clock)
    await world.catalog.create_chat("another-chat", owner=ANA)
    await say(supervisor, "hello", id="m1")
    await say(supervisor, "hello", id="m2", by=BEN)
    for person in (ANA, BEN):
        with pytest.raises(LimitReached):
            await say(supervisor, "hello", id="m3", by=person)
    await supervisor.accept(chat_id="another-chat", participant=ANA, message=NewMessage("n", "hi"))


async def test_no_quota(world: World) -> None:
    limits = replace(LIMITS, max_hourly_per_participant=0, max_hourly_per_chat=0)
    supervisor = await world.boot(limits=limits)
    for number in range(5):
        await say(supervisor, "hello", id=f"m{number}")


@pytest.mark.parametrize("limit", [0, 77])
async def test_an_agent_is_told_how_long_an_answer_may_be(world: World, limit: int) -> None:
    told: list[int] = []

    async def remember(turn: AgentTurn) -> AsyncIterator[Piece]:
        told.append(turn.max_output_tokens)
        yield "yes"

    supervisor = await world.boot(agent(remember), limits=replace(LIMITS, max_output_tokens=limit))
    await say(supervisor, "hello")
    assert told == [limit]
    assert await world.events(CHAT)
