"""Through a real nginx: what the documentation says of proxies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.support.chat_socket import open_socket
from tests.support.live_app import Chatter, LiveApp
from tests.support.nginx import HOLDS_BACK, Nginx
from tests.support.run_transports import TRANSPORTS, Door, Transport, run_input
from tests.support.sse import follow

HOUR = "3600"


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.fixture(scope="module")
def app(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    """It never pings, so that nothing but what is said can push bytes through a buffer."""
    with LiveApp(
        tmp_path_factory.mktemp("data"), env={"DURABLE_CHAT_PING_INTERVAL": HOUR}, agent=door
    ) as live:
        yield live


@pytest.fixture(scope="module", params=["documented", "bare"])
def front(
    request: pytest.FixtureRequest, app: LiveApp, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nginx]:
    """nginx as we say, and as it is when nobody has said anything: it buffers."""
    home = tmp_path_factory.mktemp("nginx") / request.param
    with Nginx(home, httpx.URL(app.url).port or 0, bare=request.param == "bare") as nginx:
        yield nginx


@pytest.fixture
def ana(app: LiveApp, front: Nginx) -> Iterator[Chatter]:
    ana = Chatter(app)
    ana.http.base_url = httpx.URL(front.url)
    return ana


LIVE = {
    "chat-stream": lambda chat: ("/api/chat-stream", {"id": chat, "offset": "-1", "live": "sse"}),
    "live": lambda chat: ("/api/live", {"chats": f"{chat}:-1"}),
}


@pytest.mark.parametrize("route", LIVE)
def test_a_reader_has_the_first_word_while_the_rest_is_not_written(
    ana: Chatter, app: LiveApp, door: Door, route: str, front: Nginx
) -> None:
    """AC-28, without a clock: the agent goes on when its first word has arrived."""
    text = f"{route} {front.port}"
    chat = ana.create_chat()
    path, params = LIVE[route](chat)
    heard = ""
    for event in follow(ana.http, path, **params):
        if not heard:
            assert ana.send(chat, text, mode="").status_code == 202
        heard += event.data
        if f"{text}: " in heard:
            door.open(app, text)
        if "done" in heard:
            break


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda each: each.name)
def test_a_reply_has_the_first_word_while_the_rest_is_not_written(
    ana: Chatter, app: LiveApp, door: Door, transport: Transport, front: Nginx
) -> None:
    text = f"{transport.name} {front.port}"
    with transport.post(ana.http, ana.create_chat(), run_input(text)) as reply:
        for _, chunk in reply.read():
            if chunk.get("delta") == f"{text}: ":
                door.open(app, text)
        assert reply.events[-1][1]["type"] == "RUN_FINISHED"


def test_a_proxy_that_ignores_the_header_holds_it_back(app: LiveApp, door: Door, tmp_path: Path) -> None:
    """So the tests above can fail, and a page has a reason to ask otherwise (playwright/test_nginx.py)."""
    with Nginx(tmp_path / "nginx", httpx.URL(app.url).port or 0, lines=HOLDS_BACK) as nginx:
        ana = Chatter(app)
        ana.http.base_url = httpx.URL(nginx.url)
        chat = ana.create_chat()
        path, params = LIVE["chat-stream"](chat)
        heard = b""
        with (
            suppress(httpx.ReadTimeout),
            ana.http.stream("GET", path, params=params, timeout=httpx.Timeout(10, read=1)) as reply,
        ):
            assert ana.send(chat, "held back", mode="").status_code == 202
            for data in reply.iter_raw():
                heard += data
        assert b"held back: " not in heard
        door.open(app, "held back")


def test_the_documented_proxy_lets_long_histories_and_sockets_through(
    app: LiveApp, door: Door, tmp_path: Path
) -> None:
    with Nginx(tmp_path / "nginx", httpx.URL(app.url).port or 0) as nginx:
        ana = Chatter(app)
        ana.http.base_url = httpx.URL(nginx.url)
        chat = ana.create_chat()
        door.open(app, "history")
        old = {"id": "old", "role": "assistant", "parts": [{"type": "text", "content": "x" * 6_000_000}]}
        new = {"id": "new", "role": "user", "parts": [{"type": "text", "content": "history"}]}
        reply = ana.http.post(f"/api/chat?id={chat}&mode=await", json={"messages": [old, new]})
        assert reply.status_code == 200, reply.text
        assert json.loads(ana.http.get(f"/api/chats/{chat}/snapshot").content)["messages"][1]["parts"]
        with open_socket(ana, id=chat) as socket:
            door.open(app, "by socket")
            socket.send(run_input("by socket", message_id="m2", run_id="r2"))
            assert socket.until_end_of("r2")
