"""Stopping a real server: on time, with streams open and answers running, and nothing lost (F28, G12)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.chat_socket import Socket
from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import TRANSPORTS, Transport, log_of, run_in, run_input
from tests.support.server import ServerProcess
from tests.support.waiting import aeventually, eventually
from webapp.agents.base import AgentTurn, Event
from webapp.agents.scripted import EchoAgent

READERS = 100
RUNS = 5


async def _read_to_the_end(http: httpx.AsyncClient, chat_id: str, opened: list[str]) -> bytes:
    query = {"id": chat_id, "offset": "-1", "live": "sse"}
    tail = b""
    async with http.stream("GET", "/api/chat-stream", params=query) as reply:
        assert reply.status_code == 200
        async for chunk in reply.aiter_raw():
            if not tail:
                opened.append(chat_id)
            tail = (tail + chunk)[-4096:]
    return tail


def _send(chat_id: str, text: str) -> dict[str, Any]:
    message = {"id": f"m-{text.replace('/', '').replace(' ', '-')}", "role": "user", "content": text}
    return {"url": f"/api/chat?id={chat_id}", "json": {"messages": [message]}}


async def test_sigterm_with_open_streams_and_running_answers(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(env={"DURABLE_CHAT_SLOTS_PER_PRINCIPAL": "500", "DURABLE_CHAT_RUN_GRACE": "3"})
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=25, limits=limits, trust_env=False) as http:
        chats = [(await http.post("/api/chats", json={})).json()["id"] for _ in range(RUNS)]
        opened: list[str] = []
        readers = [
            asyncio.create_task(_read_to_the_end(http, chats[number % RUNS], opened))
            for number in range(READERS)
        ]
        await aeventually(lambda: len(opened) == READERS, what="all readers are connected")
        for number, chat_id in enumerate(chats):
            # Two of them end within the grace, three cannot.
            text = "/long 20" if number < 2 else "/long 2000"
            assert (await http.post(**_send(chat_id, text))).status_code == 202

        started = time.monotonic()
        code = await asyncio.to_thread(server.sigterm)
        took = time.monotonic() - started
        tails = await asyncio.gather(*readers)
    assert code == 0, server.log
    assert took <= 10
    # Each reply ended as replies end: after a whole control event, which says where to read on.
    assert all(b"event: control\ndata:{" in tail and tail.endswith(b"}\n\n") for tail in tails)

    server.restart()
    async with httpx.AsyncClient(base_url=server.url, timeout=25, cookies=http.cookies) as again:
        for number, chat_id in enumerate(chats):
            reply = await again.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"})
            events = reply.json()
            ends = [event for event in events if event["type"] in {"RUN_FINISHED", "RUN_ERROR"}]
            assert len(ends) == 1
            expected = {"RUN_FINISHED"} if number < 2 else {"RUN_ERROR"}
            assert {event["type"] for event in ends} == expected
            assert ends[0].get("code") == (None if number < 2 else "interrupted")
            snapshot = (await again.get(f"/api/chats/{chat_id}/snapshot")).json()
            assert snapshot["activeRuns"] == []
            assert snapshot["messages"][0]["role"] == "user"


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda transport: transport.name)
def test_a_reply_that_a_restart_cuts_is_gone_on_with(
    start_server: Callable[..., ServerProcess], transport: Transport
) -> None:
    """It is broken off, not ended: a published client takes an end without a terminal event for good."""
    server = start_server(env={"DURABLE_CHAT_RUN_GRACE": "0.1"})
    with httpx.Client(base_url=server.url, timeout=25) as http:
        chat_id = http.post("/api/chats", json={}).json()["id"]
        body = run_input("/long 2000", run_id="cut-by-a-restart")
        with transport.post(http, chat_id, body) as reply:
            events = reply.read()
            for _ in range(4):
                next(events)
            server._signal(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):
                list(events)
        assert server.wait() == 0
        assert "Traceback" not in server.log
        server.restart()
        rest = transport.run(http, chat_id, body, seen=reply.events[-1][0])
        assert rest[-1][1]["code"] == "interrupted"
        told = [chunk for _, chunk in reply.events + rest]
        assert told == run_in(log_of(http, chat_id), "cut-by-a-restart")


def test_sockets_are_told_of_a_restart_and_do_not_delay_it(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(env={"DURABLE_CHAT_RUN_GRACE": "0.1"})
    with httpx.Client(base_url=server.url, timeout=25) as http:
        chat = http.post("/api/chats", json={}).json()
    address = f"ws://127.0.0.1:{server.port}/api/chat/ws?id={chat['id']}"
    headers = {"Authorization": f"Bearer {chat['token']}"}
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(connect(address, additional_headers=headers, proxy=None)) for _ in range(10)
        ]
        sockets[0].send(json.dumps(run_input("/long 2000", run_id="on-a-socket")))
        assert json.loads(sockets[0].recv(timeout=20))["chunk"]["type"] == "RUN_STARTED"
        started = time.monotonic()
        server._signal(signal.SIGTERM)
        assert [Socket(each).closed()[0] for each in sockets] == [1012] * 10
        assert server.wait() == 0
    assert time.monotonic() - started <= 5
    assert "Traceback" not in server.log


def test_sockets_count_among_the_connections(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(env={"DURABLE_CHAT_CONCURRENCY": "6"})
    with httpx.Client(base_url=server.url, timeout=25) as http:
        chat = http.post("/api/chats", json={}).json()
    address = f"ws://127.0.0.1:{server.port}/api/chat/ws?id={chat['id']}"
    headers = {"Authorization": f"Bearer {chat['token']}"}
    with contextlib.ExitStack() as stack:

        def open_one() -> int:
            try:
                stack.enter_context(connect(address, additional_headers=headers, proxy=None))
            except InvalidStatus as refused:
                return refused.response.status_code
            return 101

        found = [open_one() for _ in range(8)]
        assert found == [101] * 5 + [503] * 3
        assert httpx.get(f"{server.url}/healthz").status_code == 503
    eventually(lambda: httpx.get(f"{server.url}/healthz").status_code == 200)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_idle_server_stops_at_once(
    start_server: Callable[..., ServerProcess], number: signal.Signals
) -> None:
    server = start_server()
    server._signal(number)
    assert server.wait(timeout=10) == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_cuts_the_answers(
    start_server: Callable[..., ServerProcess], number: signal.Signals
) -> None:
    server = start_server(env={"DURABLE_CHAT_RUN_GRACE": "500"})
    with httpx.Client(base_url=server.url, timeout=25) as http:
        chat_id = http.post("/api/chats", json={}).json()["id"]
        assert http.post(**_send(chat_id, "/long 2000")).status_code == 202
        server._signal(number)
        eventually(lambda: "Stopping. Answers have 500 s to finish" in server.log)
        # The first signal has closed the port; what waits now is only the answer.
        eventually(lambda: not _listens(server))
        server._signal(number)
        assert server.wait(timeout=10) == 0
        assert "Traceback" not in server.log
        server.restart()
        events = http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"}).json()
    assert (events[-1]["type"], events[-1]["code"]) == ("RUN_ERROR", "interrupted")


def _listens(server: ServerProcess) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", server.port)) == 0


class Resourceful(EchoAgent):
    """An agent that has something to open and to close."""

    def __init__(self) -> None:
        super().__init__(word_delay=0)
        self.story: list[str] = []

    async def __aenter__(self) -> None:
        self.story.append("opened")

    async def __aexit__(self, *error: object) -> None:
        self.story.append("closed")

    def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        self.story.append("asked")
        return super().run(turn)


def test_an_agent_is_open_while_the_app_runs(tmp_path: Path) -> None:
    agent = Resourceful()
    with LiveApp(tmp_path, agent=agent) as app:
        ana = Chatter(app)
        ana.send(ana.create_chat(), "hello")
    assert agent.story == ["opened", "asked", "closed"]
