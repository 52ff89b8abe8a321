"""The app on a stream server of another process: restarts of either, tokens, and two apps on one server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.chat_socket import open_socket
from tests.support.live_app import Chatter, LiveApp
from tests.support.onlooker import Onlooker
from tests.support.run_transports import (
    TRANSPORTS,
    Door,
    Transport,
    log_of,
    run_in,
    run_input,
    text_of,
)
from tests.support.server import ServerProcess
from tests.support.waiting import eventually
from webapp.agents.scripted import DemoAgent

READ, WRITE = "read-token-of-the-streams", "write-token-of-the-streams"
SECRET = "one-secret-for-both-of-them"


def test_the_stream_server_dies_and_comes_back_in_the_middle_of_an_answer(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    streams = start_server("streams", command="streams")
    env = {"DURABLE_CHAT_STREAMS_URL": streams.streams_url, "DURABLE_CHAT_SSE_LIFETIME": "1"}
    agent = DemoAgent(long_word_delay=0.02)
    with LiveApp(tmp_path / "app", env=env, agent=agent) as app:
        ana = Chatter(app)
        chat_id = ana.create_chat()
        with Onlooker(ana, chat_id) as onlooker:
            reply = ana.send(chat_id, "/long 60", mode="")
            for words in (5, 25):
                eventually(lambda words=words: len(onlooker.text.split()) > words)  # type: ignore[misc]
                streams.restart()
            app.run(lambda services: services.supervisor.wait(reply.headers["x-run-id"]))
            eventually(lambda: onlooker.events[-1]["type"] == "RUN_FINISHED")
        told = [message["parts"][0]["content"] for message in ana.messages(chat_id)]
        assert onlooker.text == "".join(told)
        assert len(told[1].split()) >= 60
        assert onlooker.count("RUN_STARTED") == 1


def test_without_its_stream_server_the_app_says_so_and_recovers(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    streams = start_server("streams", command="streams")
    with LiveApp(tmp_path / "app", env={"DURABLE_CHAT_STREAMS_URL": streams.streams_url}) as app:
        ana = Chatter(app)
        chat_id = ana.create_chat()
        ana.send(chat_id, "before", message_id="m-1")
        streams.kill9()
        refused = ana.send(chat_id, "during", message_id="m-2")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"]
        assert ana.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"}).status_code == 503
        streams.start()
        assert ana.send(chat_id, "during", message_id="m-2").status_code == 200
        assert [message["id"] for message in ana.messages(chat_id)][::2] == ["m-1", "m-2"]


def test_an_app_that_starts_before_its_streams(tmp_path: Path) -> None:
    streams = ServerProcess(tmp_path / "streams", command="streams")
    with LiveApp(tmp_path / "app", env={"DURABLE_CHAT_STREAMS_URL": streams.streams_url}) as app, streams:
        ana = Chatter(app)
        chat_id = ana.create_chat()
        assert ana.send(chat_id, "hello").status_code == 200
        assert not list((tmp_path / "app").glob("streams*"))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[LiveApp]:
    """A stream server that wants tokens."""
    env = {"DURABLE_CHAT_STREAMS_SERVER_READ_TOKEN": READ, "DURABLE_CHAT_STREAMS_SERVER_WRITE_TOKEN": WRITE}
    with LiveApp(tmp_path / "guarded", env=env) as app:
        yield app


def test_tokens_go_to_the_stream_server_and_nowhere_else(
    guarded: LiveApp, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    env = {
        "DURABLE_CHAT_STREAMS_URL": f"{guarded.url}/v1/stream",
        "DURABLE_CHAT_STREAMS_READ_TOKEN": READ,
        "DURABLE_CHAT_STREAMS_WRITE_TOKEN": WRITE,
    }
    seen = ""
    with LiveApp(tmp_path / "app", env=env) as app:
        ana = Chatter(app)
        chat_id = ana.create_chat()
        assert ana.send(chat_id, "hello").status_code == 200
        for path in (f"/chat/{chat_id}", f"/api/chat-stream?id={chat_id}&offset=-1", "/v1/stream/chats/x"):
            reply = ana.http.get(path)
            seen += reply.text + str(reply.headers)
        assert (
            app.client().get("/v1/stream/x", headers={"Authorization": f"Bearer {READ}"}).status_code == 404
        )
    with LiveApp(tmp_path / "wrong", env={**env, "DURABLE_CHAT_STREAMS_WRITE_TOKEN": READ}) as app:
        refused = Chatter(app).http.post("/api/chats", json={})
        assert refused.status_code == 503
        seen += refused.text + str(refused.headers)
    assert READ not in seen + caplog.text
    assert WRITE not in seen + caplog.text


def test_two_apps_on_one_stream_server(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    env = {
        "DURABLE_CHAT_STREAMS_URL": start_server("streams", command="streams").streams_url,
        "DURABLE_CHAT_DATABASE_URL": f"sqlite:///{tmp_path / 'catalog.db'}",
        "DURABLE_CHAT_SECRET_KEY": SECRET,
        "DURABLE_CHAT_SSE_LIFETIME": "1",
    }
    with LiveApp(tmp_path / "one", env=env) as one, LiveApp(tmp_path / "two", env=env) as two:
        ana = Chatter(one)
        chat_id = ana.create_chat()
        there = Chatter(two)
        there.http.cookies.clear()
        there.http.cookies.set("durable-chat", ana.http.cookies["durable-chat"])
        with Onlooker(there, chat_id) as onlooker:
            sent = ana.send(chat_id, "said to one", message_id="m-1")
            again = there.send(chat_id, "said to one", message_id="m-1")
            assert sent.status_code == again.status_code == 200
            assert sent.headers["x-run-id"] == again.headers["x-run-id"]
            assert there.send(chat_id, "said to two", message_id="m-2").status_code == 200
            expected = "said to oneEcho: said to onesaid to twoEcho: said to two"
            eventually(lambda: onlooker.text == expected)
        assert ana.messages(chat_id) == there.messages(chat_id)


@pytest.mark.parametrize("transport", TRANSPORTS, ids=lambda transport: transport.name)
def test_a_run_is_gone_on_with_in_another_process(
    start_server: Callable[..., ServerProcess], tmp_path: Path, transport: Transport
) -> None:
    env = {
        "DURABLE_CHAT_STREAMS_URL": start_server("streams", command="streams").streams_url,
        "DURABLE_CHAT_DATABASE_URL": f"sqlite:///{tmp_path / 'catalog.db'}",
        "DURABLE_CHAT_SECRET_KEY": SECRET,
    }
    door = Door()
    with (
        LiveApp(tmp_path / "one", env=env, agent=door) as one,
        LiveApp(tmp_path / "two", env=env, agent=Door()) as two,
    ):
        ana, there = Chatter(one), Chatter(two)
        there.http.cookies.clear()
        there.http.cookies.set("durable-chat", ana.http.cookies["durable-chat"])
        chat_id = ana.create_chat()
        body = run_input("begun here", run_id="far")
        with transport.post(ana.http, chat_id, body) as reply:
            begun = [next(framed) for framed in [reply.read()] for _ in range(3)]
        with (
            transport.post(there.http, chat_id, body, seen=begun[1][0]) as resumed,
            open_socket(there, runId="far", offset=begun[-1][0]) as socket,
        ):
            rest = resumed.read()
            assert next(rest) == begun[2]
            door.open(one, "begun here")
            whole = [*begun, *rest]
            assert socket.closed()[0] == 1000
            assert whole == begun + socket.events
        assert text_of(whole) == "begun here: done"
        assert [chunk for _, chunk in whole] == run_in(log_of(there.http, chat_id), "far")
        assert transport.join(there.http, "far") == transport.join(ana.http, "far") == whole
        assert transport.run(there.http, chat_id, body) == whole


def test_an_app_that_dies_leaves_its_runs_to_the_other(
    start_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    env = {
        "DURABLE_CHAT_STREAMS_URL": start_server("streams", command="streams").streams_url,
        "DURABLE_CHAT_DATABASE_URL": f"sqlite:///{tmp_path / 'catalog.db'}",
        "DURABLE_CHAT_SECRET_KEY": SECRET,
        "DURABLE_CHAT_SSE_LIFETIME": "1",
        "DURABLE_CHAT_LEASE": "1",
    }
    doomed = start_server("doomed", env={**env, "DURABLE_CHAT_DEMO_WORD_DELAY": "0.05"})
    with LiveApp(tmp_path / "heir", env=env) as heir:
        ana = Chatter(heir)
        chat_id = ana.create_chat()
        with httpx.Client(base_url=doomed.url, cookies=dict(ana.http.cookies), trust_env=False) as there:
            message = {"id": "m-1", "role": "user", "content": "/long 500"}
            sent = there.post("/api/chat", params={"id": chat_id}, json={"messages": [message]})
            assert sent.status_code == 202
        with Onlooker(ana, chat_id) as onlooker:
            eventually(lambda: len(onlooker.text.split()) > 10)
            doomed.kill9()
            eventually(lambda: onlooker.events[-1]["type"] == "RUN_ERROR")
        assert onlooker.events[-1]["code"] == "interrupted"
        assert onlooker.count("RUN_STARTED") == 1
