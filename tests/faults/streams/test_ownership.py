"""One data directory, one process; and a locked database delays writers without holding up the event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.support.server import ServerProcess
from webapp.streams.protocol.commands import Append, Create
from webapp.streams.protocol.offsets import START
from webapp.streams.store.base import PageLimit
from webapp.streams.store.sqlite import DataDirectoryInUse, SqliteStore

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import pathlib, sys, time
from webapp.streams.store.sqlite import SqliteStore
store = SqliteStore.open(pathlib.Path(sys.argv[1]))
print("open", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_refused_in_one_clear_line_until_the_first_is_dead(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(DataDirectoryInUse) as refused:
            SqliteStore.open(tmp_path)
        line = str(refused.value)
        assert "\n" not in line
        assert str(tmp_path) in line
        assert f"process {holder.pid}" in line
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    for _ in range(2):  # closing gives the directory back
        asyncio.run(SqliteStore.open(tmp_path).aclose())


async def test_a_refused_directory_is_left_alone(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    for _ in range(3):
        with pytest.raises(DataDirectoryInUse, match=f"process {os.getpid()}"):
            SqliteStore.open(tmp_path)
    assert (await store.create("s", Create())).new
    await store.aclose()


async def test_a_locked_database_makes_writers_wait_and_nobody_else(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    await store.create("s", Create(content_type="text/plain"))
    intruder = sqlite3.connect(tmp_path / "streams.sqlite3", isolation_level=None)
    intruder.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(store.append("s", Append(chunk=b"x", content_type="text/plain")))
    longest = 0.0
    for _ in range(50):
        started = time.monotonic()
        await asyncio.sleep(0.01)
        await store.read("s", START, limit=PageLimit(100, 100))
        longest = max(longest, time.monotonic() - started)
    assert not waiting.done()
    intruder.execute("ROLLBACK")
    intruder.close()
    assert (await waiting).record.position == 1
    assert longest < 2.0  # far below the time the lock was waited for, far above a busy machine's hiccups
    await store.aclose()


def test_a_database_that_stays_locked_refuses_appends_and_serves_readers(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(command="streams")
    http, url = server.client(), f"{server.streams_url}/s"
    producer = {"Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "0"}
    http.put(url, headers={"Content-Type": "application/json"}).raise_for_status()
    with ThreadPoolExecutor(1) as pool:
        append = partial(http.post, url, json=[1], headers=producer)
        with closing(sqlite3.connect(server.data_dir / "streams.sqlite3", isolation_level=None)) as intruder:
            intruder.execute("BEGIN EXCLUSIVE")
            refused = pool.submit(append)
            served = 0
            while not refused.done():
                assert http.get(url, params={"offset": "-1"}).json() == []
                assert http.get(f"{server.url}/healthz").status_code == 200
                served += 1
        reply = refused.result()
        assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
        assert int(reply.headers["Retry-After"]) >= 1
        # They were answered all the while the append was waiting, not after it.
        assert served > 20
        assert append().status_code == 200
        assert http.get(url, params={"offset": "-1"}).json() == [1]
