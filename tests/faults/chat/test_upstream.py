"""The stream server under a running app is slow, cuts off, hangs, refuses or forgets: the chat goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.live_app import Chatter, LiveApp
from tests.support.node_streams import NodeStreamServer
from tests.support.onlooker import Onlooker
from tests.support.server import Process, ServerProcess
from tests.support.stream_server import url_of
from tests.support.waiting import eventually
from webapp.agents.scripted import DemoAgent
from webapp.streams.clients.http import HttpStreamClient, Patience
from webapp.streams.clients.retry import Retry
from webapp.streams.limits import StreamLimits

HASTY = Patience(
    retry=Retry(attempts=3, base=0.02, cap=0.1), reply=0.5, reconnect=Retry(base=0.02, cap=0.2), brief=0.0
)
"""Of a client that finds out soon that a server hangs."""


def slow(proxy: FaultProxy) -> None:
    proxy.delay = 0.05


def cutting(proxy: FaultProxy) -> None:
    """In the middle of heads, frames and pages, one connection after the other."""
    for count in range(60, 1500, 60):
        proxy.cut_after(count)
    for _ in range(12):
        accepted = proxy.accepted
        proxy.cut()
        eventually(lambda accepted=accepted: proxy.accepted > accepted)  # type: ignore[misc]


def hanging(proxy: FaultProxy) -> None:
    accepted = proxy.accepted
    proxy.stall()
    eventually(lambda: proxy.accepted > accepted + 3, what="further tries")
    proxy.flow()


@pytest.fixture
def proxy(start_server: Callable[..., ServerProcess], start_proxy: Callable[[int], FaultProxy]) -> FaultProxy:
    """In front of a stream server."""
    return start_proxy(start_server("streams", command="streams").port)


@pytest.fixture
def app(proxy: FaultProxy, tmp_path: Path) -> Iterator[LiveApp]:
    def streams() -> HttpStreamClient:
        return HttpStreamClient(url_of(proxy.port), patience=HASTY, limits=StreamLimits(sse_lifetime=1))

    with LiveApp(tmp_path / "app", streams=streams, agent=DemoAgent(long_word_delay=0.03)) as app:
        yield app
        app.run(lambda services: services.streams.aclose())


@pytest.mark.parametrize("fault", [slow, cutting, hanging])
def test_an_answer_and_a_message_come_through(
    app: LiveApp, proxy: FaultProxy, fault: Callable[[FaultProxy], None]
) -> None:
    ana = Chatter(app)
    chat_id = ana.create_chat()
    with Onlooker(ana, chat_id) as onlooker:
        ana.send(chat_id, "/long 80", mode="", message_id="m-1")
        eventually(lambda: len(onlooker.text.split()) > 10)
        fault(proxy)
        # Whoever is told that it was not stored sends the same again.
        eventually(
            lambda: ana.send(chat_id, "and hello", mode="", message_id="m-2").status_code == 202,
            what="the message to be accepted",
        )
        eventually(lambda: onlooker.count("RUN_FINISHED") == 2, what="both answers")
    said = ana.messages(chat_id)
    assert [message["role"] for message in said] == ["user", "assistant"] * 2
    assert [message["id"] for message in said[::2]] == ["m-1", "m-2"]
    assert onlooker.count("RUN_STARTED") == 2
    with Onlooker(ana, chat_id) as replayed:
        eventually(lambda: len(replayed.events) >= len(onlooker.events))
    assert replayed.events == onlooker.events


@pytest.mark.parametrize("status", [429, 502, 503])
def test_refusals_are_waited_out_and_in_the_end_told(tmp_path: Path, status: int) -> None:
    agent = DemoAgent(long_word_delay=0.03)
    with NodeStreamServer(tmp_path / "streams") as streams:
        env = {"DURABLE_CHAT_STREAMS_URL": streams.streams_url, "DURABLE_CHAT_SSE_LIFETIME": "1"}
        with LiveApp(tmp_path / "app", env=env, agent=agent) as app:
            ana = Chatter(app)
            chat_id = ana.create_chat()
            snapshot = f"/api/chats/{chat_id}/snapshot"
            path = f"chats/{chat_id}"
            with Onlooker(ana, chat_id) as onlooker:
                ana.send(chat_id, "/long 50", mode="")
                eventually(lambda: len(onlooker.text.split()) > 5)
                streams.inject(path, status=status, retryAfter=1, count=1, method="POST")
                eventually(lambda: onlooker.count("RUN_FINISHED") == 1)
            told = [message["parts"][0]["content"] for message in ana.messages(chat_id)]
            assert onlooker.text == "".join(told)
            assert onlooker.count("RUN_STARTED") == 1

            streams.inject(path, status=status, retryAfter=1, count=1, method="GET")
            waited = ana.http.get(snapshot)
            assert waited.status_code == 200
            assert waited.elapsed.total_seconds() >= 1

            streams.inject(path, status=status, retryAfter=7, count=1000)
            for refused in (ana.http.get(snapshot), ana.send(chat_id, "hello", message_id="m-2")):
                assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
                assert refused.headers["retry-after"] == "7"
            streams.restart()  # and forgets that it was to fail
            assert ana.send(chat_id, "hello", message_id="m-2").status_code == 200
            assert [message["role"] for message in ana.messages(chat_id)] == ["user", "assistant"] * 2


@pytest.mark.parametrize(
    "forgetful",
    [
        lambda data_dir: ServerProcess(data_dir, command="streams", args=("--store", "memory")),
        lambda data_dir: NodeStreamServer(data_dir, memory=True),
    ],
    ids=["durable-chat", "node"],
)
def test_a_conversation_that_the_stream_server_forgot_begins_again(
    tmp_path: Path, forgetful: Callable[[Path], Process]
) -> None:
    """It is nowhere else: what is not in the stream is not shown, and the chat can be used."""
    with forgetful(tmp_path / "streams") as streams:
        env = {"DURABLE_CHAT_STREAMS_URL": streams.streams_url, "DURABLE_CHAT_SSE_LIFETIME": "1"}
        with LiveApp(tmp_path / "app", env=env) as app:
            ana = Chatter(app)
            chat_id = ana.create_chat()
            ana.send(chat_id, "before")
            offset = ana.http.get(f"/api/chats/{chat_id}/snapshot").json()["offset"]
            streams.restart()
            query = {"id": chat_id, "offset": offset}
            lost = ana.http.get("/api/chat-stream", params=query)
            assert lost.status_code in (400, 410), (
                "whoever has read of it is not told of another as if it went on"
            )
            assert ana.http.get(f"/chat/{chat_id}").status_code == 200
            assert ana.messages(chat_id) == []
            assert ana.send(chat_id, "after", message_id="m-2").status_code == 200
            with Onlooker(ana, chat_id) as onlooker:
                eventually(lambda: onlooker.text == "afterEcho: after")
            assert [message["parts"][0]["content"] for message in ana.messages(chat_id)] == [
                "after",
                "Echo: after",
            ]
