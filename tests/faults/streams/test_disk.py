"""A stream server whose disk is slow, fails or fills: nothing is acknowledged that was not flushed."""

from __future__ import annotations

import asyncio
import os
import re
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import ServerProcess
from tests.support.sse import batches, follow
from tests.support.strace import strace
from tests.support.waiting import eventually

Start = Callable[..., ServerProcess]
SHORT_LIVES = {"DURABLE_CHAT_SSE_LIFETIME": "15"}
WATCHED = "pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg"


@dataclass
class Watch:
    """What a server's system calls say about its answers to appends, line by line.

    An append is known by its mark: ``<<n>>`` in its text, and n as the ``Producer-Epoch`` of the reply.
    """

    answered: list[str] = field(default_factory=list)
    unflushed: list[str] = field(default_factory=list)
    """Answered before the flush of a log that held them."""
    hurried: list[str] = field(default_factory=list)
    """Answered while anything at all in the log was not flushed. With one append at a time there is none."""
    _flushed: set[str] = field(default_factory=set)
    _written: set[str] = field(default_factory=set)
    _dirty: bool = False
    _flushing: str = ""

    def see(self, line: str) -> None:
        thread, call = line.split(maxsplit=1)
        if call.startswith("pwrite64(") and "-wal>" in call:
            self._dirty = True
            self._written.update(re.findall(r"<<(\d+)>>", call))
        elif re.match(r"f(data)?sync\(.*-wal>", call):
            self._flushing = thread
        if "sync" in call and thread == self._flushing and call.endswith("= 0"):
            self._flushed |= self._written
            self._flushing, self._dirty = "", False
        if answer := re.search(r'"HTTP/1\.1 2.*producer-epoch: (\d+)', call):
            self.answered.append(answer[1])
            if answer[1] not in self._flushed:
                self.unflushed.append(answer[1])
            if self._dirty:
                self.hurried.append(answer[1])


@pytest.mark.parametrize("writers", [1, 8])
async def test_every_acknowledgement_comes_after_its_flush(
    start_server: Start, tmp_path: Path, writers: int
) -> None:
    trace = tmp_path / "trace"
    options = ("-D", "-f", "-yy", "-s", "5000", "-e", f"trace={WATCHED}", "-o", str(trace))
    server = start_server(command="streams", wrapper=(strace(), *options))
    url = f"{server.url}/v1/stream/s"
    async with httpx.AsyncClient(headers={"Content-Type": "text/plain"}) as http:

        async def write(first: int) -> None:
            for mark in range(first, 48, writers):
                producer = {"Producer-Id": str(first), "Producer-Epoch": str(mark), "Producer-Seq": "0"}
                reply = await http.post(url, content=f"<<{mark}>>", headers=producer)
                assert reply.status_code == 200

        await http.put(url)
        await asyncio.gather(*(write(first) for first in range(writers)))
    server.stop()
    end = re.compile(rf"^{server.pid} +\+\+\+ exited", re.M)
    eventually(lambda: end.search(trace.read_text()), what="the trace to be whole")
    watch = Watch()
    for line in trace.read_text().splitlines():
        watch.see(line)
    assert sorted(map(int, watch.answered)) == list(range(48))
    assert not watch.unflushed
    if writers == 1:
        assert not watch.hurried


class Writer:
    """Appends numbers with one producer, each until it is accepted, and knows what it was told."""

    def __init__(self, http: httpx.Client, url: str) -> None:
        self.url = url
        self.offsets: list[str] = []
        self.refusals = 0
        self._http = http

    def try_one(self) -> bool:
        number = len(self.offsets)
        producer = {"Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": str(number)}
        reply = self._http.post(self.url, json=[number], headers=producer)
        if reply.is_success:
            self.offsets.append(reply.headers["Stream-Next-Offset"])
            return True
        assert reply.status_code == 503
        assert int(reply.headers["Retry-After"]) >= 1
        assert reply.json()["code"] == "unavailable"
        self.refusals += 1
        return False

    def write(self, total: int) -> None:
        """Go on until ``total`` are accepted in all, through no more than a hundred refusals."""
        while len(self.offsets) < total:
            self.try_one()
            assert self.refusals < 100

    def check(self) -> None:
        """What was acknowledged is there once and in order, under offsets of its own."""
        stored = self._http.get(self.url, params={"offset": "-1"}).raise_for_status().json()
        assert stored == list(range(len(self.offsets)))
        assert all(earlier < later for earlier, later in pairwise(self.offsets))


def watch_live(url: str, total: int) -> list[int]:
    """The numbers that one live reader is given, over one connection."""
    found: list[Any] = []
    with httpx.Client() as http:
        for batch in batches(follow(http, url, offset="-1", live="sse")):
            found += batch.items
            if len(found) >= total:
                break
    return found


@contextmanager
def writing(server: ServerProcess) -> Iterator[tuple[Writer, Future[list[int]]]]:
    """A writer, and what a live reader will have seen of its first forty appends."""
    with httpx.Client() as http, ThreadPoolExecutor(1) as pool:
        writer = Writer(http, f"{server.url}/v1/stream/s")
        http.put(writer.url, headers={"Content-Type": "application/json"}).raise_for_status()
        yield writer, pool.submit(watch_live, writer.url, 40)


# The counts are beyond what a start needs.
@pytest.mark.parametrize(
    ("calls", "error", "when"),
    [("fdatasync,fsync", "EIO", "12..15"), ("pwrite64", "ENOSPC", "60..90")],
)
def test_appends_that_failed_are_refused_and_those_after_are_not(
    start_server: Start, calls: str, error: str, when: str
) -> None:
    fault = f"inject={calls}:error={error}:when={when}"
    wrapper = (strace(), "-D", "-f", "-qq", "-e", fault, "-o", os.devnull)
    server = start_server(command="streams", wrapper=wrapper, env=SHORT_LIVES)
    with writing(server) as (writer, live):
        writer.write(40)
        assert writer.refusals
        assert live.result() == list(range(40))
        writer.check()
        server.wrapper = ()
        server.restart()
        writer.check()


def test_a_full_disk_refuses_appends_serves_readers_and_recovers_with_space(start_server: Start) -> None:
    server = start_server(command="streams", env=SHORT_LIVES)
    with writing(server) as (writer, live):
        writer.write(20)
        # No file of this process may grow: to the database that is a disk without space.
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        for _ in range(5):
            assert not writer.try_one()
            writer.check()
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        writer.write(40)
        assert writer.refusals == 5
        assert live.result() == list(range(40))
        writer.check()
