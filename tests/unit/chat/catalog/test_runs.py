"""The rows of the inbox: who may change them, and whose turn it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.support.chats import ANA
from tests.support.run_rows import row
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.catalog.runs import RunExists, Turn


async def test_a_row_comes_back_as_it_was(catalog: Catalog) -> None:
    await catalog.create_chat("c1234567", owner=ANA)
    await catalog.runs.add(row())
    assert await catalog.runs.get("r1") == row()
    assert await catalog.runs.get("r2") is None
    assert await catalog.runs.attempts("c1234567", "m1") == [row()]
    assert await catalog.runs.attempts("c1234567", "m2") == []
    assert await catalog.runs.attempts("c1234567", "m2", or_run_id="r1") == [row()]
    for same in (row(), row(run_id="r2"), row(attempt=2), row(chat_id="no such chat", run_id="r3")):
        with pytest.raises(RunExists):
            await catalog.runs.add(same)


async def test_only_the_owner_changes_a_row(catalog: Catalog) -> None:
    await catalog.create_chat("c1234567", owner=ANA)
    await catalog.runs.add(row())
    mine = row()

    appended = await catalog.runs.mark_appended(mine)
    assert appended == row(status=RunStatus.APPENDED, events=None)
    assert await catalog.runs.get("r1") == appended
    assert not await catalog.runs.mark_running(mine, now=95.0)
    assert await catalog.runs.mark_running(appended, now=95.0)
    assert not await catalog.runs.mark_running(appended, now=95.0)
    assert await catalog.runs.mark_appended(mine) is None
    running = replace(appended, status=RunStatus.RUNNING)
    assert await catalog.runs.mark_appended(running) == appended
    assert await catalog.runs.mark_appended(mine) == replace(appended, started_at=95.0)
    assert await catalog.runs.mark_running(appended, now=96.0)

    claims = await asyncio.gather(
        *(catalog.runs.claim(mine, owner=f"other {n}", lease_until=200.0) for n in range(5))
    )
    [taken] = [claim for claim in claims if claim is not None]
    assert (taken.epoch, taken.lease_until, taken.status) == (1, 200.0, RunStatus.RUNNING)
    assert await catalog.runs.mark_appended(mine) is None
    assert not await catalog.runs.mark_running(mine, now=96.0)
    assert not await catalog.runs.mark_done(mine, outcome="success", now=97.0)
    assert await catalog.runs.renew(["r1"], owner="me", lease_until=300.0) == set()

    assert await catalog.runs.renew(["r1"], owner=taken.owner, lease_until=300.0) == {"r1"}
    assert await catalog.runs.mark_done(taken, outcome="interrupted", now=98.0)
    assert not await catalog.runs.mark_done(taken, outcome="again", now=99.0)
    assert await catalog.runs.claim(taken, owner="late", lease_until=1.0) is None
    done = await catalog.runs.get("r1")
    assert done is not None
    assert (done.outcome, done.ended_at, done.events, dict(done.data)) == ("interrupted", 98.0, None, {})


async def test_a_turn_is_taken_by_one_after_the_other(catalog: Catalog) -> None:
    await catalog.create_chat("c1234567", owner=ANA)
    await catalog.create_chat("another-chat", owner=ANA)

    async def add(name: str, status: RunStatus = RunStatus.APPENDED, **changes: object) -> RunRow:
        changes |= {} if status is RunStatus.ACCEPTED else {"events": None}
        added = row(run_id=name, message_id=name, status=status, owner=f"owner of {name}", **changes)
        await catalog.runs.add(added)
        return added

    late = await add("late", RunStatus.ACCEPTED)
    one, two, three = await add("one"), await add("two"), await add("three")
    elsewhere = await add("elsewhere", chat_id="another-chat")
    other_agent = await add("other agent", agent_id="other")
    take = catalog.runs.take_turn

    for free in (elsewhere, other_agent):
        assert await take(free, now=1.0) == Turn(taken=True)
    # What is not in the stream yet keeps nobody waiting.
    turns = await asyncio.gather(*(take(each, now=2.0) for each in (three, two, one)))
    assert turns == [
        Turn(taken=False, behind="two"),
        Turn(taken=False, behind="one"),
        Turn(taken=True),
    ]
    begun = await catalog.runs.get("one")
    assert begun is not None
    assert (begun.status, begun.started_at) == (RunStatus.RUNNING, 2.0)
    assert await take(one, now=3.0) == Turn(taken=False)

    # Accepted first and stored last: it has to wait for what runs, and then it is before the others.
    appended = await catalog.runs.mark_appended(late)
    assert appended is not None
    assert await take(appended, now=4.0) == Turn(taken=False, behind="one")
    await catalog.runs.mark_done(begun, outcome="success", now=5.0)
    assert await take(two, now=6.0) == Turn(taken=False, behind="late")
    assert await take(appended, now=6.0) == Turn(taken=True)
    await catalog.runs.mark_done(appended, outcome="success", now=7.0)

    claimed = await catalog.runs.claim(two, owner="heir", lease_until=9.0)
    assert claimed is not None
    assert await take(two, now=8.0) == Turn(taken=False)
    assert await take(claimed, now=8.0) == Turn(taken=True)


async def test_a_message_is_changed_while_all_its_rows_wait(catalog: Catalog) -> None:
    await catalog.create_chat("c1234567", owner=ANA)
    waiting = {"status": RunStatus.APPENDED, "events": None}
    for number in range(4):
        await catalog.runs.add(row(run_id=f"r{number}", message_id=f"m{number}", **waiting))
    both = row(run_id="other", message_id="m1", agent_id="other", **waiting)
    await catalog.runs.add(both)
    change = catalog.runs.change_waiting

    rows, changed = await change("c1234567", "m1", lambda rows: {"events": [{"told": len(rows)}]})
    assert ([each.run_id for each in rows], changed) == (["r1", "other"], True)
    # Neither begins before it is told, nor is it changed again.
    assert not await catalog.runs.mark_running(both, now=1.0)
    assert await catalog.runs.take_turn(both, now=1.0) == Turn(taken=False)
    rows, changed = await change("c1234567", "m1", lambda rows: {"steered": 1})
    assert ([each.events for each in rows], changed) == ([({"told": 2},)] * 2, False)
    await catalog.runs.mark_told(replace(rows[0], events=({"told": "another"},)), now=2.0)
    assert not await catalog.runs.mark_running(both, now=2.0)
    await catalog.runs.mark_told(rows[0], now=3.0)
    assert await catalog.runs.take_turn(both, now=4.0) == Turn(taken=True)
    assert not (await change("c1234567", "m1", lambda rows: {"steered": 1}))[1], "one of two has begun"

    # Steered ones go first, each kind in its order.
    for number in (3, 2):
        assert (await change("c1234567", f"m{number}", lambda rows: {"steered": 1}))[1]
    assert [each.run_id for each in await catalog.runs.unfinished()] == ["other", "r2", "r3", "r0", "r1"]
    turns = [await catalog.runs.take_turn(row(run_id=f"r{n}", **waiting), now=5.0) for n in (0, 3, 2)]
    assert [turn.behind for turn in turns] == ["r3", "r2", None]
    assert turns[-1].taken

    assert (await change("c1234567", "m0", lambda rows: {"status": RunStatus.DROPPED, "events": [{}]}))[1]
    dropped = await catalog.runs.get("r0")
    assert dropped is not None
    assert "r0" in [each.run_id for each in await catalog.runs.unfinished()]
    await catalog.runs.mark_told(dropped, now=6.0)
    dropped = await catalog.runs.get("r0")
    assert dropped is not None
    assert (dropped.status, dropped.outcome, dropped.ended_at) == (RunStatus.DONE, "dropped", 6.0)
    assert await change("c1234567", "unknown", lambda rows: {"steered": 1}) == ([], False)


async def test_what_is_unfinished(catalog: Catalog) -> None:
    await catalog.create_chat("c1234567", owner=ANA)
    for number in range(4):
        await catalog.runs.add(row(run_id=f"r{number}", message_id=f"m{number}", lease_until=100.0 + number))
    await catalog.runs.mark_done(row(run_id="r0"), outcome="success", now=1.0)
    await catalog.runs.discard(row(run_id="r3"))

    assert [each.run_id for each in await catalog.runs.unfinished()] == ["r1", "r2"]
    assert [each.run_id for each in await catalog.runs.unfinished(leases_before=101.5)] == ["r1"]
    assert [each.run_id for each in await catalog.runs.unfinished(chat_id="c1234567")] == ["r1", "r2"]
    assert await catalog.runs.unfinished(chat_id="another-chat") == []
    assert await catalog.runs.load(participant_id="ana", chat_id="elsewhere") == (2, 0)
    assert await catalog.runs.load(participant_id="ben", chat_id="c1234567") == (0, 2)
    await catalog.runs.release(["r2"], owner="me")
    assert [each.run_id for each in await catalog.runs.unfinished(leases_before=1.0)] == ["r2"]
