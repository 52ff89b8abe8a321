"""A chat with an agent that asks before it does anything, and those who decide."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter

from tests.support.chats import ANA, CHAT, World, agent, check_runs, say
from webapp.agents.base import AgentTurn, Event
from webapp.agents.pieces import Piece, ask_client
from webapp.chat import events as names
from webapp.chat.messages import Participant
from webapp.chat.runs import Accepted, Supervisor

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
