"""A run that asked for a tool of its client, and goes on once with what the tool gave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.chats import ANA, BEN, CHAT, World, agent, check_runs, of, questions, say, text_of
from tests.support.waiting import aeventually
from webapp.agents.base import AgentTurn, Event
from webapp.agents.pieces import Piece, ask_client
from webapp.agents.scripted import DemoAgent
from webapp.chat.errors import Conflict, Forbidden, InvalidMessage, TooLarge
from webapp.chat.runs import Accepted, Supervisor
from webapp.chat.runs.pauses import Answer

CLOCK = [{"name": "clock", "description": "tells the time"}]


class Asker:
    """Asks its client for ``clock`` as often as the message says, then tells what it heard."""

    def __init__(self) -> None:
        self.turns: list[AgentTurn] = []

    async def run(self, turn: AgentTurn) -> AsyncIterator[Piece]:
        self.turns.append(turn)
        heard = [part for message in turn.messages for part in message["parts"] if "toolCallId" in part]
        if len(heard) < int(turn.text):
            call_id = f"{turn.run_id}-clock"
            yield "Wait. "
            yield {"type": "TOOL_CALL_START", "toolCallId": call_id, "toolCallName": "clock"}
            yield {"type": "TOOL_CALL_END", "toolCallId": call_id}
            yield ask_client([(call_id, "clock", {})])
        else:
            yield f"I heard {' and '.join(part['content'] for part in heard)}."


@pytest.fixture
def asker() -> Asker:
    return Asker()


async def paused(world: World, asker: Asker, *, times: int = 1) -> Supervisor:
    supervisor = await world.boot(agent(asker.run))
    await say(supervisor, str(times), run_id="r1", tools=CLOCK)
    return supervisor


def to(run_id: str, payload: Any = "noon", **changes: Any) -> Answer:
    return {"interruptId": f"{run_id}-clock-input", "status": "resolved", "payload": payload, **changes}


async def answer(
    supervisor: Supervisor, *answers: Answer, run_id: str | None = "r2", **more: Any
) -> Accepted:
    given = {"chat_id": CHAT, "participant": ANA, "parent_run_id": "r1", **more}
    accepted = await supervisor.resume(answers=answers or (to("r1"),), run_id=run_id, **given)
    await supervisor.wait(accepted.run_id)
    return accepted


async def test_the_result_is_told_and_the_run_goes_on(world: World, asker: Asker) -> None:
    supervisor = await paused(world, asker)

    accepted = await answer(supervisor)

    events = await world.events()
    check_runs(events)
    assert (accepted.run_id, accepted.duplicate) == ("r2", False)
    assert questions(events) == ["m1"]
    assert text_of(events, "r2") == "I heard noon."
    (started,) = [event for event in of(events, "RUN_STARTED") if event["runId"] == "r2"]
    assert (started["parentRunId"], started["metadata"]["triggerId"]) == ("r1", "m1")
    (result,) = of(events, "TOOL_CALL_RESULT")
    assert (result["toolCallId"], result["content"], result["runId"]) == ("r1-clock", "noon", "r2")
    turn = asker.turns[-1]
    assert turn.text == "1"
    assert [each["payload"] for each in turn.resume] == ["noon"]
    assert [message["role"] for message in turn.messages] == ["user", "assistant"]


async def test_it_may_pause_again_and_knows_all_it_heard(world: World, asker: Asker) -> None:
    supervisor = await paused(world, asker, times=2)
    await answer(supervisor)
    await answer(supervisor, to("r2", {"h": 1}), run_id="r3", parent_run_id=None)
    assert text_of(await world.events(), "r3") == 'I heard noon and {"h":1}.'


async def test_answers_sent_again_are_one_request(world: World, asker: Asker) -> None:
    supervisor = await paused(world, asker)
    sent = await asyncio.gather(*(answer(supervisor) for _ in range(5)))
    sent += [await answer(supervisor), await answer(supervisor, run_id=None)]
    assert [each.run_id for each in sent] == ["r2"] * 7
    assert [each.duplicate for each in sent].count(False) == 1
    assert len(of(await world.events(), "TOOL_CALL_RESULT")) == 1


async def test_of_two_tabs_one_answers(world: World, asker: Asker) -> None:
    supervisor = await paused(world, asker)
    tabs = (answer(supervisor, to("r1", tab), run_id=tab) for tab in ("one", "two", "three"))
    replies = await asyncio.gather(*tabs, return_exceptions=True)
    (accepted,) = [reply for reply in replies if isinstance(reply, Accepted)]
    assert {type(reply) for reply in replies} == {Accepted, Conflict}
    events = await world.events()
    check_runs(events)
    assert [event["content"] for event in of(events, "TOOL_CALL_RESULT")] == [accepted.run_id]


async def test_two_processes_accept_one_of_two_answers(world: World, asker: Asker) -> None:
    first = await world.boot(agent(asker.run), shared=True)
    await say(first, "1", run_id="r1", tools=CLOCK)
    second = await world.boot(agent(asker.run), shared=True)
    both = (answer(each, to("r1", tab), run_id=tab) for each, tab in ((first, "one"), (second, "two")))
    replies = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(reply).__name__ for reply in replies) == ["Accepted", "Conflict"]
    assert len(of(await world.events(), "TOOL_CALL_RESULT")) == 1


@pytest.mark.parametrize(
    ("answers", "more", "refused"),
    [
        ([to("r9")], {"parent_run_id": None}, Conflict),
        ([to("r1")], {"parent_run_id": "r9"}, Conflict),
        ([to("r1")], {"run_id": "r1"}, Conflict),
        ([to("r1"), to("r9")], {}, InvalidMessage),
        ([to("r1"), to("r1")], {}, InvalidMessage),
        ([to("r1", "x" * 300_000)], {}, TooLarge),
        ([to("r1")], {"participant": BEN, "may_approve": True}, Forbidden),
        ([{"toolCallId": "another", "status": "resolved"}], {}, Conflict),
    ],
)
async def test_what_does_not_answer_it_is_refused(
    world: World, asker: Asker, answers: list[Answer], more: dict[str, Any], refused: type[Exception]
) -> None:
    supervisor = await paused(world, asker)
    with pytest.raises(refused):
        await answer(supervisor, *answers, **more)
    assert len(asker.turns) == 1
    await answer(supervisor)
    assert text_of(await world.events(), "r2") == "I heard noon."


async def test_a_result_may_come_as_a_message_of_the_tool(world: World, asker: Asker) -> None:
    supervisor = await paused(world, asker)
    result = {"toolCallId": "r1-clock", "status": "resolved", "payload": "noon"}
    earlier = {"toolCallId": "another", "status": "resolved", "payload": "old"}
    await answer(supervisor, earlier, result, parent_run_id=None)
    assert text_of(await world.events(), "r2") == "I heard noon."


@pytest.mark.parametrize(
    "given", [to("r1", {"error": "No clock."}), {"interruptId": "r1-clock-input", "status": "cancelled"}]
)
async def test_a_tool_that_failed_is_told_as_that(world: World, asker: Asker, given: Answer) -> None:
    supervisor = await paused(world, asker)
    await answer(supervisor, given)
    (result,) = of(await world.events(), "TOOL_CALL_RESULT")
    assert result["metadata"] == {"tanstack": {"state": "output-error"}}


async def test_a_new_attempt_leaves_nothing_to_answer(world: World, asker: Asker) -> None:
    supervisor = await paused(world, asker)
    await say(supervisor, "1", run_id="again", tools=CLOCK)
    with pytest.raises(Conflict):
        await answer(supervisor)
    await answer(supervisor, to("again"), parent_run_id="again")
    assert text_of(await world.events(), "r2") == "I heard noon."


async def test_an_accepted_answer_outlives_the_process(world: World, asker: Asker) -> None:
    held = asyncio.Event()

    async def held_up(turn: AgentTurn) -> AsyncIterator[Piece]:
        if turn.text == "hold":
            yield "Holding. "
            await held.wait()
        async for piece in asker.run(turn):
            yield piece

    supervisor = await world.boot(agent(held_up))
    await say(supervisor, "1", run_id="r1", tools=CLOCK)
    await say(supervisor, "hold", id="m2", wait=False)

    async def begun() -> bool:
        started = of(await world.events(), "RUN_STARTED")
        return any(event["metadata"]["triggerId"] == "m2" for event in started)

    await aeventually(begun)
    accepted = await supervisor.resume(chat_id=CHAT, participant=ANA, answers=[to("r1")], run_id="r2")
    await world.crash()

    restarted = await world.boot(agent(asker.run))
    await restarted.wait(accepted.run_id)
    events = await world.events()
    check_runs(events)
    assert text_of(events, "r2") == "I heard noon."


async def test_an_approval_is_for_who_may_approve(world: World) -> None:
    supervisor = await world.boot(DemoAgent(word_delay=0))
    await say(supervisor, "/approve", run_id="r1")
    decision = {"interruptId": "r1-postcard-approval", "status": "resolved", "payload": {"approved": True}}
    with pytest.raises(Forbidden):
        await answer(supervisor, decision, participant=BEN)
    await answer(supervisor, decision, participant=BEN, may_approve=True)
    events: list[Event] = await world.events()
    assert text_of(events, "r2").startswith("Thank you")
    assert [event["toolCallId"] for event in of(events, "TOOL_CALL_RESULT")] == ["r1-postcard"]
