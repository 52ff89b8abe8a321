"""Readers that stop reading without a word: dropped, while others go on and memory stays flat."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.server import ServerProcess
from tests.support.sse import batches, follow
from tests.support.waiting import eventually

REQUEST = b"GET /v1/stream/s?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n"
STALLED = 20
APPENDS = 250
FILLER = "x" * 100_000
MEBIBYTE = 1024 * 1024
PATIENCE = 20
"""Seconds within which a reader that does not read is dropped."""


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sockets(pid: int) -> int:
    """How many sockets a process has open."""
    links = Path(f"/proc/{pid}/fd")
    return sum(os.readlink(link).startswith("socket:") for link in links.iterdir())


def reader(port: int) -> socket.socket:
    """Somebody who has asked, has seen that the reply begins, and has read none of it."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(20)
    made.connect(("127.0.0.1", port))
    made.sendall(REQUEST)
    assert made.recv(9, socket.MSG_PEEK) == b"HTTP/1.1 "
    return made


def numbers(url: str) -> list[int]:
    """What a reader who reads is given, over one connection."""
    found: list[int] = []
    with httpx.Client() as http:
        for batch in batches(follow(http, url, offset="-1", live="sse")):
            found += (number for number, _ in batch.items)
            if len(found) >= APPENDS:
                break
    return found


@pytest.mark.slow
def test_readers_that_stall_are_dropped_and_cost_nothing(
    start_server: Callable[..., ServerProcess], start_proxy: Callable[[int], FaultProxy]
) -> None:
    """F19, G11: half of them never read, the other half's network has stopped and says nothing."""
    server = start_server(command="streams", env={"DURABLE_CHAT_WRITE_TIMEOUT": "1"})
    proxy = start_proxy(server.port)
    url = f"{server.streams_url}/s"
    with httpx.Client(timeout=20) as http, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        http.put(url, headers={"Content-Type": "application/json"}).raise_for_status()

        def append(number: int) -> None:
            http.post(url, json=[[number, FILLER]]).raise_for_status()

        append(0)
        alone = sockets(server.pid)
        for port in [server.port, proxy.port] * (STALLED // 2):
            stack.enter_context(reader(port))
        assert sockets(server.pid) == alone + STALLED
        proxy.stall()
        reading = pool.submit(numbers, url)
        before = most = resident(server.pid)
        for number in range(1, APPENDS):
            append(number)
            most = max(most, resident(server.pid))
        assert reading.result() == list(range(APPENDS))
        # Kept for each of them it would be half a gigabyte.
        assert most - before < 48 * MEBIBYTE, f"{(most - before) // MEBIBYTE} MiB"
        eventually(lambda: sockets(server.pid) <= alone, timeout=PATIENCE, what="the stalled to be dropped")
