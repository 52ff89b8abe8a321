"""The same request many times at once: one message, one run, equal replies (F14, G10)."""

from __future__ import annotations

import asyncio

from tests.support.chats import World, check_runs, of, questions, say


async def test_ten_identical_requests_at_once_are_one(world: World) -> None:
    supervisor = await world.boot()
    for run_id in ("r1", None):
        id = f"message-{run_id}"

        replies = await asyncio.gather(
            *(say(supervisor, "once", id=id, run_id=run_id, wait=False) for _ in range(10))
        )

        assert len({reply.run_id for reply in replies}) == 1
        assert [reply.duplicate for reply in replies].count(False) == 1
        await supervisor.wait(replies[0].run_id)
    events = await world.events()
    assert questions(events) == ["message-r1", "message-None"]
    assert len(of(events, "RUN_STARTED")) == 2
    check_runs(events)


async def test_twenty_requests_from_two_processes_are_one(world: World) -> None:
    """Two supervisors on one catalog and one stream server, neither of which may take the other's runs."""
    one = await world.boot(shared=True)
    other = await world.boot(shared=True)

    replies = await asyncio.gather(
        *(say(each, "once", run_id="r1", wait=False) for _ in range(10) for each in (one, other))
    )

    assert {reply.run_id for reply in replies} == {"r1"}
    await asyncio.gather(one.wait("r1"), other.wait("r1"))
    events = await world.events()
    assert questions(events) == ["m1"]
    assert len(of(events, "RUN_STARTED")) == 1
    check_runs(events)
