"""Clients that speak too slowly: one is told so, many cannot take more connections than there are."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.support.server import ServerProcess
from tests.support.waiting import eventually

HEAD = b"POST /v1/stream/s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n"
LIMITS = {"DURABLE_CHAT_BODY_TIMEOUT": "1", "DURABLE_CHAT_CONCURRENCY": "20"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("slow") / "data"
    with ServerProcess(data_dir, command="streams", env=LIMITS) as process:
        yield process


def connect(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


@pytest.mark.parametrize(
    ("framing", "piece"),
    [
        pytest.param(b"Content-Length: 1000\r\n\r\n", b"x", id="announced"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", id="endless"),
    ],
)
def test_a_body_that_dribbles_in_is_refused_when_its_time_is_up(
    server: ServerProcess, framing: bytes, piece: bytes
) -> None:
    url = f"{server.url}/v1/stream/s"
    assert httpx.put(url, headers={"Content-Type": "text/plain"}).is_success
    with connect(server) as slow:
        slow.sendall(HEAD + framing)
        slow.settimeout(0.1)
        reply = b""
        for _ in range(150):  # each byte restarts any clock that only watches for silence
            slow.sendall(piece)
            try:
                reply = slow.recv(4096)
                break
            except TimeoutError:
                continue
        slow.settimeout(20)
        while not reply.endswith(b"}") and (more := slow.recv(4096)):  # head and body may come apart
            reply += more
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"x-content-type-options: nosniff" in head
    assert json.loads(body)["code"] == "request-timeout"
    assert httpx.get(url).content == b""


def test_headers_that_never_end_take_no_more_connections_than_there_are(server: ServerProcess) -> None:
    """There is no clock on headers, so the number of connections is what bounds them."""
    url = f"{server.url}/healthz"
    with ExitStack() as stack:
        for _ in range(30):
            slow = stack.enter_context(connect(server))
            slow.sendall(HEAD + b"X-Slow: ")
        eventually(lambda: httpx.get(url).status_code == 503, what="the cap to be met")
        assert httpx.get(url).elapsed.total_seconds() < 5  # refused, not kept waiting
    eventually(lambda: httpx.get(url).status_code == 200, what="the server to be free again")
