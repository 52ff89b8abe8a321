"""Sending, reading and stopping over HTTP."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.live_app import Chatter, LiveApp
from tests.support.waiting import eventually
from webapp.agents.base import AgentTurn
from webapp.agents.pieces import Piece
from webapp.agents.registry import OwnAgent
from webapp.chat.runs import RunLimits
from webapp.streams.clients.base import AppendReceipt, StreamsUnavailable
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.store.memory import MemoryStore


def texts(chatter: Chatter, chat_id: str) -> list[tuple[str, str]]:
    return [
        (message["role"], "".join(part.get("content", "") for part in message["parts"]))
        for message in chatter.messages(chat_id)
    ]


@pytest.mark.converge
def test_a_message_is_stored_and_answered(ana: Chatter) -> None:
    chat_id = ana.create_chat(title="Greetings")
    reply = ana.send(chat_id, "hello there", message_id="m-1")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-run-id"]
    assert texts(ana, chat_id) == [("user", "hello there"), ("assistant", "Echo: hello there")]
    user, agent = ana.messages(chat_id)
    assert user["id"] == "m-1"
    assert agent["metadata"]["runId"] == reply.headers["x-run-id"]


@pytest.mark.converge
def test_without_await_the_reply_comes_at_once(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    reply = ana.send(chat_id, "quick", mode="")
    assert (reply.status_code, reply.content) == (202, b"")
    ana.app.run(lambda services: services.supervisor.wait(reply.headers["x-run-id"]))
    assert texts(ana, chat_id)[-1] == ("assistant", "Echo: quick")


@pytest.mark.converge
@pytest.mark.parametrize(
    "message",
    [
        {"id": "m", "role": "user", "parts": [{"type": "text", "content": "same"}]},
        {"id": "m", "role": "user", "content": "same"},
    ],
    ids=["UIMessage", "ModelMessage"],
)
def test_the_durable_transports_body(ana: Chatter, message: dict[str, object]) -> None:
    chat_id = ana.create_chat()
    history = [{"id": "x", "role": "assistant", "parts": [{"type": "text", "content": "never said"}]}]
    body = {"messages": [*history, message], "data": {"model": "any"}}
    assert ana.http.post(f"/api/chat?id={chat_id}&mode=await", json=body).status_code == 200
    assert texts(ana, chat_id) == [("user", "same"), ("assistant", "Echo: same")]


def test_the_ag_ui_body(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    body = {
        "threadId": chat_id,
        "runId": "run-of-mine",
        "state": {},
        "messages": [{"id": "m", "role": "user", "content": "ag-ui"}],
        "tools": [],
        "context": [],
        "forwardedProps": {"a": 1},
    }
    reply = ana.http.post(f"/api/chat?id={chat_id}&mode=await", json=body)
    assert (reply.status_code, reply.headers["x-run-id"]) == (200, "run-of-mine")
    assert texts(ana, chat_id)[-1] == ("assistant", "Echo: ag-ui")


@pytest.mark.converge
@pytest.mark.parametrize(("mode", "count", "status"), [("await", 10, 200), ("", 20, 202)])
def test_equal_posts_at_once_are_one_message(ana: Chatter, mode: str, count: int, status: int) -> None:
    chat_id = ana.create_chat()
    with ThreadPoolExecutor(count) as pool:
        replies = list(
            pool.map(lambda _: ana.send(chat_id, "once", message_id="one", mode=mode), range(count))
        )
    assert {(reply.status_code, reply.content) for reply in replies} == {(status, b"")}
    (run_id,) = {reply.headers["x-run-id"] for reply in replies}
    ana.app.run(lambda services: services.supervisor.wait(run_id))
    assert texts(ana, chat_id) == [("user", "once"), ("assistant", "Echo: once")]


def test_a_request_whose_reply_was_lost_is_the_same_when_sent_again(
    ana: Chatter, start_proxy: Callable[[int], FaultProxy]
) -> None:
    chat_id = ana.create_chat()
    proxy = start_proxy(int(ana.app.url.rpartition(":")[2]))
    proxy.cut_after(1)
    body = {"messages": [{"id": "one", "role": "user", "content": "once"}]}
    with pytest.raises(httpx.TransportError):
        ana.http.post(f"{proxy.url}/api/chat?id={chat_id}", json=body)
    again = ana.http.post(f"{proxy.url}/api/chat?id={chat_id}", json=body)
    assert again.status_code == 202
    ana.app.run(lambda services: services.supervisor.wait(again.headers["x-run-id"]))
    assert texts(ana, chat_id) == [("user", "once"), ("assistant", "Echo: once")]


@pytest.mark.converge
def test_the_same_id_with_other_text_is_a_conflict(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "first", message_id="taken")
    reply = ana.send(chat_id, "second", message_id="taken")
    assert reply.status_code == 409
    assert set(reply.json()) == {"error", "code"}
    assert len(ana.messages(chat_id)) == 2


@pytest.mark.converge
def test_reading_on_from_a_snapshot_misses_and_repeats_nothing(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "before")
    snapshot = ana.http.get(f"/api/chats/{chat_id}/snapshot").json()
    ana.send(chat_id, "after")
    rest = ana.http.get("/api/chat-stream", params={"id": chat_id, "offset": snapshot["offset"]})
    assert rest.status_code == 200
    assert rest.headers["content-type"] == "application/json"
    assert rest.headers["cache-control"] == "private, no-cache"
    said = "".join(event.get("delta", "") for event in rest.json())
    assert said == "afterEcho: after"
    assert (
        rest.headers["stream-next-offset"] == ana.http.get(f"/api/chats/{chat_id}/snapshot").json()["offset"]
    )


@pytest.mark.converge
def test_an_unchanged_catch_up_is_not_sent_again(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "x")
    first = ana.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"})
    again = ana.http.get(
        "/api/chat-stream",
        params={"id": chat_id, "offset": "-1"},
        headers={"If-None-Match": first.headers["etag"]},
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.converge
def test_the_live_stream_says_first_where_it_is(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "x")
    offset = ana.http.get(f"/api/chats/{chat_id}/snapshot").json()["offset"]
    query = {"id": chat_id, "offset": offset, "live": "sse"}
    with ana.http.stream("GET", "/api/chat-stream", params=query) as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        assert reply.headers["x-accel-buffering"] == "no"
        assert reply.headers["cache-control"] == "no-store"
        first = next(reply.iter_raw())
    assert first.startswith(b"event: control\ndata:{")
    assert offset.encode() in first


@pytest.mark.converge
def test_a_long_poll_waits_for_the_next_message(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "before")
    offset = ana.http.get(f"/api/chats/{chat_id}/snapshot").json()["offset"]
    query = {"id": chat_id, "offset": offset, "live": "long-poll"}
    with ThreadPoolExecutor(1) as pool:
        polling = pool.submit(ana.http.get, "/api/chat-stream", params=query)
        eventually(lambda: ana.app.services.slots.taken == 1, what="the poll is waiting")
        ana.send(chat_id, "after", message_id="m-2")
        reply = polling.result()
    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["stream-cursor"]
    first = reply.json()[0]
    assert (first["type"], first["messageId"]) == ("TEXT_MESSAGE_START", "m-2")
    again = ana.http.get(
        "/api/chat-stream", params={"id": chat_id, "offset": reply.headers["stream-next-offset"]}
    )
    told = reply.json() + again.json()
    assert "".join(event.get("delta", "") for event in told) == "afterEcho: after"


@pytest.mark.converge
def test_head_describes_the_stream(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    reply = ana.http.head("/api/chat-stream", params={"id": chat_id})
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["stream-next-offset"]


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory, upstream: Mapping[str, str]) -> Iterator[LiveApp]:
    """An app whose agent goes on until it is stopped."""

    async def endless(turn: AgentTurn) -> AsyncIterator[Piece]:
        while True:
            yield "tick "
            await asyncio.sleep(0.01)

    agent = OwnAgent(id="endless", name="Endless", run=endless)
    env = {**upstream, "DURABLE_CHAT_RUN_GRACE": "0.1"}
    with LiveApp(tmp_path_factory.mktemp("talkative"), agent=agent, env=env) as live:
        yield live


@pytest.mark.converge
def test_whoever_takes_part_stops_an_answer_once(talkative: LiveApp) -> None:
    owner = Chatter(talkative)
    chat_id = owner.create_chat()
    run_id = owner.send(chat_id, "go on", mode="").headers["x-run-id"]
    guest, viewer = owner.invited(chat_id, "chat"), owner.invited(chat_id, "view")
    eventually(lambda: len(owner.messages(chat_id)) == 2)

    body = {"id": chat_id, "runId": run_id}
    assert viewer.http.post("/api/chat/stop", json=body).status_code == 403
    other_chat = {"id": guest.create_chat(), "runId": run_id}
    assert guest.http.post("/api/chat/stop", json=other_chat).json() == {"stopped": False}
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda who: who.http.post("/api/chat/stop", json=body), (owner, guest)))

    told = [(reply.status_code, reply.json()["stopped"]) for reply in replies]
    assert sorted(told) == [(200, False), (202, True)]
    snapshot = viewer.http.get(f"/api/chats/{chat_id}/snapshot").json()
    assert snapshot["activeRuns"] == []
    assert snapshot["runs"][run_id]["status"] == "stopped"
    assert snapshot["messages"][1]["parts"][0]["content"].startswith("tick ")


def test_too_many_answers_at_once_are_refused_with_a_time_to_come_back(talkative: LiveApp) -> None:
    chatter = Chatter(talkative)
    chat_id = chatter.create_chat()
    most = RunLimits().max_active_per_participant
    sent = [chatter.send(chat_id, "x", message_id=f"m{number}", mode="") for number in range(most + 1)]
    assert {reply.status_code for reply in sent[:-1]} == {202}
    refused = sent[-1]
    assert (refused.status_code, refused.json()["code"]) == (429, "limit-reached")
    assert int(refused.headers["retry-after"]) >= 1
    assert len([message for message in chatter.messages(chat_id) if message["role"] == "user"]) == most


def test_too_many_answers_within_an_hour_are_refused_with_a_time_to_come_back(tmp_path: Path) -> None:
    with LiveApp(tmp_path, env={"DURABLE_CHAT_RUNS_PER_PERSON": "2"}) as app:
        chatter = Chatter(app)
        chat_id = chatter.create_chat()
        sent = [chatter.send(chat_id, "x", message_id=f"m{number}") for number in range(3)]
        assert [reply.status_code for reply in sent] == [200, 200, 429]
        assert sent[-1].json()["code"] == "limit-reached"
        assert 3500 < int(sent[-1].headers["retry-after"]) <= 3600


class AbsentStreams(LocalStreamClient):
    """A stream server that can be away."""

    away = False

    def __init__(self) -> None:
        super().__init__(Engine(MemoryStore()))

    async def append(self, *args: Any, **options: Any) -> AppendReceipt:
        if self.away:
            raise StreamsUnavailable("not now", retry_after=0.01)
        return await super().append(*args, **options)


def test_what_cannot_be_stored_is_not_accepted_and_can_be_sent_again(tmp_path: Path) -> None:
    streams = AbsentStreams()
    with LiveApp(tmp_path, streams=lambda: streams) as app:
        chatter = Chatter(app)
        chat_id = chatter.create_chat()
        streams.away = True
        refused = chatter.send(chat_id, "hello", message_id="m", mode="")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert chatter.messages(chat_id) == []
        streams.away = False
        assert chatter.send(chat_id, "hello", message_id="m").status_code == 200
        assert texts(chatter, chat_id) == [("user", "hello"), ("assistant", "Echo: hello")]


def test_a_catalog_that_fails_is_a_refusal_too(tmp_path: Path) -> None:
    with LiveApp(tmp_path) as app:
        chatter = Chatter(app)
        chat_id = chatter.create_chat()
        with sqlite3.connect(tmp_path / "catalog.db") as raw:
            raw.execute("ALTER TABLE runs RENAME TO gone")
        refused = chatter.send(chat_id, "hello", message_id="m")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        with sqlite3.connect(tmp_path / "catalog.db") as raw:
            raw.execute("ALTER TABLE gone RENAME TO runs")
        raw.close()
        assert chatter.send(chat_id, "hello", message_id="m").status_code == 200


@pytest.mark.parametrize("message_id", ["R-1", "R:1", "R.1", "R1"])
def test_no_message_of_a_person_can_take_an_answers_place(ana: Chatter, message_id: str) -> None:
    chat_id = ana.create_chat()
    run_id = f"{chat_id[:20]}R"
    ana.send(chat_id, "hello", message_id=message_id.replace("R", run_id), runId=run_id)
    assert texts(ana, chat_id) == [("user", "hello"), ("assistant", "Echo: hello")]


def test_stopping_what_is_over_is_no_error(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "x")
    reply = ana.http.post("/api/chat/stop", json={"id": chat_id})
    assert (reply.status_code, reply.json()) == (200, {"stopped": False})


@pytest.mark.converge
def test_chats_are_listed_for_those_who_are_in_them(ana: Chatter, ben: Chatter) -> None:
    chat_id = ana.create_chat(title="Ours")
    assert ben.http.get("/api/chats").json() == {"chats": []}
    guest = ana.invited(chat_id, "view")
    (listed,) = guest.http.get("/api/chats").json()["chats"]
    assert (listed["id"], listed["title"], listed["url"]) == (chat_id, "Ours", f"/chat/{chat_id}")
    assert listed["createdAt"] <= listed["updatedAt"]


def test_putting_a_chat_twice_creates_it_once(ana: Chatter, ben: Chatter) -> None:
    first = ana.http.put("/api/chats/my-own-id-1", json={})
    again = ana.http.put("/api/chats/my-own-id-1", json={})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["token"]
    assert "token" not in again.json()
    assert first.json()["url"] == again.json()["url"] == f"{ana.app.url}/chat/my-own-id-1"
    assert ben.http.put("/api/chats/my-own-id-1", json={}).status_code == 404


@pytest.mark.converge
def test_a_bearer_token_speaks_for_its_owner_in_one_chat(app: LiveApp, ana: Chatter) -> None:
    created = ana.http.post("/api/chats", json={}).json()
    other = ana.create_chat()
    program = Chatter(app, token=created["token"])
    assert program.send(created["id"], "beep").status_code == 200
    assert "set-cookie" not in program.http.get("/api/chats").headers
    assert [chat["id"] for chat in program.http.get("/api/chats").json()["chats"]] == [created["id"]]
    assert program.send(other, "beep").status_code == 404
    assert other not in program.http.get("/").text + program.http.get(f"/chat/{created['id']}").text
    assert program.http.post("/api/chats", json={}).status_code == 403
    assert ana.messages(created["id"])[0]["metadata"] == program.messages(created["id"])[0]["metadata"]


def test_a_wrong_token_is_refused_even_with_a_cookie(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    reply = ana.http.get(f"/api/chats/{chat_id}/snapshot", headers={"Authorization": "Bearer nonsense"})
    assert (reply.status_code, reply.json()["code"]) == (401, "unauthorised")
    assert reply.headers["www-authenticate"] == "Bearer"
