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

from tests.support.chats import ANA
from tests.support.run_rows import row
from webapp.chat.catalog import Catalog, CatalogTooNew, CatalogUnusable
from webapp.chat.catalog.run_row import RunStatus
from webapp.chat.catalog.schema import SCHEMA_VERSION, STEPS
from webapp.chat.errors import Unavailable

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


async def test_a_database_of_the_version_before_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await Catalog.open(f"sqlite:///{path}")
    await catalog.create_chat("c1234567", owner=ANA)
    await catalog.runs.add(row())
    await catalog.aclose()
    with sqlite3.connect(path) as raw:
        for step in STEPS.values():
            for statement in (step,) if isinstance(step, str) else step:
                if index := re.match(r"CREATE INDEX (\w+)", statement):
                    raw.execute(f"DROP INDEX {index[1]}")
                if column := re.match(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", statement):
                    raw.execute(f"ALTER TABLE {column[1]} DROP COLUMN {column[2]}")
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
