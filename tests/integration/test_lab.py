"""The transport lab's cut: every kind of connection, nobody else's, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.chat_socket import open_socket
from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import TRANSPORTS, Door, Transport, log_of, run_in, run_input, text_of
from tests.support.sse import follow
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.fixture(scope="module")
def gated(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    with LiveApp(tmp_path_factory.mktemp("gated"), agent=door) as live:
        yield live


@pytest.fixture
def dora(gated: LiveApp) -> Chatter:
    return Chatter(gated)


def cut(chatter: Chatter, chat_id: str) -> int:
    reply = chatter.http.post("/api/lab/cut", json={"id": chat_id})
    assert reply.status_code == 200, reply.text
    return int(reply.json()["cut"])


def test_the_page_is_for_anybody(app: LiveApp) -> None:
    page = app.client().get("/lab")
    assert page.status_code == 200
    for name in ("plain", "sse", "ndjson", "ws", "durable"):
        assert f'data-lane="{name}"' in page.text


def test_five_ways_to_ask_are_one_run(gated: LiveApp, door: Door, dora: Chatter) -> None:
    """What the lab does: the same message and run over every transport, at once."""
    chat_id = dora.create_chat()
    asked = run_input("five", message_id="m-five", run_id="five")

    def ask(transport: Transport) -> str:
        return text_of(transport.run(dora.http, chat_id, asked))

    with ThreadPoolExecutor() as pool, open_socket(dora, id=chat_id) as socket:
        replies = [pool.submit(ask, transport) for transport in (*TRANSPORTS, *TRANSPORTS)]
        socket.send(asked)
        durable = dora.send(chat_id, "five", message_id="m-five", mode="", runId="five")
        assert durable.status_code == 202
        eventually(lambda: gated.services.slots.taken == 5, what="four replies and a socket")
        door.open(gated, "five")
        texts = [text_of(socket.until_end_of("five")), *(reply.result(20) for reply in replies)]
    assert texts == ["five: done"] * 5
    assert [message["role"] for message in dora.messages(chat_id)] == ["user", "assistant"]


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda t: t.name)
def test_a_reply_is_broken_off_and_gone_on_with(
    gated: LiveApp, door: Door, dora: Chatter, transport: Transport
) -> None:
    chat_id, name = dora.create_chat(), transport.name
    asked = run_input(f"cut {name}", run_id=f"cut-{name}")
    with transport.post(dora.http, chat_id, asked) as reply:
        events = reply.read()
        while text_of(reply.events) != f"cut {name}: ":
            next(events)
        assert cut(dora, chat_id) == 1
        with pytest.raises(httpx.RemoteProtocolError):
            list(events)
    door.open(gated, f"cut {name}")
    rest = transport.run(dora.http, chat_id, asked, seen=reply.events[-1][0])
    whole = [chunk for _, chunk in (*reply.events, *rest)]
    assert whole == run_in(log_of(dora.http, chat_id), f"cut-{name}")
    assert cut(dora, chat_id) == 0, "nothing is open any more"


def test_a_socket_is_dropped_without_a_closing_handshake(gated: LiveApp, door: Door, dora: Chatter) -> None:
    chat_id = dora.create_chat()
    with open_socket(dora, id=chat_id) as socket:
        socket.send(run_input("cut ws", run_id="cut-ws"))
        while text_of(socket.events) != "cut ws: ":
            socket.next()
        assert cut(dora, chat_id) == 1
        assert socket.closed() == (1006, "")
    door.open(gated, "cut ws")
    with open_socket(dora, id=chat_id, runId="cut-ws", offset=socket.events[-1][0]) as again:
        again.closed()
    assert text_of([*socket.events, *again.events]) == "cut ws: done"


def test_the_durable_stream_is_broken_off(dora: Chatter) -> None:
    chat_id = dora.create_chat()
    events = follow(dora.http, "/api/chat-stream", id=chat_id, offset="-1", live="sse")
    while next(events).event != "control":
        pass
    assert cut(dora, chat_id) == 1
    with pytest.raises(httpx.RemoteProtocolError):
        list(events)


def test_nobody_elses_connections_are_cut(gated: LiveApp, dora: Chatter) -> None:
    chat_id, other_chat = dora.create_chat(), dora.create_chat()
    guest = dora.invited(chat_id, "chat")
    stranger = Chatter(gated)
    with open_socket(dora, id=chat_id) as mine, open_socket(dora, id=other_chat) as elsewhere:
        assert cut(guest, chat_id) == 0
        refused = stranger.http.post("/api/lab/cut", json={"id": chat_id})
        assert refused.status_code == 404
        assert cut(dora, chat_id) == 1
        assert mine.closed() == (1006, "")
        elsewhere.send({"type": "ping"})
        assert elsewhere.next() == {"type": "pong"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Sec-Fetch-Site": "cross-site"}, 403), ({"Origin": "https://elsewhere.example"}, 403)],
)
def test_another_site_cuts_nothing(dora: Chatter, headers: dict[str, str], status: int) -> None:
    chat_id = dora.create_chat()
    with open_socket(dora, id=chat_id) as socket:
        reply = dora.http.post("/api/lab/cut", json={"id": chat_id}, headers=headers)
        assert reply.status_code == status
        socket.send({"type": "ping"})
        assert socket.next() == {"type": "pong"}


@pytest.mark.parametrize("body", [{}, {"id": 5}, {"id": ["x"]}, []])
def test_a_cut_names_a_chat(dora: Chatter, body: object) -> None:
    assert dora.http.post("/api/lab/cut", json=body).status_code == 400
