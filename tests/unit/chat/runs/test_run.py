"""How a run ends, whatever its agent does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.chats import (
    CHAT,
    World,
    agent,
    check_runs,
    of,
    say,
    text_of,
)
from webapp.agents.base import AgentError, AgentTurn
from webapp.agents.pieces import Piece
from webapp.chat.catalog.run_row import RunStatus
from webapp.chat.runs import RunLimits


async def run_of(world: World, script: object, **options: float) -> list[dict[str, object]]:
    supervisor = await world.boot(agent(script), limits=RunLimits(window=0.005, **options))  # type: ignore[arg-type]
    await say(supervisor, "go", run_id="r1")
    events = await world.events()
    check_runs(events)
    row = await world.catalog.runs.get("r1")
    assert row is not None
    assert (row.status, row.events, dict(row.data)) == (RunStatus.DONE, None, {})
    return events[3:]


async def fails_for_a_person(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "half"
    raise AgentError("The model is busy.", code="provider-busy")


async def breaks(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "half"
    raise RuntimeError("secret upstream text")


async def hangs(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield {"type": "TOOL_CALL_START", "toolCallId": "t", "toolCallName": "clock"}
    await asyncio.Event().wait()


async def falls_silent(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "half"
    await asyncio.Event().wait()


async def will_not_stop(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "half"
    for _ in range(3):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            yield "never"


async def cancels_itself(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "half"
    raise asyncio.CancelledError


async def yields_junk(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "half"
    yield 42  # type: ignore[misc]


async def yields_no_json(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "half"
    yield {"type": "CUSTOM", "name": "x", "value": object()}


async def errs_by_event(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "half"
    yield {"type": "RUN_ERROR", "message": "secret upstream text", "runId": "somebody-else"}
    yield "never"


async def never_ends(turn: AgentTurn) -> AsyncIterator[Piece]:
    while True:
        yield "x" * 10_000
        await asyncio.sleep(0)


def not_a_generator(turn: AgentTurn) -> object:
    return None


@pytest.mark.parametrize(
    ("script", "options", "code", "said"),
    [
        (fails_for_a_person, {}, "provider-busy", "half"),
        (breaks, {}, "agent-failed", "half"),
        (hangs, {"time_limit": 0.05}, "time-limit", ""),
        (hangs, {"idle_limit": 0.05}, "model-timeout", ""),
        (falls_silent, {"idle_limit": 0.2}, "model-timeout", "half"),
        (will_not_stop, {"time_limit": 0.05, "agent_farewell": 0.05}, "time-limit", "half"),
        (cancels_itself, {}, "agent-failed", "half"),
        (yields_junk, {}, "agent-failed", "half"),
        (yields_no_json, {}, "agent-failed", "half"),
        (errs_by_event, {}, "agent-failed", "half"),
        (not_a_generator, {}, "agent-failed", ""),
    ],
)
async def test_a_failing_agent_ends_its_run(
    world: World, script: object, options: dict[str, float], code: str, said: str
) -> None:
    events = await run_of(world, script, **options)
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", code)
    assert "secret" not in str(events)
    assert text_of(events, "r1") == said
    await world.crash()


async def test_a_tool_at_work_is_no_silence(world: World) -> None:
    async def works(turn: AgentTurn) -> AsyncIterator[Piece]:
        call = {"toolCallId": "t"}
        yield {"type": "TOOL_CALL_START", "toolCallName": "clock", **call}
        yield {"type": "TOOL_CALL_END", **call}
        await asyncio.sleep(0.5)
        yield {"type": "TOOL_CALL_RESULT", "messageId": "r", "content": "noon", **call}
        await asyncio.Event().wait()

    events = await run_of(world, works, idle_limit=0.15)
    assert len(of(events, "TOOL_CALL_RESULT")) == 1
    assert events[-1]["code"] == "model-timeout", "but what follows is"


async def test_an_answer_without_end_is_cut(world: World) -> None:
    events = await run_of(world, never_ends, max_output_bytes=100_000)
    assert events[-1]["code"] == "output-limit"
    assert 90_000 <= len(text_of(events, "r1")) <= 120_000


async def test_a_five_megabyte_token_is_stored(world: World) -> None:
    async def huge(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield "é" * 2_500_000

    events = await run_of(world, huge)
    assert text_of(events, "r1") == "é" * 2_500_000
    assert events[-1]["type"] == "RUN_FINISHED"


async def test_nothing_to_say(world: World) -> None:
    async def silent(turn: AgentTurn) -> AsyncIterator[Piece]:
        return
        yield

    events = await run_of(world, silent)
    assert [event["type"] for event in events] == ["RUN_STARTED", "RUN_FINISHED"]


async def test_an_agent_may_set_its_outcome(world: World) -> None:
    async def asks(turn: AgentTurn) -> AsyncIterator[Piece]:
        yield {"type": "TOOL_CALL_START", "toolCallId": "t", "toolCallName": "pay"}
        interrupt = {"id": "i", "reason": "tool_call", "toolCallId": "t"}
        yield {
            "type": "RUN_FINISHED",
            "runId": "x",
            "outcome": {"type": "interrupt", "interrupts": [interrupt]},
        }
        yield "never"

    events = await run_of(world, asks)
    assert [event["type"] for event in events] == [
        "RUN_STARTED",
        "TOOL_CALL_START",
        "TOOL_CALL_END",
        "RUN_FINISHED",
    ]
    assert events[-1]["runId"] == "r1"
    assert events[-1]["outcome"] == {
        "type": "interrupt",
        "interrupts": [{"id": "i", "reason": "tool_call", "toolCallId": "t"}],
    }


async def accounts_for_itself(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "done"
    details = {"usage": [{"inputTokens": 3}], "metadata": {"tanstack": {"finishReason": "length"}}}
    yield {"type": "RUN_FINISHED", "threadId": "another", "runId": "another", "result": "x", **details}


async def accounts_badly(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "done"
    yield {"type": "RUN_FINISHED", "usage": "a lot", "metadata": None, "result": object()}


async def accounts_for_what_is_no_json(turn: AgentTurn) -> AsyncIterator[Piece]:
    yield "done"
    yield {"type": "RUN_FINISHED", "metadata": {"secret": object()}}


async def test_an_agents_account_is_part_of_its_end(world: World) -> None:
    *_, finished = await run_of(world, accounts_for_itself)
    assert finished.pop("timestamp")
    assert finished == {
        "type": "RUN_FINISHED",
        "threadId": CHAT,
        "runId": "r1",
        "usage": [{"inputTokens": 3}],
        "metadata": {"tanstack": {"finishReason": "length"}},
    }


async def test_what_is_no_account_is_left_out(world: World) -> None:
    *_, finished = await run_of(world, accounts_badly)
    assert set(finished) == {"type", "threadId", "runId", "timestamp"}


async def test_an_account_that_cannot_be_stored_fails_the_run(world: World) -> None:
    *_, failed = await run_of(world, accounts_for_what_is_no_json)
    assert (failed["type"], failed["code"]) == ("RUN_ERROR", "agent-failed")
