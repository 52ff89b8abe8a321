"""The browser's client, run by Node, against a real server through a network that breaks."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.server import ServerProcess

SCRIPT = Path(__file__).parent / "follow-server.js"
ENV = {"DURABLE_CHAT_AGENT": "demo", "DURABLE_CHAT_DEMO_WORD_DELAY": "0.02"}


class Chat:
    """A new chat on ``server``, and a Node process that talks in it by way of ``proxy``."""

    def __init__(self, server: ServerProcess, proxy: FaultProxy, **headers: str) -> None:
        self._url = server.url
        created = httpx.post(f"{server.url}/api/chats", json={}, trust_env=False).raise_for_status().json()
        self.id = created["id"]
        self._headers = {"Authorization": f"Bearer {created['token']}"}
        self._proxy = proxy
        self._connection = headers

    def read(self, path: str) -> Any:
        reply = httpx.get(self._url + path, headers=self._headers, trust_env=False)
        return reply.raise_for_status().json()

    @contextmanager
    def client(self, text: str) -> Iterator[subprocess.Popen[str]]:
        node = shutil.which("node")
        assert node, "Node is needed to run the browser's modules"
        settings = {
            "url": self._proxy.url,
            "chat": self.id,
            "headers": self._headers | self._connection,
            "text": text,
        }
        with subprocess.Popen(
            [node, str(SCRIPT), json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def result(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """What the client saw; checked against the log and against the server's own reading of it."""
        out, err = process.communicate(timeout=25)
        assert process.returncode == 0, err
        seen: dict[str, Any] = json.loads(out)
        assert seen["items"] == self.read(f"/api/chat-stream?id={self.id}&offset=-1")
        assert seen["messages"] == self.read(f"/api/chats/{self.id}/snapshot")["messages"]
        assert [message["role"] for message in seen["messages"]] == ["user", "assistant"]
        return seen


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Mapping[str, str]) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data", env={**upstream, **ENV}) as process:
        yield process


@pytest.fixture
def proxy(server: ServerProcess, start_proxy: Callable[[int], FaultProxy]) -> FaultProxy:
    return start_proxy(server.port)


@pytest.mark.converge
def test_follows_a_run_over_one_connection(server: ServerProcess, proxy: FaultProxy) -> None:
    chat = Chat(server, proxy)
    with chat.client("/long 50") as process:
        seen = chat.result(process)
    assert seen["requests"] == {"read": 1, "sse": 1, "POST": 1}
    assert seen["states"] == ["connecting", "live"]


@pytest.mark.converge
def test_cuts_at_odd_places_lose_and_repeat_nothing(server: ServerProcess, proxy: FaultProxy) -> None:
    chat = Chat(server, proxy)
    for count in (1, 150, 1003, 1500, 2111):
        proxy.cut_after(count)
    with chat.client("/long 100") as process:
        for end in (proxy.cut, proxy.reset, proxy.cut, proxy.reset):
            time.sleep(0.5)  # spreads the cuts over the run; no result depends on it
            end()
        seen = chat.result(process)
    assert seen["requests"]["read"] > 1


def test_single_bytes(server: ServerProcess, proxy: FaultProxy) -> None:
    proxy.split = True
    chat = Chat(server, proxy)
    with chat.client("/think") as process:
        chat.result(process)


@pytest.mark.converge
def test_the_server_dies_and_comes_back(server: ServerProcess, proxy: FaultProxy) -> None:
    chat = Chat(server, proxy)
    with chat.client("/long 400") as process:
        deadline = time.monotonic() + 15
        while not chat.read(f"/api/chats/{chat.id}/snapshot")["activeRuns"] and time.monotonic() < deadline:
            time.sleep(0.05)
        server.kill9()
        server.start()
        seen = chat.result(process)
    assert "reconnecting" in seen["states"]
    assert seen["items"][-1]["code"] == "interrupted"


def test_a_proxy_that_holds_replies_back_is_met_with_long_poll(
    server: ServerProcess, proxy: FaultProxy
) -> None:
    proxy.buffer = True
    # The proxy passes a reply on when its connection ends, so each reply gets one of its own.
    chat = Chat(server, proxy, Connection="close")
    with chat.client("/long 300") as process:
        seen = chat.result(process)
    assert seen["requests"]["sse"] == 1
    assert seen["requests"]["long-poll"] > 1
    assert "reconnecting" not in seen["states"]
