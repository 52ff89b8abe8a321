"""Approvals: each question is answered once, by whoever was first, for exactly what they saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.approvals import Sender, check, decide, decisions, paused, to
from tests.support.chats import ANA, BEN, CHAT, World, agent, of, say, text_of
from webapp.agents.base import AgentTurn
from webapp.agents.pieces import Piece
from webapp.chat import events as names
from webapp.chat.errors import Conflict, Forbidden, InvalidMessage
from webapp.chat.runs import Accepted


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
