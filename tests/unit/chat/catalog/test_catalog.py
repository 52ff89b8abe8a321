"""Chats, participants and the rows of the inbox."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from webapp.chat.catalog import Catalog, CatalogTooNew
from webapp.chat.catalog.runs import RunExists, RunRow, RunStatus, Turn
from webapp.chat.catalog.schema import SCHEMA_VERSION
from webapp.chat.catalog.snapshots import CachedSnapshot
from webapp.chat.errors import Conflict, Unavailable
from webapp.chat.messages import Participant

ROOT = Path(__file__).parents[4]
ANA = Participant("ana", "Ana")


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    opened = await Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield opened
    await opened.aclose()


def row(**changes: object) -> RunRow:
    plain = RunRow(
        run_id="r1",
        chat_id="c1234567",
        message_id="m1",
        agent_id="echo",
        attempt=1,
        participant_id="ana",
        content_hash=b"h" * 32,
        events=({"type": "TEXT_MESSAGE_START"},),
        data={"key": [1, None]},
        tools=({"name": "roll", "parameters": {"type": "object"}},),
        status=RunStatus.ACCEPTED,
        owner="me",
        lease_until=100.0,
        accepted_at=90.0,
    )
    return replace(plain, **changes)


async def test_chats(catalog: Catalog) -> None:
    chat, created, token = await catalog.create_chat("c1234567", owner=ANA, title="  A\n title ")
    assert created
    assert token
    assert chat.title == "A title"
    assert await catalog.create_chat("c1234567", owner=Participant("ben", "Ben")) == (chat, False, None)
    assert await catalog.get_chat("c1234567") == chat
    assert await catalog.get_chat("other") is None
    assert await catalog.list_chats("ana") == [chat]
    assert await catalog.list_chats("ben") == []


async def test_one_of_many_creators_creates(catalog: Catalog) -> None:
    made = await asyncio.gather(
        *(catalog.create_chat("c1234567", owner=Participant(f"p{n}", "P")) for n in range(10))
    )
    assert [created for _, created, _ in made].count(True) == 1
    assert len({chat.owner_id for chat, _, _ in made}) == 1


async def test_the_first_title_stays(catalog: Catalog) -> None:
    await catalog.create_chat("c1234567", owner=ANA)
    await catalog.touch_chat("c1234567", title="first " * 50)
    await catalog.touch_chat("c1234567", title="second")
    chat = await catalog.get_chat("c1234567")
    assert chat is not None
    assert chat.title is not None
    assert chat.title.startswith("first first")
    assert len(chat.title) <= 80
    assert chat.title.endswith("…")


async def test_the_latest_chat_is_first(tmp_path: Path) -> None:
    now = iter(range(1000))
    catalog = await Catalog.open("sqlite://", clock=lambda: float(next(now)))
    for name in ("chat-one", "chat-two"):
        await catalog.create_chat(name, owner=ANA)
    assert [chat.id for chat in await catalog.list_chats("ana")] == ["chat-two", "chat-one"]
    await catalog.touch_chat("chat-one")
    assert [chat.id for chat in await catalog.list_chats("ana")] == ["chat-one", "chat-two"]
    assert len(await catalog.list_chats("ana", limit=1)) == 1
    await catalog.aclose()


async def test_participants(catalog: Catalog) -> None:
    assert await catalog.get_participant("ana") is None
    await catalog.upsert_participant(ANA)
    await catalog.upsert_participant(Participant("ana", "Anna"))
    assert await catalog.get_participant("ana") == Participant("ana", "Anna")


async def test_a_deleted_chat_is_gone_for_good(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await Catalog.open(f"sqlite:///{path}")
    await catalog.create_chat("c1234567", owner=ANA)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE chats SET deleted_at = 1")
    raw.close()
    assert await catalog.get_chat("c1234567") is None
    assert await catalog.list_chats("ana") == []
    with pytest.raises(Conflict):
        await catalog.create_chat("c1234567", owner=ANA)
    await catalog.aclose()


async def test_the_database_is_durable_and_its_version_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await Catalog.open(f"sqlite:///{path}")
    async with catalog._database.read() as connection:
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar() == "wal"
        assert (await connection.execute(text("PRAGMA synchronous"))).scalar() == 2
        assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1
    await catalog.ping()
    await catalog.aclose()
    again = await Catalog.open(f"sqlite:///{path}")
    await again.aclose()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE schema_version SET version = 999")
    raw.close()
    with pytest.raises(CatalogTooNew):
        await Catalog.open(f"sqlite:///{path}")


async def test_a_database_of_the_version_before_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await Catalog.open(f"sqlite:///{path}")
    await catalog.create_chat("c1234567", owner=ANA)
    await catalog.runs.add(row())
    await catalog.aclose()
    with sqlite3.connect(path) as raw:
        for column in ("tools", "resume", "continues", "steered"):
            raw.execute(f"ALTER TABLE runs DROP COLUMN {column}")
        raw.execute("UPDATE schema_version SET version = 1")
    raw.close()
    for _ in range(2):
        again = await Catalog.open(f"sqlite:///{path}")
        assert await again.runs.get("r1") == row(tools=())
        await again.aclose()
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT version FROM schema_version").fetchall() == [(SCHEMA_VERSION,)]
    raw.close()


def test_several_processes_open_a_new_database_at_once(tmp_path: Path) -> None:
    script = """if True:
        import asyncio, sys
        from webapp.chat.catalog import Catalog

        async def main():
            print("ready", flush=True)
            sys.stdin.readline()
            await (await Catalog.open(sys.argv[1])).aclose()

        asyncio.run(main())
    """
    command = [sys.executable, "-c", script, f"sqlite:///{tmp_path / 'catalog.db'}"]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(5)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=25)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 5, said


async def test_a_database_that_does_not_answer_is_a_refusal_without_anybodys_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "catalog.db"
    catalog = await Catalog.open(f"sqlite:///{path}")
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TABLE api_tokens")
        raw.execute("DROP TABLE chats")
    raw.close()
    with pytest.raises(Unavailable) as refused:
        await catalog.create_chat("chat-one", owner=ANA, title="a private matter")
    assert refused.value.retry_after > 0
    with pytest.raises(Unavailable):
        await catalog.get_chat("chat-one")
    assert "no such table" in caplog.text
    assert "private matter" not in caplog.text
    await catalog.aclose()


async def test_a_caller_that_is_cancelled_leaves_no_lock_behind(
    catalog: Catalog, tmp_path: Path, rng: random.Random
) -> None:
    """At whatever step of whichever transaction."""
    other = await Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}")
    await catalog.create_chat("c1234567", owner=ANA)
    await catalog.runs.add(row(status=RunStatus.APPENDED))
    calls: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: catalog.runs.take_turn(row(status=RunStatus.APPENDED), now=1.0),
        lambda: catalog.runs.renew(["r1"], owner="me", lease_until=2.0),
        catalog.runs.unfinished,
        lambda: catalog.touch_chat("c1234567", title="a title"),
    ]
    for _ in range(100):
        tasks = [asyncio.create_task(call()) for call in rng.sample(calls, 3)]
        await asyncio.sleep(rng.uniform(0, 0.006))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert await other.runs.renew(["r1"], owner="me", lease_until=3.0) == {"r1"}
    await other.aclose()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\u202eb\x00c\x07\u2066", "a b c"),
        ("\n\t \x1b", None),
        ("مرحبا 👩‍👩‍👧 ", "مرحبا 👩‍👩‍👧"),
        ("x" * 81, "x" * 79 + "…"),
    ],
)
async def test_a_title_is_one_line_that_leaves_its_neighbours_alone(
    catalog: Catalog, given: str, kept: str | None
) -> None:
    chat, _, _ = await catalog.create_chat("chat-one", owner=ANA, title=given)
    assert chat.title == kept


async def test_no_secret_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await Catalog.open(f"sqlite:///{path}")
    _, _, token = await catalog.create_chat("c1234567", owner=ANA)
    await catalog.aclose()
    assert token is not None
    assert token.encode() not in stored(tmp_path)


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


async def test_snapshots_are_of_one_reducer(catalog: Catalog) -> None:
    assert await catalog.snapshots.get("p", reducer_version=1) is None
    for offset in ("o1", "o2"):
        await catalog.snapshots.put("p", CachedSnapshot(offset, b"{}"), reducer_version=1)
    assert await catalog.snapshots.get("p", reducer_version=1) == CachedSnapshot("o2", b"{}")
    assert await catalog.snapshots.get("p", reducer_version=2) is None
    await catalog.snapshots.drop("p")
    assert await catalog.snapshots.get("p", reducer_version=1) is None


def stored(directory: Path) -> bytes:
    """Every byte of every file."""
    return b"".join(file.read_bytes() for file in directory.iterdir())
