"""Our own stream server for others, mounted in the chat and alone: who may read and who may write."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.support.server import ServerProcess

Start = Callable[..., ServerProcess]
READ = "DURABLE_CHAT_STREAMS_SERVER_READ_TOKEN"
WRITE = "DURABLE_CHAT_STREAMS_SERVER_WRITE_TOKEN"
JSON = {"Content-Type": "application/json"}


class Caller:
    """Somebody with a token, or without one."""

    def __init__(self, server: ServerProcess, *, token: str | None = None, scheme: str = "Bearer") -> None:
        self._url = f"{server.url}/v1/stream/a/b"
        self._headers = JSON if token is None else {**JSON, "Authorization": f"{scheme} {token}"}

    def ask(self, method: str, body: bytes | None = None, **query: str) -> httpx.Response:
        with httpx.stream(method, self._url, headers=self._headers, content=body, params=query) as reply:
            if reply.headers.get("content-type") != "text/event-stream":
                reply.read()
            return reply


def refused(reply: httpx.Response) -> bool:
    if reply.status_code != 401:
        return False
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.request.method == "HEAD" or reply.json()["code"] == "unauthorised"
    return True


@pytest.mark.parametrize("command", ["serve", "streams"])
def test_the_write_token_writes_and_reads_and_the_read_token_reads(start_server: Start, command: str) -> None:
    server = start_server(command=command, env={READ: "read-token", WRITE: "write-token"})
    writer, reader = Caller(server, token="write-token"), Caller(server, token="read-token")
    strangers = [
        Caller(server),
        Caller(server, token="x"),
        Caller(server, token="write-toke"),
        Caller(server, token="write-token", scheme="Basic"),
    ]
    for caller in (reader, *strangers):
        assert refused(caller.ask("PUT"))
    assert writer.ask("PUT").status_code == 201
    assert writer.ask("POST", b'[{"x":1}]').status_code == 204
    for caller in (reader, writer):
        assert caller.ask("GET", offset="-1").json() == [{"x": 1}]
        assert caller.ask("GET", offset="-1", live="sse").status_code == 200
        assert caller.ask("HEAD").status_code == 200
    for caller in strangers:
        assert refused(caller.ask("GET", offset="-1"))
        assert refused(caller.ask("GET", offset="-1", live="sse"))
        assert refused(caller.ask("HEAD"))
        assert caller.ask("OPTIONS").status_code == 204  # a browser asks first, and without the token
    for caller in (reader, *strangers):
        assert refused(caller.ask("POST", b"[2]"))
        assert refused(caller.ask("DELETE"))
    assert writer.ask("GET", offset="-1").json() == [{"x": 1}]
    assert writer.ask("DELETE").status_code == 204
    assert httpx.get(f"{server.url}/healthz").status_code == 200


@pytest.mark.parametrize("command", ["serve", "streams"])
def test_with_a_read_token_alone_nobody_writes(start_server: Start, command: str) -> None:
    server = start_server(command=command, env={READ: "read-token"})
    assert refused(Caller(server).ask("PUT"))
    assert refused(Caller(server, token="read-token").ask("PUT"))
    assert Caller(server, token="read-token").ask("GET").status_code == 404
