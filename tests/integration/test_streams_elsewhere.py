"""The app on a stream server of another process: restarts of either, and tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.live_app import Chatter, LiveApp
from tests.support.onlooker import Onlooker
from tests.support.server import ServerProcess
from tests.support.waiting import eventually
from webapp.agents.scripted import DemoAgent

READ, WRITE = "read-token-of-the-streams", "write-token-of-the-streams"


@pytest.mark.slow
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
