"""Two agents in one chat."""

from __future__ import annotations

import pytest

from tests.support.chats import ANA, BEN, CHAT, Gate, World, check_runs, of, said, text_of
from tests.support.waiting import aeventually
from webapp.chat.messages import NewMessage


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
async def test_one_is_stopped_and_the_other_goes_on(world: World, shared: bool) -> None:
    """AC-15."""
    gates = [Gate(id=name) for name in ("one", "two")]
    supervisor = await world.boot(*gates, shared=shared)
    for number, gate in enumerate(gates):
        message = NewMessage(f"m{number}", f"hello {gate.id}")
        await supervisor.accept(
            chat_id=CHAT, participant=ANA, message=message, run_id=f"r{number}", agent_id=gate.id
        )
        await aeventually(lambda gate=gate: said(world, f"hello {gate.id}: "))  # type: ignore[misc]

    assert await supervisor.stop(chat_id=CHAT, run_id="r0", participant=BEN)
    gates[1].open.set()
    await supervisor.wait("r1")

    events = await world.events()
    check_runs(events)
    assert gates[0].let_go == ["hello one"]
    assert [event.get("outcome") for event in of(events, "RUN_FINISHED")] == [{"type": "cancelled"}, None]
    assert [text_of(events, run) for run in ("r0", "r1")] == ["hello one: ", "hello two: done"]
