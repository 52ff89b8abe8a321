"""F27: a crowd follows a chat, its server is killed and comes back, and everybody comes back at once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.support.chats import check_runs
from tests.support.live_app import Chatter
from tests.support.server import ServerProcess
from tests.support.sse import SseReader
from tests.support.waiting import aeventually

CROWD = 500
CAUGHT_UP_WITHIN = 10.0


class Follower:
    """Follows a chat as the page's reader does: a batch counts once its control event is there, and after a
    cut it waits for a random part of a second before it is back. A socket each, without a client's pool.
    """

    def __init__(self, port: int, path: str, headers: str, rng: random.Random) -> None:
        self.events: list[bytes] = []
        self.offset = "-1"
        self._port = port
        self._path = path
        self._headers = headers
        self._rng = rng
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, ValueError):
                await self._once()
            await asyncio.sleep(self._rng.random())  # what http.js does, its first time

    async def _once(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            target = f"{self._path}&offset={self.offset}&live=sse"
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{self._headers}\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise OSError(head.decode())
            events, data = SseReader(), list[bytes]()
            while size := int(await reader.readuntil(b"\r\n"), 16):
                chunk = (await reader.readexactly(size + 2))[:-2]
                for event in events.feed(chunk):
                    if event.event == "data":
                        data += [json.dumps(each).encode() for each in event.json()]
                    elif event.event == "control":
                        self.events += data
                        self.offset, data = event.json()["streamNextOffset"], []
        finally:
            writer.close()

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


@pytest.mark.slow
async def test_five_hundred_come_back_to_a_server_that_was_killed(
    start_server: Callable[..., ServerProcess], rng: random.Random
) -> None:
    env = {
        "DURABLE_CHAT_AGENT": "demo",
        "DURABLE_CHAT_SLOTS_PER_PRINCIPAL": "1000",
        "DURABLE_CHAT_SLOTS_PER_STREAM": "1000",
    }
    server = start_server(env=env)
    ana = Chatter(server)
    chat_id = ana.create_chat()
    cookie = "; ".join(f"{name}={value}" for name, value in ana.http.cookies.items())
    crowd = [
        Follower(server.port, f"/api/chat-stream?id={chat_id}", f"Cookie: {cookie}", rng)
        for _ in range(CROWD)
    ]

    async def everybody_is_at(offset: str) -> None:
        await aeventually(
            lambda: all(each.offset == offset for each in crowd), timeout=60, what=f"everybody at {offset}"
        )

    def offset() -> str:
        return str(ana.snapshot(chat_id)["offset"])

    await asyncio.to_thread(ana.send, chat_id, "/long 20", message_id="m-0")
    await everybody_is_at(offset())
    # Killed in the middle of an answer, so that there is something to catch up with.
    await asyncio.to_thread(ana.send, chat_id, "/long 2000", message_id="m-1", mode="")
    await aeventually(lambda: min(len(each.events) for each in crowd) > 30)
    server.kill9()
    await asyncio.to_thread(server.start)
    back = time.monotonic()
    await everybody_is_at(await asyncio.to_thread(offset))
    took = time.monotonic() - back
    print(f"{CROWD} caught up in {took:.1f} s")
    assert took <= CAUGHT_UP_WITHIN

    log = await asyncio.to_thread(
        lambda: ana.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"}).json()
    )
    check_runs(log)
    assert log[-1]["code"] == "interrupted"
    whole = [json.dumps(each).encode() for each in log]
    assert all(each.events == whole for each in crowd)
    for each in crowd:
        await each.aclose()
