"""Approvals: each question is answered once, by whoever was first, for exactly what they saw."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter

from tests.support.chats import ANA, BEN, CHAT, Streams, World, agent, check_runs, of, say, text_of
from webapp.agents.base import AgentTurn, Event
from webapp.agents.pieces import Piece, ask_client
from webapp.chat import events as names
from webapp.chat.errors import Conflict, Forbidden, InvalidMessage, Unavailable
from webapp.chat.messages import Participant
from webapp.chat.reducer import materialize
from webapp.chat.runs import Accepted, Supervisor
from webapp.streams.clients.base import StreamsUnavailable

EVENT: TypeAdapter[Any] = TypeAdapter(AgUiEvent)


class Sender:
    """Asks whether it may send each thing the message names, and sends what it may. ``clock``: asks its
    client for the time too. ``sent`` is what it did, for ever.
    """

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.turns: list[AgentTurn] = []

    async def run(self, turn: AgentTurn) -> AsyncIterator[Piece]:
        self.turns.append(turn)
        things = turn.text.split()
        if not turn.resume:
            yield "May I? "
            interrupts: list[dict[str, Any]] = []
            for thing in things:
                call = {"toolCallId": f"call-{thing}"}
                yield {"type": "TOOL_CALL_START", "toolCallName": "send", **call}
                yield {"type": "TOOL_CALL_ARGS", "delta": json.dumps({"what": thing}), **call}
                yield {"type": "TOOL_CALL_END", **call}
                if thing == "clock":
                    (asks,) = ask_client([("call-clock", "clock", {})])["outcome"]["interrupts"]
                    interrupts.append(asks)
                else:
                    interrupts.append({"id": f"may-{thing}", "reason": "tool_call", **call})
            yield {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": interrupts}}
            return
        for thing, answer in zip(things, turn.resume, strict=True):
            if thing != "clock" and answer["payload"]["approved"]:
                self.sent.append(thing)
                done = {"toolCallId": f"call-{thing}", "messageId": thing, "role": "tool"}
                yield {"type": "TOOL_CALL_RESULT", "content": "sent", **done}
        yield "Done."


@pytest.fixture
def sender() -> Sender:
    return Sender()


async def paused(world: World, sender: Sender, things: str = "letter", **boot: Any) -> Supervisor:
    supervisor = await world.boot(agent(sender.run), **boot)
    await say(supervisor, things, run_id="r1")
    return supervisor


def to(thing: str, approved: bool = True, **payload: Any) -> dict[str, Any]:
    answer = {"approved": approved, **payload}
    return {"interruptId": f"may-{thing}", "status": "resolved", "payload": answer}


async def decide(
    supervisor: Supervisor, *answers: dict[str, Any], by: Participant = ANA, **more: Any
) -> Accepted:
    accepted = await supervisor.resume(
        chat_id=CHAT, participant=by, answers=answers, may_approve=True, **more
    )
    await supervisor.wait(accepted.run_id)
    return accepted


async def decisions(world: World) -> list[dict[str, Any]]:
    return [each["value"] for each in await world.events() if each.get("name") == names.APPROVAL_DECIDED]


async def check(world: World) -> list[Event]:
    events = await world.events()
    for event in events:
        EVENT.validate_python(event)
    check_runs(events)
    return events


async def test_a_decision_is_told_and_the_run_goes_on(world: World, sender: Sender) -> None:
    supervisor = await paused(world, sender)
    accepted = await decide(supervisor, to("letter", reason="Go."), by=BEN)
    events = await check(world)
    (told,) = await decisions(world)
    at = told.pop("decidedAt")
    assert isinstance(at, int)
    assert told == {
        "interruptId": "may-letter",
        "runId": "r1",
        "toolCallId": "call-letter",
        "approved": True,
        "participantId": "ben",
        "name": "Ben",
        "reason": "Go.",
    }
    assert sender.sent == ["letter"]
    assert text_of(events, accepted.run_id) == "Done."
    (started,) = [e for e in of(events, "RUN_STARTED") if e["runId"] == accepted.run_id]
    assert started["metadata"]["continues"] == "r1"
    order = [e.get("name") or e["type"] for e in events]
    assert order.index(names.APPROVAL_DECIDED) < order.index("RUN_STARTED", order.index("RUN_FINISHED"))


async def test_two_people_decide_two_tools_of_one_pause(world: World, sender: Sender) -> None:
    supervisor = await paused(world, sender, "letter parcel")
    first = await decide(supervisor, to("parcel", approved=False), by=BEN)
    assert (first.run_id, first.duplicate) == ("r1", False)
    assert len(sender.turns) == 1, "it waits for the other"
    last = await decide(supervisor, to("letter"))
    assert last.run_id not in ("r1", "")
    assert [each["payload"]["approved"] for each in sender.turns[-1].resume] == [True, False]
    assert sender.sent == ["letter"]
    assert [(each["name"], each["approved"]) for each in await decisions(world)] == [
        ("Ben", False),
        ("Ana", True),
    ]
    await check(world)
    # Whoever sends their answer again is given the run that came of it.
    for again in (
        to("parcel", approved=False),
        {**to("parcel", approved=False), "payload": {"approved": False}},
    ):
        repeat = await decide(supervisor, again, by=BEN)
        assert (repeat.run_id, repeat.duplicate) == (last.run_id, True)


async def test_a_clients_tool_and_an_approval_are_answered_by_different_tabs(
    world: World, sender: Sender
) -> None:
    supervisor = await paused(world, sender, "clock letter")
    noon = {"interruptId": "call-clock-input", "status": "resolved", "payload": "noon"}
    for _ in range(2):  # a tab that is loaded again answers again
        assert (await decide(supervisor, noon, run_id="r2")).run_id == "r1"
    with pytest.raises(Forbidden):
        await supervisor.resume(chat_id=CHAT, participant=BEN, answers=[to("letter")])
    await decide(supervisor, to("letter"), by=BEN)
    events = await check(world)
    assert [each["content"] for each in of(events, "TOOL_CALL_RESULT")] == ["noon", "sent"]
    assert sender.sent == ["letter"]


async def test_whoever_approves_the_run_stays_the_askers(world: World, sender: Sender) -> None:
    supervisor = await world.boot(agent(sender.run))
    tools = [{"name": "clock", "description": "tells the time"}]
    await say(supervisor, "letter", run_id="r1", tools=tools, data={"a": 1})
    accepted = await decide(supervisor, to("letter"), by=BEN)
    row = await world.catalog.runs.get(accepted.run_id)
    assert row is not None
    assert row.participant_id == ANA.id
    assert (list(sender.turns[-1].tools), sender.turns[-1].data) == (tools, {"a": 1})


@pytest.mark.parametrize("shared", [False, True])
async def test_of_two_decisions_at_once_one_wins_and_both_see_whose(
    world: World, sender: Sender, shared: bool
) -> None:
    first = await paused(world, sender, shared=shared)
    second = await world.boot(agent(sender.run), shared=True) if shared else first
    both = (decide(first, to("letter")), decide(second, to("letter", approved=False), by=BEN))
    replies = await asyncio.gather(*both, return_exceptions=True)
    (lost,) = [reply for reply in replies if isinstance(reply, Conflict)]
    (won,) = [reply for reply in replies if isinstance(reply, Accepted)]
    (decision,) = await decisions(world)
    assert lost.code == "already-answered"
    deed = "approved" if decision["approved"] else "denied"
    assert lost.sentence == f"{decision['name']} has {deed} that already."
    assert sender.sent == (["letter"] if decision["approved"] else [])
    events = await check(world)
    assert {e["runId"] for e in of(events, "RUN_STARTED")} == {"r1", won.run_id}


async def test_two_processes_that_answer_the_last_two_questions(world: World, sender: Sender) -> None:
    """One of them makes the run that goes on, and only one."""
    first = await paused(world, sender, "letter parcel", shared=True)
    second = await world.boot(agent(sender.run), shared=True)
    both = (decide(first, to("letter")), decide(second, to("parcel"), by=BEN))
    replies = await asyncio.gather(*both)
    assert len({reply.run_id for reply in replies} - {"r1"}) == 1
    assert sorted(sender.sent) == ["letter", "parcel"]
    await check(world)


async def test_the_same_answer_again_is_the_same_request(world: World, sender: Sender) -> None:
    supervisor = await paused(world, sender)
    sent = await asyncio.gather(*(decide(supervisor, to("letter"), run_id="r2") for _ in range(4)))
    sent += [await decide(supervisor, to("letter", arguments='{"what": "letter"}'))]
    assert {each.run_id for each in sent} == {"r2"}
    assert [each.duplicate for each in sent].count(False) == 1
    for other, by in ((to("letter", approved=False), ANA), (to("letter"), BEN)):
        with pytest.raises(Conflict) as refused:
            await decide(supervisor, other, by=by)
        assert (refused.value.code, refused.value.sentence) == (
            "already-answered",
            "Ana has approved that already.",
        )
    assert sender.sent == ["letter"]


@pytest.mark.parametrize(
    "answer",
    [
        {"interruptId": "may-letter", "status": "resolved"},
        {"interruptId": "may-letter", "status": "resolved", "payload": {"approved": 1}},
        to("letter", editedArgs=[1]),
        to("letter", reason=7),
    ],
)
async def test_only_what_can_be_read_decides(world: World, sender: Sender, answer: dict[str, Any]) -> None:
    supervisor = await paused(world, sender)
    with pytest.raises(InvalidMessage):
        await decide(supervisor, answer)
    await decide(
        supervisor, {"interruptId": "may-letter", "status": "cancelled", "payload": {"approved": True}}
    )
    (told,) = await decisions(world)
    assert not told["approved"]


# Changed arguments (AC-55)


async def change_arguments(world: World) -> None:
    """Somebody else writes to the stream: the call has other arguments now."""
    more = {"type": "TOOL_CALL_ARGS", "toolCallId": "call-letter", "delta": " ,"}
    await world.client.append(f"chats/{CHAT}", [names.encode(more)])


@pytest.mark.parametrize("seen", ['{"what": "letter"}', {"what": "letter"}, '{ "what":"letter" }'])
async def test_the_arguments_that_were_seen_are_approved(world: World, sender: Sender, seen: object) -> None:
    supervisor = await paused(world, sender)
    with pytest.raises(Conflict) as refused:
        await decide(supervisor, to("letter", arguments={"what": "bomb"}))
    assert refused.value.code == "arguments-changed"
    assert await decisions(world) == []
    await decide(supervisor, to("letter", arguments=seen))
    assert sender.sent == ["letter"]


async def test_arguments_that_changed_before_the_decision_void_it(world: World, sender: Sender) -> None:
    supervisor = await paused(world, sender)
    await change_arguments(world)
    with pytest.raises(Conflict) as refused:
        await decide(supervisor, to("letter", arguments='{"what": "letter"}'))
    assert refused.value.code == "arguments-changed"
    assert sender.sent == []


@pytest.mark.parametrize("seen", [{}, {"arguments": {"what": "letter"}}])
async def test_arguments_that_change_after_the_decision_void_it_too(
    world: World, sender: Sender, seen: dict[str, Any]
) -> None:
    held = asyncio.Event()

    async def held_up(turn: AgentTurn) -> AsyncIterator[Piece]:
        if turn.text == "hold":
            await held.wait()
            return
        async for piece in sender.run(turn):
            yield piece

    supervisor = await world.boot(agent(held_up))
    await say(supervisor, "letter", run_id="r1")
    await say(supervisor, "hold", id="m2", wait=False)
    accepted = await supervisor.resume(
        chat_id=CHAT, participant=ANA, answers=[to("letter", **seen)], may_approve=True
    )
    await change_arguments(world)
    held.set()
    await supervisor.wait(accepted.run_id)
    events = await check(world)
    (ended,) = of(events, "RUN_ERROR")
    assert (ended["runId"], ended["code"]) == (accepted.run_id, "approval-void")
    assert sender.sent == []


async def test_the_row_has_a_hash_of_what_was_approved(world: World, sender: Sender) -> None:
    supervisor = await paused(world, sender)
    await decide(supervisor, to("letter"))
    (row,) = await world.catalog.answers.of_run(CHAT, "r1")
    assert len(row.answer["resume"]["argumentsHash"]) == 64
    assert row.events is None
    assert "argumentsHash" not in sender.turns[-1].resume[0]


async def test_edited_arguments_are_told(world: World, sender: Sender) -> None:
    supervisor = await paused(world, sender, "letter parcel")
    await decide(
        supervisor,
        to("letter", editedArgs={"what": "card"}),
        to("parcel", editedArgs={"what": "parcel"}),
    )
    assert [each.get("arguments") for each in await decisions(world)] == [{"what": "card"}, None]
    assert sender.turns[-1].resume[0]["payload"]["editedArgs"] == {"what": "card"}


# Crashes


@pytest.mark.parametrize("shared", [False, True])
async def test_a_crash_between_the_row_and_the_telling_is_healed(
    world: World, sender: Sender, shared: bool
) -> None:
    streams = Streams(world.client)
    supervisor = await paused(world, sender, streams=streams)
    streams.halt_before = lambda batch: batch[0].get("name") == names.APPROVAL_DECIDED
    deciding = asyncio.create_task(decide(supervisor, to("letter")))
    await streams.reached.wait()
    await world.crash()
    assert deciding.done()
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
    deciding = asyncio.create_task(decide(supervisor, to("letter")))
    await streams.reached.wait()
    await world.crash()
    assert deciding.done()
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
