"""Load on a Durable Streams server from a process of its own, over sockets with the least code in between.

``python -m benchmarks.http_load SCENARIO PORT PID KEY=VALUE …`` prints one JSON object. PID is the server's:
its processor time and memory are read from /proc. What a scenario measures is in its docstring.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import uvloop

from benchmarks.report import percentile

PATH = "/v1/stream/bench"
MESSAGE = (
    b'{"t":%017.6f,"type":"TEXT_MESSAGE_CONTENT","messageId":"0123456789abcdef","delta":"a few words of it "}'
)
_STAMP = re.compile(rb'"t":(\d{10}\.\d{6})')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OFFSET = re.compile(rb"\r\nstream-next-offset: *([^\r]+)", re.IGNORECASE)
_BATCH = 500
Result = dict[str, float]


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request under way."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiter: asyncio.Future[tuple[int, bytes, int]] | None = None
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        self._transport = transport

    async def send(self, request: bytes) -> tuple[int, bytes, int]:
        """Send a whole request; return status, head and the size of the body."""
        assert self._transport is not None
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        status, head, size = await self._waiter
        if status >= 300:
            raise RuntimeError(f"{request[:80]!r} was answered {status}")
        return status, head, size

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._waiter is None:
            return
        head = bytes(self._buffer[: end + 2])
        status, size = int(head[9:12]), len(self._buffer) - end - 4
        length = _LENGTH.search(head)
        if length is not None and status != 204:
            complete = size >= int(length[1])
        else:
            complete = status == 204 or self._buffer.endswith(b"0\r\n\r\n")
        if complete:
            waiter, self._waiter = self._waiter, None
            self._buffer.clear()
            waiter.set_result((status, head, size))

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error or ConnectionError("the server hung up"))

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class Reader(asyncio.Protocol):
    """A live reader: counts messages; with ``waits`` it also notes how long each was under way, in ms."""

    def __init__(self, request: bytes, waits: list[float] | None) -> None:
        self._request = request
        self._waits = waits
        self._rest = b""
        self.count = 0
        self.live = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.WriteTransport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.live.done() and b"event: control" in data:
            self.live.set_result(None)
        data = self._rest + data
        self._rest = data[-3:]  # shorter than what is counted, so nothing is counted twice
        self.count += data.count(b'"t":')
        if self._waits is not None:
            now = time.time()
            self._waits += [(now - float(stamp)) * 1000 for stamp in _STAMP.findall(data)]


class Server:
    """The server under load, as seen from outside."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        # Node may have been started through a launcher, which is then its parent.
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self._processes = [Path(f"/proc/{one}") for one in (pid, *children)]

    def cpu_seconds(self) -> float:
        stats = [(process / "stat").read_text().rpartition(")")[2].split() for process in self._processes]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        pages = sum(int((process / "statm").read_text().split()[1]) for process in self._processes)
        return pages * os.sysconf("SC_PAGE_SIZE")


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    given = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{given}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def message() -> bytes:
    return MESSAGE % time.time()


def batch(size: int) -> bytes:
    return b"[%b]" % b",".join([message()] * size)


async def filled(connection: Connection, path: str, messages: int) -> None:
    """Create a stream with ``messages`` messages, some hundred to an append."""
    await connection.send(request("PUT", path))
    for at in range(0, messages, _BATCH):
        await connection.send(request("POST", path, batch(min(_BATCH, messages - at))))


async def appends(
    server: Server, connections: int, seconds: float, shared: int = 0, earlier: int = 0
) -> Result:
    """Appends per second, each acknowledged before the connection's next one.

    Every connection writes to a stream of its own, or all to one that has ``earlier`` appends if ``shared``.
    """
    opened = [await Connection.open(server.port) for _ in range(connections)]
    run = time.time_ns()
    paths = [f"{PATH}-{run}-{0 if shared else number}" for number in range(connections)]
    for path in dict.fromkeys(paths):
        await opened[0].send(request("PUT", path))
    waits: list[float] = []
    remaining = earlier

    async def write(connection: Connection, path: str, ends: float) -> None:
        nonlocal remaining
        while remaining > 0 if ends == 0 else time.perf_counter() < ends:
            remaining -= 1
            started = time.perf_counter()
            await connection.send(request("POST", path, message()))
            waits.append((time.perf_counter() - started) * 1000)

    async def everyone(ends: float) -> None:
        await asyncio.gather(*(write(one, path, ends) for one, path in zip(opened, paths, strict=True)))

    await everyone(0 if earlier else time.perf_counter() + 0.5)
    waits.clear()
    # What is counted starts here: no request of the warm-up is under way any more.
    cpu, started = server.cpu_seconds(), time.perf_counter()
    await everyone(started + seconds)
    took = time.perf_counter() - started
    return {
        "per second": len(waits) / took,
        "p50 ms": percentile(waits, 0.5),
        "p99 ms": percentile(waits, 0.99),
        "cpu %": (server.cpu_seconds() - cpu) / took * 100,
    }


async def fan_out(server: Server, readers: int, seconds: float, rate: int = 200) -> Result:
    """Messages delivered per second to SSE readers of one stream, and how long each was under way.

    Appends go out on schedule on 16 connections in turn, so one slow acknowledgement holds up none of the
    others. With many readers only some of them look at the time, so that this process keeps up.
    """
    path = f"{PATH}-fan-{time.time_ns()}"
    writers = [await Connection.open(server.port) for _ in range(16)]
    await writers[0].send(request("PUT", path))
    waits: list[float] = []
    ask = request("GET", f"{path}?offset=-1&live=sse")
    loop = asyncio.get_running_loop()
    following = []
    for number in range(readers):
        timed = waits if number % max(1, readers // 50) == 0 else None
        _, reader = await loop.create_connection(partial(Reader, ask, timed), "127.0.0.1", server.port)
        await asyncio.wait_for(reader.live, 10)
        following.append(reader)
    cpu, started = server.cpu_seconds(), time.perf_counter()

    async def write(number: int) -> None:
        for tick in range(number, int(rate * seconds), len(writers)):
            if time.perf_counter() > started + 2 * seconds:
                return  # it cannot keep up; what was not sent counts as missing
            await asyncio.sleep(max(0.0, started + tick / rate - time.perf_counter()))
            await writers[number].send(request("POST", path, message()))

    expected = readers * int(rate * seconds)
    await asyncio.gather(*(write(number) for number in range(len(writers))))
    patience = time.perf_counter() + seconds
    while (delivered := sum(reader.count for reader in following)) < expected:
        if time.perf_counter() > patience:
            break
        await asyncio.sleep(0.002)
    took = time.perf_counter() - started
    result = {
        "per second": delivered / took,
        "missing": float(expected - delivered),
        "p50 ms": percentile(waits, 0.5),
        "p99 ms": percentile(waits, 0.99),
        "cpu %": (server.cpu_seconds() - cpu) / took * 100,
    }
    for reader in following:
        reader.transport.close()
    return result


async def catch_up(server: Server, readers: int, megabytes: int = 10) -> Result:
    """Megabytes per second for readers that read a stream from its start, page by page; best of three."""
    connection = await Connection.open(server.port)
    path = f"{PATH}-long-{time.time_ns()}"
    await filled(connection, path, megabytes * 1_000_000 // len(message()))

    async def read(connection: Connection) -> int:
        offset, total = "-1", 0
        while True:
            _, head, size = await connection.send(request("GET", f"{path}?offset={offset}"))
            total += size
            if b"stream-up-to-date" in head.lower():
                return total
            found = _OFFSET.search(head)
            assert found is not None
            offset = found[1].decode()

    opened = [await Connection.open(server.port) for _ in range(readers)]
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        total = sum(await asyncio.gather(*map(read, opened)))
        best = max(best, total / 1e6 / (time.perf_counter() - started))
    return {"MB per second": best}


async def idle(server: Server, readers: int) -> Result:
    """The server's memory for each SSE reader to whom nothing is sent, in kB."""
    connection = await Connection.open(server.port)
    path = f"{PATH}-idle-{time.time_ns()}"
    await connection.send(request("PUT", path))
    ask = request("GET", f"{path}?offset=-1&live=sse")
    loop = asyncio.get_running_loop()
    before, following = 0, []
    for number in range(readers + 10):
        if number == 10:  # the first ones load what all of them share
            before = server.memory()
        _, reader = await loop.create_connection(partial(Reader, ask, None), "127.0.0.1", server.port)
        await asyncio.wait_for(reader.live, 10)
        following.append(reader)
    result = {"kB per reader": (server.memory() - before) / readers / 1000}
    for reader in following:
        reader.transport.close()
    return result


async def fork(server: Server, messages: int) -> Result:
    """The median time to fork a stream at its end, in ms."""
    connection = await Connection.open(server.port)
    path = f"{PATH}-source-{time.time_ns()}"
    await filled(connection, path, messages)
    waits = []
    for number in range(15):
        started = time.perf_counter()
        await connection.send(request("PUT", f"{path}-{number}", Stream_Forked_From=path))
        waits.append((time.perf_counter() - started) * 1000)
    return {"p50 ms": percentile(waits, 0.5)}


SCENARIOS: dict[str, Callable[..., Awaitable[Result]]] = {
    "appends": appends,
    "fan-out": fan_out,
    "catch-up": catch_up,
    "idle": idle,
    "fork": fork,
}


def main() -> None:
    scenario, port, pid, *rest = sys.argv[1:]
    options = {name: int(value) for name, value in (option.split("=") for option in rest)}

    async def run() -> Result:
        return await SCENARIOS[scenario](Server(int(port), int(pid)), **options)

    print(json.dumps(uvloop.run(run())))


if __name__ == "__main__":
    main()
