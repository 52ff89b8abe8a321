"""An authenticating proxy in front: its header is the identity, and nobody else's is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.server import ServerProcess

ENV = {
    "DURABLE_CHAT_AGENT": "echo",
    "DURABLE_CHAT_IDENTITY_HEADER": "X-Remote-User",
    "DURABLE_CHAT_IDENTITY_NAME_HEADER": "X-Remote-Name",
}
ANA = {"X-Remote-User": "ana@example.org"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("proxied") / "data", env=ENV) as running:
        yield running


def me(http: httpx.Client, **headers: str) -> dict[str, Any]:
    reply = http.get("/api/me", headers={**ANA, **headers})
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def test_the_header_says_who_somebody_is(server: ServerProcess) -> None:
    found = me(server.client())
    assert (found["name"], found["guest"], found["proxied"]) == ("ana", False, True)
    assert "example.org" not in found["id"]
    assert me(server.client()) == found
    assert me(server.client(), **{"X-Remote-User": "ben@example.org"})["id"] != found["id"]


def test_two_who_cannot_be_read_are_two(server: ServerProcess) -> None:
    """Some proxies speak Latin-1."""
    http = server.client()
    names = (b"jos\xe9", b"jos\xe8")
    ids = {http.get("/api/me", headers={"X-Remote-User": name}).json()["id"] for name in names}
    assert len(ids) == 2


def test_a_name_that_changes_there_changes_here(server: ServerProcess) -> None:
    http = server.client(headers={"X-Remote-User": "cleo@example.org"})
    chat = http.post("/api/chats", json={}).json()
    assert http.get("/api/me").json()["name"] == "cleo"
    named = http.get("/api/me", headers={"X-Remote-Name": "Cléo".encode()}).json()
    assert named["name"] == "Cléo"
    assert http.get(f"/chat/{chat['id']}", headers={"X-Remote-Name": "Cléo".encode()}).status_code == 200


def test_without_it_nobody_gets_in_and_no_cookie_helps(server: ServerProcess) -> None:
    http = server.client(headers=ANA)
    chat = http.post("/api/chats", json={}).json()
    assert "set-cookie" not in http.get("/").headers
    for headers in ({}, {"X-Remote-User": ""}, {"X-Remote-User": "x" * 2000}):
        for path in ("/", "/api/me", f"/chat/{chat['id']}"):
            assert server.client(headers=headers).get(path).status_code == 401
    twice = [("X-Remote-User", "ana@example.org"), ("X-Remote-User", "eve@example.org")]
    assert server.client().get("/api/me", headers=twice).status_code == 401
    # Programs bring their token, and health is nobody's.
    program = server.client(headers={"Authorization": f"Bearer {chat['token']}"})
    assert program.get(f"/api/chats/{chat['id']}/snapshot").status_code == 200
    assert server.client().get("/healthz").status_code == 200


def test_what_makes_no_sense_then_is_not_there(server: ServerProcess) -> None:
    http = server.client(headers=ANA)
    json = {"content-type": "application/json"}
    assert http.patch("/api/me", json={"name": "Eve"}).json()["code"] == "name-is-set-elsewhere"
    assert http.patch("/api/me", json={"hue": 5}).json()["hue"] == 5
    assert me(http)["hue"] == 5
    assert http.post("/api/me/device-link", headers=json).status_code == 404
    assert http.get("/d/anything").status_code == 404


def test_from_anybody_else_it_is_not_believed(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(env={**ENV, "DURABLE_CHAT_FORWARDED_ALLOW_IPS": "203.0.113.7,203.0.113.64/28"})
    assert server.client(headers=ANA).get("/api/me").status_code == 401
    # Nor does it help to say that one's address is the proxy's.
    assert server.client(headers={**ANA, "X-Forwarded-For": "203.0.113.7"}).get("/api/me").status_code == 401


def test_by_default_the_header_means_nothing(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(env={"DURABLE_CHAT_AGENT": "echo"})
    found = server.client(headers=ANA).get("/api/me").json()
    assert (found["guest"], found["proxied"]) == (True, False)
