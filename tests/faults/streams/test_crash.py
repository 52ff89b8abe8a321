"""The process dies, the disk fails or fills: what was acknowledged is there, and nothing by halves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from tests.faults.streams import workload
from tests.support.strace import strace
from webapp.streams.protocol import json_mode
from webapp.streams.protocol.commands import Append
from webapp.streams.protocol.errors import StreamNotFound
from webapp.streams.protocol.offsets import START
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.store.base import PageLimit
from webapp.streams.store.sqlite import SqliteStore, StoreDamaged

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, str(Path(workload.__file__))]
LIMIT = PageLimit(size=1 << 20, units=1 << 20)
WRITES = "pwrite64"
FLUSHES = "fdatasync,fsync"


def run(data_dir: Path, *options: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*under, *COMMAND, str(data_dir), *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def outcomes(process: subprocess.CompletedProcess[str], kind: str) -> list[tuple[str, int]]:
    """The (producer, seq) of every line of one kind."""
    lines = (line.split() for line in process.stdout.splitlines())
    return [(words[1], int(words[2])) for words in lines if words[0] == kind]


async def stored(store: SqliteStore) -> list[tuple[str, int]]:
    """The appends in the stream, in order. Fails if one of them is not whole."""
    try:
        page = await store.read("s", START, limit=LIMIT)
    except StreamNotFound:
        return []
    messages = [json.loads(message) for message in json_mode.unpack(page.chunks)]
    assert page.up_to_date
    assert page.next.position == len(messages)
    assert [message[2] for message in messages] == [0, 1] * (len(messages) // 2)
    appends = [(message[0], message[1]) for message in messages]
    assert appends[::2] == appends[1::2]
    return appends[::2]


async def survived(data_dir: Path, acked: list[tuple[str, int]]) -> None:
    """Open what a dead process left behind, twice, and hold it against what it had acknowledged."""
    store = SqliteStore.open(data_dir)
    found = await stored(store)
    assert set(acked) <= set(found)
    assert max(Counter(found).values(), default=1) == 1
    for producer in workload.PRODUCERS:
        seqs = [seq for name, seq in found if name == producer]
        assert seqs == list(range(len(seqs)))
        if seqs:  # the producer's state is what its data says
            again = Append(
                chunk=workload.chunk(producer, seqs[-1]),
                content_type=workload.JSON,
                producer=ProducerTuple(producer, 0, seqs[-1]),
            )
            assert (await store.append("s", again)).duplicate
    await store.aclose()
    reopened = SqliteStore.open(data_dir)
    assert await stored(reopened) == found
    await reopened.aclose()


def points(tmp_path: Path, calls: str) -> int:
    """How often the busiest thread of the workload makes one of ``calls``; strace counts per thread."""
    trace = tmp_path / "trace"
    run(tmp_path / "counted", under=(strace(), "-f", "-e", f"trace={calls}", "-o", str(trace)))
    return max(Counter(line.split()[0] for line in trace.read_text().splitlines() if "(" in line).values())


async def sweep(tmp_path: Path, calls: str, chosen: list[int]) -> None:
    """Kill the workload at its k-th call, for every chosen k, and look at what is left each time."""

    def kill_at(k: int) -> subprocess.CompletedProcess[str]:
        fault = f"inject={calls}:signal=SIGKILL:when={k}"
        return run(tmp_path / str(k), under=(strace(), "-f", "-qq", "-e", fault, "-o", os.devnull))

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(kill_at, chosen))
    for k, process in zip(chosen, results, strict=True):
        assert "done" not in process.stdout
        assert not outcomes(process, "unavailable")
        await survived(tmp_path / str(k), outcomes(process, "ack"))
    # Points before the first acknowledgement and points after many: the sweep covered both.
    acks = [len(outcomes(process, "ack")) for process in results]
    assert min(acks) == 0
    assert max(acks) > len(workload.PRODUCERS)


@pytest.mark.parametrize("calls", [WRITES, FLUSHES])
async def test_killed_at_a_write_or_a_flush(tmp_path: Path, calls: str) -> None:
    last = points(tmp_path, calls)
    step = max(1, last // 25)
    await sweep(tmp_path, calls, [*range(1, last, step), last])


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("calls", [WRITES, FLUSHES])
async def test_killed_at_every_write_and_every_flush(tmp_path: Path, calls: str) -> None:
    await sweep(tmp_path, calls, list(range(1, points(tmp_path, calls) + 1)))


async def test_killed_between_commit_and_acknowledgement(tmp_path: Path) -> None:
    process = run(tmp_path, "--crash-after-commit", "4")
    assert process.returncode == -signal.SIGKILL
    acked = outcomes(process, "ack")
    store = SqliteStore.open(tmp_path)
    before = await stored(store)
    unacked = set(before) - set(acked)
    assert unacked  # committed, but nobody was told
    for producer, seq in unacked:
        command = Append(
            chunk=workload.chunk(producer, seq),
            content_type=workload.JSON,
            producer=ProducerTuple(producer, 0, seq),
        )
        assert (await store.append("s", command)).duplicate
    assert await stored(store) == before
    await store.aclose()


# Not 2: that is the flush of the directory, made once for a new log, whose failure SQLite ignores.
@pytest.mark.parametrize("k", [1, 3, 5])
async def test_a_failed_flush_accepts_nothing_and_the_next_append_works(tmp_path: Path, k: int) -> None:
    run(tmp_path / "data", "--rounds", "0")  # so that only the writer has something to flush
    fault = f"inject={FLUSHES}:error=EIO:when={k}"
    process = run(tmp_path / "data", under=(strace(), "-f", "-qq", "-e", fault, "-o", os.devnull))
    assert process.returncode == 0, process.stderr
    assert outcomes(process, "unavailable")
    acked = outcomes(process, "ack")
    assert sorted(acked) == sorted((p, seq) for p in workload.PRODUCERS for seq in range(8))
    offsets = [line.split()[3] for line in process.stdout.splitlines() if line.startswith("ack")]
    assert len(set(offsets)) == len(offsets)
    await survived(tmp_path / "data", acked)


async def test_a_full_disk_accepts_nothing_and_recovers_with_space(tmp_path: Path) -> None:
    process = run(tmp_path, "--file-limit", "150000")
    assert process.returncode == 0, process.stderr
    assert outcomes(process, "unavailable")
    acked = outcomes(process, "ack")
    assert len(acked) == len(set(acked)) == 8 * len(workload.PRODUCERS)
    await survived(tmp_path, acked)


def frames(log: bytes) -> list[tuple[int, bool]]:
    """Where each frame of a write-ahead log ends, and whether a commit ends with it."""
    (page_size,) = struct.unpack(">I", log[8:12])
    size = 24 + page_size
    starts = range(32, len(log) - size + 1, size)
    return [(start + size, log[start + 4 : start + 8] != bytes(4)) for start in starts]


async def test_a_torn_log_gives_every_commit_before_the_cut(tmp_path: Path, rng: Random) -> None:
    run(tmp_path / "whole", "--crash-after-commit", "8")
    log = (tmp_path / "whole" / "streams.sqlite3-wal").read_bytes()

    async def left(cut: int) -> list[tuple[str, int]]:
        torn = tmp_path / str(cut)
        shutil.copytree(tmp_path / "whole", torn, ignore=shutil.ignore_patterns("*-shm"))
        (torn / "streams.sqlite3-wal").write_bytes(log[:cut])
        store = SqliteStore.open(torn)
        found = await stored(store)
        await store.aclose()
        shutil.rmtree(torn)
        return found

    commits = {0: await left(0)} | {end: await left(end) for end, commit in frames(log) if commit}
    states = list(commits.values())
    assert states[0] == []
    assert len(states[-1]) >= 6 * len(workload.PRODUCERS)
    for shorter, longer in pairwise(states):
        assert longer[: len(shorter)] == shorter
    appends = [state for state in states if state]
    assert all(len(longer) > len(shorter) for shorter, longer in pairwise(appends)), "a commit is missing"
    marks = {end for end, _ in frames(log)}
    for cut in sorted(marks | set(rng.sample(range(len(log)), 150))):
        assert await left(cut) == commits[max(end for end in commits if end <= cut)], f"cut after {cut} bytes"


async def test_a_damaged_file_is_not_served(tmp_path: Path) -> None:
    run(tmp_path)
    file = tmp_path / "streams.sqlite3"
    content = bytearray(file.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
    file.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"streams\.sqlite3 cannot be used"):
        SqliteStore.open(tmp_path)


def test_a_file_that_is_no_database_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "streams.sqlite3").write_bytes(b"hello " * 1000)
    with pytest.raises(StoreDamaged):
        SqliteStore.open(tmp_path)
