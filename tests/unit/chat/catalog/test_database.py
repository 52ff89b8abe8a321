"""Opening the database, bringing it up to date, and what it does when it does not answer."""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tests.support.chats import ANA, BEN
from tests.support.run_rows import row
from webapp.chat.catalog import Catalog, CatalogTooNew, CatalogUnusable
from webapp.chat.catalog.database import Database
from webapp.chat.catalog.grants import Grant
from webapp.chat.catalog.run_row import RunStatus
from webapp.chat.catalog.schema import SCHEMA_VERSION, STEPS
from webapp.chat.catalog.texts import IndexedText
from webapp.chat.errors import Unavailable
from webapp.chat.messages import Role

ROOT = Path(__file__).parents[4]


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


async def taken_back(database_url: str, to: int) -> None:
    """Have the database be as version ``to`` had it."""
    steps = [STEPS[version] for version in range(to + 1, SCHEMA_VERSION + 1)]
    statements = [each for step in steps for each in ((step,) if isinstance(step, str) else step)]
    database = await Database.open(database_url)
    async with database.write() as connection:
        for statement in statements:
            if index := re.match(r"CREATE INDEX (\w+)", statement):
                await connection.execute(text(f"DROP INDEX {index[1]}"))
        for statement in statements:
            if column := re.match(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", statement):
                await connection.execute(text(f"ALTER TABLE {column[1]} DROP COLUMN {column[2]}"))
        if to < 9:
            for table in NEW_IN_9:
                await connection.execute(text(f"DROP TABLE {table}"))
            if database.dialect == "sqlite":
                await connection.execute(text("DROP TABLE texts_index"))
        await connection.execute(text(f"UPDATE schema_version SET version = {to}"))
    await database.aclose()


NEW_IN_9 = ("device_links", "views", "arrivals", "losses", "texts")


@pytest.mark.parametrize("version", [1, SCHEMA_VERSION - 1])
async def test_a_database_of_a_version_before_is_brought_up(database_url: str, version: int) -> None:
    catalog = await Catalog.open(database_url)
    await catalog.create_chat("c1234567", owner=ANA)
    await catalog.runs.add(row())
    await catalog.aclose()
    await taken_back(database_url, version)
    for _ in range(2):
        again = await Catalog.open(database_url)
        assert await again.runs.get("r1") == (row() if version > 1 else row(tools=()))
        async with again._database.read() as connection:
            assert (await connection.execute(text("SELECT version FROM schema_version"))).all() == [
                (SCHEMA_VERSION,)
            ]
        await again.aclose()


async def test_what_there_was_before_lists_and_links_were_is_as_it_was(database_url: str) -> None:
    """Whoever was let in is in, nothing that was said is news, and all is still to be looked through."""
    catalog = await Catalog.open(database_url)
    await catalog.create_chat("c1234567", owner=ANA, title="Plans")
    for person in (ANA, BEN):
        await catalog.people.remember(person)
    grant = Grant(role=Role.CHAT, link_hash=bytes(32))
    await catalog.links.add("c1234567", by=ANA.id, grant=grant)
    assert await catalog.links.redeem(bytes(32), BEN.id) == "c1234567"
    await catalog.aclose()
    await taken_back(database_url, 8)

    catalog = await Catalog.open(database_url)
    standing = await catalog.grants.standing("c1234567", BEN.id)
    assert standing is not None
    assert standing.grant == grant
    assert await catalog.texts.unindexed(["c1234567"]) == ["c1234567"]

    async def unread() -> list[int]:
        return [(await catalog.views.of(each.id))[0].unread for each in (ANA, BEN)]

    assert await unread() == [0, 0]
    # The first look at it, because Ben has just said something.
    await catalog.note_messages("c1234567", count=41, changed=(), read={BEN.id: (41, "m-41")})
    assert await unread() == [1, 0]
    await catalog.note_messages("c1234567", count=42, changed=())
    assert await unread() == [2, 1]
    assert (await catalog.views.own("c1234567", BEN.id)).read_to == "m-41"
    await catalog.links.revoke(bytes(32), chat_id="c1234567")
    assert (await catalog.losses.after(0))[0].code == "revoked"
    await catalog.aclose()


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


async def test_no_error_of_the_database_shows_anybodys_words(catalog: Catalog) -> None:
    words = IndexedText(message_id="m1", name="Ana", said_at=None, digest=b"1", text="a private matter")
    with pytest.raises(SQLAlchemyError) as refused:  # there is no such chat, and one message twice
        await catalog.note_messages("nowhere1", count=1, changed=[words, words])
    assert "private matter" not in str(refused.value)


async def test_a_caller_that_is_cancelled_leaves_no_lock_behind(
    catalog: Catalog, database_url: str, rng: random.Random
) -> None:
    """At whatever step of whichever transaction."""
    other = await Catalog.open(database_url)
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


async def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(CatalogUnusable, match=r"asyncpg: install durable-chat\[postgres\]"):
        await Catalog.open("postgresql://nobody@127.0.0.1:1/nowhere")
