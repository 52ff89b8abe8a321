"""The WebSocket's handshake: whose page may open it, who may, and that others learn nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from websockets.exceptions import InvalidStatus

from tests.security.routes import SOCKET_ROUTES
from tests.support.chat_socket import open_socket
from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import run_input, text_of

UNKNOWN = "unknown-chat-000000000"


@dataclass(frozen=True, slots=True)
class Cast:
    chat_id: str
    token: str
    people: dict[str, Chatter]


@pytest.fixture(scope="module")
def cast(app: LiveApp) -> Cast:
    owner = Chatter(app)
    chat = owner.http.post("/api/chats", json={}).json()
    owner.send(chat["id"], "first", message_id="m-first", runId="r-first")
    people = {
        "owner": owner,
        "chat": owner.invited(chat["id"], "chat"),
        "view": owner.invited(chat["id"], "view"),
        "stranger": Chatter(app),
    }
    return Cast(chat["id"], chat["token"], people)


def cookie_of(chatter: Chatter) -> dict[str, str]:
    return {"Cookie": f"durable-chat={chatter.http.cookies['durable-chat']}"}


def refused(chatter: Chatter, *, headers: dict[str, str] | None = None, **query: str) -> tuple[int, bytes]:
    """What the handshake is refused with."""
    with pytest.raises(InvalidStatus) as caught, open_socket(chatter, headers=headers, **query):
        pass
    reply = caught.value.response
    return reply.status_code, bytes(reply.body or b"")


def test_there_is_one(cast: Cast) -> None:
    assert {"/api/chat/ws"} == SOCKET_ROUTES


FOREIGN = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "{ours}.evil.example"},
    {"Origin": "{ours}1"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "{ours}", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "{ours}", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Origin": "{ours}", "Authorization": "Basic eA=="} | {"Origin": "http://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_another_sites_page_opens_none(cast: Cast, headers: dict[str, str]) -> None:
    owner = cast.people["owner"]
    given = {name: value.replace("{ours}", owner.app.url) for name, value in headers.items()}
    status, _ = refused(owner, headers=cookie_of(owner) | given, id=cast.chat_id)
    assert status == 403
    assert owner.app.services.slots.taken == 0


@pytest.mark.parametrize("extra", [{}, {"Sec-Fetch-Site": "same-origin"}], ids=str)
def test_our_own_page_opens_one(cast: Cast, extra: dict[str, str]) -> None:
    owner = cast.people["owner"]
    headers = cookie_of(owner) | {"Origin": owner.app.url} | extra
    with open_socket(owner, headers=headers, id=cast.chat_id) as socket:
        socket.send({"type": "ping"})
        assert socket.next() == {"type": "pong"}


@pytest.mark.parametrize("origin", ["", "https://elsewhere.example"])
def test_a_bearer_opens_one_from_anywhere(cast: Cast, origin: str) -> None:
    headers = {"Authorization": f"Bearer {cast.token}", "Origin": origin}
    with open_socket(cast.people["stranger"], headers=headers, id=cast.chat_id) as socket:
        run_id = f"by-bearer-{bool(origin)}"
        socket.send(run_input("by token", message_id=f"m-{run_id}", run_id=run_id))
        assert text_of(socket.until_end_of(run_id)) == "Echo: by token"
    other = cast.people["stranger"].create_chat()
    assert refused(cast.people["owner"], headers=headers, id=other)[0] == 404


def test_a_wrong_bearer_is_nobody_whatever_the_cookie(cast: Cast) -> None:
    owner = cast.people["owner"]
    headers = cookie_of(owner) | {"Authorization": "Bearer wrong", "Origin": owner.app.url}
    status, body = refused(owner, headers=headers, id=cast.chat_id)
    assert (status, json.loads(body)["code"]) == (401, "unauthorised")


@pytest.mark.parametrize(
    ("who", "status"), [("owner", None), ("chat", None), ("view", 403), ("stranger", 404)]
)
def test_it_takes_the_role_chat(cast: Cast, who: str, status: int | None) -> None:
    chatter = cast.people[who]
    if status is None:
        with open_socket(chatter, id=cast.chat_id):
            return
    assert refused(chatter, id=cast.chat_id)[0] == status


@pytest.mark.parametrize(("who", "status"), [("owner", None), ("view", None), ("stranger", 404)])
def test_reading_a_run_on_takes_the_role_view(cast: Cast, who: str, status: int | None) -> None:
    query = {"id": cast.chat_id, "runId": "r-first", "offset": "-1"}
    if status is not None:
        assert refused(cast.people[who], **query)[0] == status
        return
    with open_socket(cast.people[who], **query) as socket:
        assert socket.closed()[0] == 1000
        assert text_of(socket.events) == "Echo: first"


def test_missing_and_forbidden_look_the_same(cast: Cast) -> None:
    stranger = cast.people["stranger"]
    hidden, missing = refused(stranger, id=cast.chat_id), refused(stranger, id=UNKNOWN)
    assert hidden == missing
    assert json.loads(hidden[1])["code"] == "not-found"
    runs = [refused(stranger, runId=run_id, offset="-1") for run_id in ("r-first", "unheard-of")]
    assert runs == [missing, missing]


@pytest.mark.parametrize("query", [{"offset": "5"}, {"offset": "-1"}, {"runId": "r-first", "offset": "5"}])
def test_a_place_that_is_none(cast: Cast, query: dict[str, str]) -> None:
    status, body = refused(cast.people["owner"], id=cast.chat_id, **query)
    assert status == 400
    assert set(json.loads(body)) == {"error", "code"}


def test_a_host_that_is_not_ours(cast: Cast) -> None:
    """DNS rebinding makes another site's page its own origin."""
    owner = cast.people["owner"]
    port = owner.app.url.rpartition(":")[2]
    headers = cookie_of(owner) | {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}
    assert refused(owner, headers=headers, id=cast.chat_id)[0] in {400, 403}


def test_a_refusal_carries_the_security_headers(cast: Cast) -> None:
    with pytest.raises(InvalidStatus) as caught, open_socket(cast.people["stranger"], id=cast.chat_id):
        pass
    headers = caught.value.response.headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"] == "application/json"
