"""Approvals and what dies around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.approvals import Sender, check, decide, decisions, paused, to
from tests.support.chats import ANA, BEN, CHAT, Streams, World, agent, of, say
from webapp.agents.base import AgentTurn, Event
from webapp.agents.pieces import Piece
from webapp.chat import events as names
from webapp.chat.errors import Conflict, Unavailable
from webapp.chat.reducer import materialize
from webapp.streams.clients.base import StreamsUnavailable


@pytest.mark.parametrize("shared", [False, True])
async def test_a_crash_between_the_row_and_the_telling_is_healed(
    world: World, sender: Sender, shared: bool
) -> None:
    streams = Streams(world.client)
    supervisor = await paused(world, sender, streams=streams)
    streams.halt_before = lambda batch: batch[0].get("name") == names.APPROVAL_DECIDED
    await world.crash_at(streams, decide(supervisor, to("letter")))
    assert await decisions(world) == []
    assert len(await world.catalog.answers.untold()) == 1

    restarted = await world.boot(agent(sender.run), shared=shared)
    assert len(await decisions(world)) == 1
    assert await world.catalog.answers.untold() == []
    assert (await restarted.resume(chat_id=CHAT, participant=ANA, answers=[to("letter")])).duplicate
    if not shared:  # else its lease has still to run out
        (row,) = [each for each in await _rows(world) if each.continues == "r1"]
        await restarted.wait(row.run_id)
        assert sender.sent == ["letter"]
        await check(world)


async def test_a_crash_after_the_telling_tells_it_once(world: World, sender: Sender) -> None:
    streams = Streams(world.client)
    supervisor = await paused(world, sender, streams=streams)
    streams.halt_after = lambda batch: batch[0].get("name") == names.APPROVAL_DECIDED
    await world.crash_at(streams, decide(supervisor, to("letter")))
    restarted = await world.boot(agent(sender.run))
    (row,) = [each for each in await _rows(world) if each.continues == "r1"]
    await restarted.wait(row.run_id)
    assert len(await decisions(world)) == 1
    assert sender.sent == ["letter"]
    await check(world)


async def test_a_stream_that_is_away_keeps_the_answer(world: World, sender: Sender) -> None:
    streams = Streams(world.client)
    supervisor = await paused(world, sender, streams=streams)

    def away(batch: list[Event]) -> Exception | None:
        gone = batch[0].get("name") == names.APPROVAL_DECIDED
        return StreamsUnavailable("away") if gone else None

    streams.refuse = away
    with pytest.raises(Unavailable):
        await decide(supervisor, to("letter"))
    streams.refuse = lambda batch: None
    with pytest.raises(Conflict):
        await decide(supervisor, to("letter", approved=False), by=BEN)
    assert (await decide(supervisor, to("letter"))).duplicate
    assert sender.sent == ["letter"]
    assert len(await decisions(world)) == 1


async def test_a_pending_approval_outlives_a_restart(world: World, sender: Sender) -> None:
    await paused(world, sender, "letter parcel")
    await world.crash()
    supervisor = await world.boot(agent(sender.run))
    await decide(supervisor, to("letter"))
    await world.crash()
    supervisor = await world.boot(agent(sender.run))
    await decide(supervisor, to("parcel"), by=BEN)
    assert sender.sent == ["letter", "parcel"]
    await check(world)


async def test_an_approved_tool_that_may_have_run_is_not_run_again(world: World, sender: Sender) -> None:
    running = asyncio.Event()

    async def breaks(turn: AgentTurn) -> AsyncIterator[Piece]:
        if turn.resume:
            sender.sent.append("letter")
            running.set()
            await asyncio.Event().wait()
        async for piece in sender.run(turn):
            yield piece

    supervisor = await world.boot(agent(breaks))
    await say(supervisor, "letter", run_id="r1")
    await supervisor.resume(chat_id=CHAT, participant=ANA, answers=[to("letter")], may_approve=True)
    await running.wait()
    await world.crash()

    restarted = await world.boot(agent(sender.run))
    events = await check(world)
    (ended,) = of(events, "RUN_ERROR")
    assert ended["code"] == "interrupted"
    assert sender.sent == ["letter"]
    # Another attempt asks again.
    await say(restarted, "letter", run_id="again")
    (run,) = [
        each
        for each in (await _snapshot_runs(world)).values()
        if each["status"] == "awaiting-approval" and "supersededBy" not in each
    ]
    assert run["runId"] == "again"
    await decide(restarted, to("letter"), parent_run_id="again")
    assert sender.sent == ["letter", "letter"], "which is a decision of its own"


async def _rows(world: World) -> list[Any]:
    return await world.catalog.runs.attempts(CHAT, "m1")


async def _snapshot_runs(world: World) -> dict[str, Any]:
    return materialize(await world.events()).runs
