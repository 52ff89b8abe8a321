"""Nothing is left behind: by app lifetimes, by readers that come and go, by clients that hang up (F35)."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import run_input
from tests.support.server import ServerProcess
from tests.support.waiting import eventually
from webapp.agents.scripted import EchoAgent
from webapp.app import create_app
from webapp.chat.messages import NewMessage, Participant
from webapp.settings import Settings
from webapp.web.services import provide_services

LIFETIMES = 50
READERS = 1000
AT_ONCE = 100


class Held(NamedTuple):
    """What a process holds on to."""

    files: int
    threads: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        return cls(len(os.listdir("/proc/self/fd")), threading.active_count())

    def about(self, other: Held) -> bool:
        return abs(self.files - other.files) <= 2 and abs(self.threads - other.threads) <= 2


async def _live_once(env: dict[str, str]) -> None:
    """Boot, create a chat, have a message answered, close."""
    settings = Settings.from_environ(env)
    app = create_app(settings, agents={"echo": EchoAgent(word_delay=0)})
    async with app.lifespan():
        services = provide_services(app.state)
        ana = Participant("ana", "Ana")
        chat_id = services.ids()
        await services.catalog.create_chat(chat_id, owner=ana)
        message = NewMessage(id="m", text="hello")
        accepted = await services.supervisor.accept(chat_id=chat_id, participant=ana, message=message)
        await services.supervisor.wait(accepted.run_id)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("streams", ["embedded", "elsewhere"])
async def test_app_lifetimes(
    tmp_path: Path, start_server: Callable[..., ServerProcess], streams: str
) -> None:
    env = {"DURABLE_CHAT_DATA_DIR": str(tmp_path / "app")}
    if streams == "elsewhere":
        env["DURABLE_CHAT_STREAMS_URL"] = start_server("streams", command="streams").streams_url
    await _live_once(env)
    held, tasks = Held.now(), len(asyncio.all_tasks())
    for _ in range(LIFETIMES):
        await _live_once(env)
    assert len(asyncio.all_tasks()) == tasks
    assert Held.now().about(held), f"{held} became {Held.now()}"


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    with LiveApp(tmp_path_factory.mktemp("roomy"), env={"DURABLE_CHAT_SLOTS_PER_PRINCIPAL": "500"}) as live:
        yield live


def _tasks(app: LiveApp) -> int:
    async def count(_: object) -> int:
        return len(asyncio.all_tasks())

    return app.run(count)


def _request(app: LiveApp, chatter: Chatter, chat_id: str) -> bytes:
    lines = [
        f"GET /api/chat-stream?id={chat_id}&offset=-1&live=sse HTTP/1.1",
        f"Host: {app.url.removeprefix('http://')}",
        f"Cookie: durable-chat={chatter.http.cookies['durable-chat']}",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _connect(app: LiveApp) -> socket.socket:
    host, port = app.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def _come_and_go(app: LiveApp, request: bytes) -> None:
    readers = [_connect(app) for _ in range(AT_ONCE)]
    for reader in readers:
        reader.sendall(request)
    for reader in readers:
        assert reader.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert app.services.slots.taken == AT_ONCE
    for reader in readers:
        reader.close()
    eventually(lambda: app.services.slots.taken == 0, what="all slots are given back")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_readers_that_come_and_go(roomy: LiveApp) -> None:
    chatter = Chatter(roomy)
    chat_id = chatter.create_chat()
    request = _request(roomy, chatter, chat_id)
    tasks = _tasks(roomy)
    # The first crowd fills the pools of threads and connections, which are there to stay.
    _come_and_go(roomy, request)
    held = Held.now()
    for _ in range(READERS // AT_ONCE):
        _come_and_go(roomy, request)
    eventually(lambda: _tasks(roomy) <= tasks, what="all tasks have ended")
    eventually(lambda: Held.now().about(held), what="all files and threads are let go")
    assert chatter.send(chat_id, "still here").status_code == 200


def test_clients_gone_before_the_first_byte(roomy: LiveApp) -> None:
    chatter = Chatter(roomy)
    request = _request(roomy, chatter, chatter.create_chat())
    tasks = _tasks(roomy)
    for number in range(200):
        with _connect(roomy) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(request[: len(request) if number % 2 else number])
    eventually(lambda: roomy.services.slots.taken == 0, what="all slots are given back")
    eventually(lambda: _tasks(roomy) <= tasks, what="all tasks have ended")


def _post(app: LiveApp, number: int) -> bytes:
    """A guest's run, or its socket with the run's frame right behind the handshake."""
    frame = json.dumps(run_input("hung up on", message_id=f"m{number}", run_id=f"r{number}")).encode()
    host = app.url.removeprefix("http://")
    if number % 2:
        upgrade = (
            f"Origin: {app.url}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        masked = b"\x81\xfe" + struct.pack("!H", len(frame)) + bytes(4) + frame
        return f"GET /api/chat/ws?id=left-in-a-hurry HTTP/1.1\r\nHost: {host}\r\n{upgrade}".encode() + masked
    length = f"Content-Type: application/json\r\nContent-Length: {len(frame)}\r\n\r\n"
    return f"POST /api/chat/sse?id=left-in-a-hurry HTTP/1.1\r\nHost: {host}\r\n{length}".encode() + frame


@pytest.mark.slow
def test_senders_that_hang_up_at_any_moment(
    tmp_path: Path, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """While they are let in, stored, heard or answered: nothing is left behind, and nothing is half done."""
    env = {"DURABLE_CHAT_ACCESS": "open"}
    with LiveApp(tmp_path, env=env) as app:
        chatter = Chatter(app)
        chatter.send("left-in-a-hurry", "first", message_id="first")
        tasks = _tasks(app)
        for number in range(200):
            with _connect(app) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(_post(app, number))
                time.sleep(rng.choice((0, 0.001, 0.003, 0.01, 0.03)))
        eventually(lambda: app.services.slots.taken == 0, what="all slots are given back")
        eventually(lambda: _tasks(app) <= tasks, what="all tasks have ended")
        assert chatter.send("left-in-a-hurry", "last", message_id="last").status_code == 200
        messages = chatter.messages("left-in-a-hurry")
        asked = [message["id"] for message in messages if message["role"] == "user"]
        answered = [message["metadata"]["parentId"] for message in messages if message["role"] != "user"]
        assert sorted(asked) == sorted(answered)
        assert len(asked) > 2
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_one_person_cannot_take_every_slot(app: LiveApp) -> None:
    chatter = Chatter(app)
    chat_id = chatter.create_chat()
    request = _request(app, chatter, chat_id)
    readers = [_connect(app) for _ in range(12)]
    for reader in readers:
        reader.sendall(request)
        assert reader.recv(4096).startswith(b"HTTP/1.1 200 ")
    refused = chatter.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1", "live": "sse"})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert set(refused.json()) == {"error", "code"}
    assert chatter.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"}).status_code == 200
    for reader in readers:
        reader.close()
    eventually(lambda: app.services.slots.taken == 0)
