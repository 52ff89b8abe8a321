"""Runs as replies to one request: SSE and NDJSON over the same acceptance and the same stream."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter

from tests.support.chat_socket import open_socket
from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import (
    TRANSPORTS,
    Door,
    Transport,
    kinds_of,
    log_of,
    run_in,
    run_input,
    text_of,
)
from tests.support.server import ServerProcess
from tests.support.waiting import eventually
from webapp.agents.scripted import DemoAgent

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)


@pytest.fixture(params=TRANSPORTS, ids=lambda transport: transport.name)
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.param
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    agent = DemoAgent(word_delay=0.001, long_word_delay=0.01)
    with LiveApp(tmp_path_factory.mktemp("demo"), agent=agent) as live:
        yield live


def test_a_run_is_had_and_told_as_it_is_stored(ana: Chatter, transport: Transport) -> None:
    chat_id = ana.create_chat()
    run_id = f"told-{transport.name}"
    with transport.post(ana.http, chat_id, run_input("one two three", run_id=run_id)) as reply:
        headers = reply.response.headers
        found = reply.all()
    assert text_of(found) == "Echo: one two three"
    log = log_of(ana.http, chat_id)
    assert [chunk for _, chunk in found] == run_in(log, run_id)
    assert kinds_of(found)[0] == "RUN_STARTED"
    assert kinds_of(found)[-1] == "RUN_FINISHED"
    assert len({id for id, _ in found}) == len(found)
    assert [message["id"] for message in ana.messages(chat_id)] == ["m1", f"{run_id}~1"]
    expected = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}
    assert headers["content-type"] == expected[transport.name]
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-run-id"] == run_id


@pytest.mark.parametrize("text", ["hello", "/tool", "/think", "/fail", "/silent", "/approve"])
def test_every_event_is_ag_ui(demo: LiveApp, transport: Transport, text: str) -> None:
    chatter = Chatter(demo)
    chat_id = chatter.create_chat()
    found = transport.run(chatter.http, chat_id, run_input(text))
    for _, chunk in found:
        AG_UI.validate_python(chunk)
    assert [chunk for _, chunk in found] == run_in(log_of(chatter.http, chat_id), found[0][1]["runId"])
    assert kinds_of(found)[-1] == ("RUN_ERROR" if text == "/fail" else "RUN_FINISHED")


def test_every_place_in_a_run_can_be_gone_on_from(ana: Chatter, transport: Transport) -> None:
    chat_id = ana.create_chat()
    run_id = f"cut-{transport.name}"
    body = run_input("some words to be cut between", run_id=run_id)
    ana.send(chat_id, "before", message_id="m0")
    whole = transport.run(ana.http, chat_id, body)
    ana.send(chat_id, "after", message_id="m2")
    assert len(whole) >= 5
    for place, (seen, _) in enumerate(whole, 1):
        assert transport.run(ana.http, chat_id, body, seen=seen) == whole[place:]
        assert transport.join(ana.http, run_id, offset=seen, id=chat_id) == whole[place:]
    assert transport.join(ana.http, run_id) == whole
    assert transport.join(ana.http, run_id, threadId=chat_id) == whole
    assert [message["id"] for message in ana.messages(chat_id)][::2] == ["m0", "m1", "m2"]


def test_a_run_that_is_cut_off_anywhere_is_gone_on_with(
    demo: LiveApp, transport: Transport, rng: random.Random
) -> None:
    """While it is being written: every reply is dropped after some events and resumed after the last."""
    chatter = Chatter(demo)
    chat_id = chatter.create_chat()
    body = run_input("/long 80", run_id=f"dropped-{transport.name}")
    found: list[Any] = []
    replies = 0
    while not found or found[-1][1]["type"] != "RUN_FINISHED":
        replies += 1
        seen = found[-1][0] if found else None
        with transport.post(chatter.http, chat_id, body, seen=seen) as reply:
            assert reply.response.status_code == 200
            for _, framed in zip(range(rng.choice((1, 2, 4))), reply.read(), strict=False):
                found.append(framed)
    assert replies > 3
    assert [chunk for _, chunk in found] == run_in(log_of(chatter.http, chat_id), f"dropped-{transport.name}")


def test_the_same_request_again_is_the_same_run(ana: Chatter, transport: Transport) -> None:
    chat_id = ana.create_chat()
    body = run_input("once", run_id=f"same-{transport.name}")
    with ThreadPoolExecutor(5) as pool:
        replies = list(pool.map(lambda _: transport.run(ana.http, chat_id, body), range(5)))
    assert all(reply == replies[0] for reply in replies)
    assert len(ana.messages(chat_id)) == 2
    other = ana.http.post(transport.path, params={"id": chat_id}, json=run_input("other", run_id="fresh"))
    assert (other.status_code, other.json()["code"]) == (409, "message-id-used")
    used = run_input("two", message_id="m2", run_id=f"same-{transport.name}")
    refused = ana.http.post(transport.path, params={"id": chat_id}, json=used)
    assert (refused.status_code, refused.json()["code"]) == (409, "run-id-used")


def test_a_new_run_id_is_a_new_attempt_and_told_alone(ana: Chatter, transport: Transport) -> None:
    chat_id = ana.create_chat()
    first = transport.run(ana.http, chat_id, run_input("again", run_id=f"first-{transport.name}"))
    second = transport.run(ana.http, chat_id, run_input("again", run_id=f"second-{transport.name}"))
    assert text_of(first) == text_of(second) == "Echo: again"
    assert second[0][1]["metadata"]["attempt"] == 2
    assert {id for id, _ in first}.isdisjoint(id for id, _ in second)


def test_only_the_newest_message_is_believed(ana: Chatter, transport: Transport) -> None:
    chat_id = ana.create_chat()
    history = [
        {"id": "x", "role": "user", "content": "never said"},
        {"id": "y", "role": "assistant", "content": "nor that"},
        {"id": "z", "role": "reasoning", "content": "hm"},
        {"id": "m1", "role": "user", "content": [{"type": "text", "text": "said"}]},
    ]
    found = transport.run(ana.http, chat_id, run_input("", messages=history))
    assert text_of(found) == "Echo: said"
    assert ana.messages(chat_id)[0]["id"] == "m1"


def test_the_thread_names_the_chat_where_the_address_does_not(ana: Chatter, transport: Transport) -> None:
    chat_id, other = ana.create_chat(), ana.create_chat()
    found = transport.run(ana.http, "", run_input("by thread", threadId=chat_id))
    assert found[0][1]["threadId"] == chat_id
    found = transport.run(ana.http, other, run_input("by address", message_id="m2", threadId=chat_id))
    assert found[0][1]["threadId"] == other
    for thread in ({}, {"threadId": None}, {"threadId": "no-such-chat-at-all"}):
        body = run_input("nowhere") | thread
        if not thread:
            del body["threadId"]
        assert ana.http.post(transport.path, json=body).status_code == 404


def test_the_run_id_may_stand_in_the_header(ana: Chatter, transport: Transport) -> None:
    chat_id = ana.create_chat()
    headers = {"X-Run-Id": f"header-{transport.name}"}
    reply = ana.http.post(transport.path, params={"id": chat_id}, json=run_input("Hi"), headers=headers)
    assert reply.headers["x-run-id"] == f"header-{transport.name}"
    headers["X-Run-Id"] = "not an id"
    body = run_input("Hi", message_id="m2")
    refused = ana.http.post(transport.path, params={"id": chat_id}, json=body, headers=headers)
    assert refused.status_code == 400


def test_a_body_that_does_not_fit_says_where(ana: Chatter, transport: Transport) -> None:
    chat_id = ana.create_chat()
    for change, field in (
        ({"messages": [{"id": "m1", "content": "no role"}]}, "role"),
        ({"tools": [{"name": 5}]}, "tools[0].name"),
        ({"forwardedProps": "x"}, "forwardedProps"),
        ({"threadId": 5}, "threadId"),
    ):
        reply = ana.http.post(transport.path, params={"id": chat_id}, json=run_input("Hi") | change)
        assert (reply.status_code, reply.json()["code"]) == (400, "malformed")
        assert field in reply.json()["error"]
    assert ana.messages(chat_id) == []


def test_what_cannot_be_gone_on_with(ana: Chatter, ben: Chatter, transport: Transport) -> None:
    chat_id, elsewhere = ana.create_chat(), ana.create_chat()
    mine, other = f"mine-{transport.name}", f"other-{transport.name}"
    body = run_input("Hi", run_id=mine)
    seen, _ = transport.run(ana.http, chat_id, body)[1]
    ana.send(chat_id, "more", message_id="m2", runId=other)

    def resumed(body: dict[str, Any], seen: str, *, chat: str = "", who: Chatter = ana) -> httpx.Response:
        params, headers = {"id": chat or chat_id}, {"Last-Event-ID": seen}
        return who.http.post(transport.path, params=params, json=body, headers=headers)

    def joined(*, who: Chatter = ana, **query: str) -> int:
        return who.http.get(transport.path, params=query).status_code

    for wrong in ("", "5", "now", "0000000000000000_0000000000000000.1", f"{seen}.1", "x" * 400):
        assert resumed(body, wrong).json()["code"] == "invalid-offset"
        if wrong:
            assert joined(id=chat_id, runId=mine, offset=wrong) == 400
    assert resumed(run_input("Hi"), seen).status_code == 400  # which run?
    assert resumed(run_input("other", message_id="m3", run_id=mine), seen).status_code == 409
    assert resumed(run_input("Hi", run_id="unheard-of"), seen).status_code == 404
    assert resumed(body, seen, chat=elsewhere).status_code == 404
    assert resumed(body, seen, who=ben).status_code == 404
    assert joined(id=chat_id, runId="unheard-of", offset="-1") == 404
    assert joined(id=elsewhere, runId=mine, offset="-1") == 404
    assert joined(who=ben, id=chat_id, runId=mine, offset="-1") == 404
    assert joined(who=ben, runId=mine, offset="-1") == 404
    assert joined(runId="unheard-of") == 404
    assert len(ana.messages(chat_id)) == 4


def test_seeing_a_chat_is_enough_to_join_a_run_in_it(ana: Chatter, transport: Transport) -> None:
    chat_id = ana.create_chat()
    run_id = f"seen-{transport.name}"
    whole = transport.run(ana.http, chat_id, run_input("Hi", run_id=run_id))
    viewer = ana.invited(chat_id, "view")
    assert transport.join(viewer.http, run_id) == whole
    refused = viewer.http.post(transport.path, params={"id": chat_id}, json=run_input("Hi", message_id="m2"))
    assert refused.status_code == 403


def test_a_queued_run_is_waited_for_with_pings(
    gated: LiveApp, door: Door, dora: Chatter, transport: Transport
) -> None:
    chat_id = dora.create_chat()
    first, second = f"first {transport.name}", f"second {transport.name}"
    dora.send(chat_id, first, message_id="m0", mode="")
    with transport.post(dora.http, chat_id, run_input(second, run_id=f"queued-{transport.name}")) as reply:
        reading = ThreadPoolExecutor(1).submit(reply.all)
        eventually(lambda: reply.pings >= 3)
        assert reply.events == []
        door.open(gated, first)
        eventually(lambda: len(reply.events) >= 3)
        pings = reply.pings
        eventually(lambda: reply.pings >= pings + 3)
        door.open(gated, second)
        found = reading.result(20)
    assert text_of(found) == f"{second}: done"
    assert [chunk for _, chunk in found] == run_in(log_of(dora.http, chat_id), f"queued-{transport.name}")


def test_hanging_up_only_detaches(gated: LiveApp, door: Door, dora: Chatter, transport: Transport) -> None:
    chat_id = dora.create_chat()
    text = f"left {transport.name}"
    body = run_input(text, run_id=f"left-{transport.name}")
    with transport.post(dora.http, chat_id, body) as reply:
        seen = [next(framed) for framed in [reply.read()] for _ in range(2)]
    eventually(lambda: gated.services.slots.taken == 0)
    door.open(gated, text)
    gated.run(lambda services: services.supervisor.wait(f"left-{transport.name}"))
    assert text_of(seen + transport.run(dora.http, chat_id, body, seen=seen[-1][0])) == f"{text}: done"


def test_stopping_ends_the_reply(dora: Chatter, transport: Transport) -> None:
    chat_id = dora.create_chat()
    with transport.post(dora.http, chat_id, run_input(f"stopped {transport.name}")) as reply:
        events = reply.read()
        started = next(events)
        friend = dora.invited(chat_id, "chat")
        stop = {"id": chat_id, "runId": started[1]["runId"]}
        assert friend.http.post("/api/chat/stop", json=stop).status_code == 202
        found = [started, *events]
    assert found[-1][1]["outcome"] == {"type": "cancelled"}
    assert "run.stopped-by" in [chunk.get("name") for _, chunk in found]


def test_who_gets_no_slot_is_not_heard(
    gated: LiveApp, door: Door, dora: Chatter, transport: Transport
) -> None:
    chat_id = dora.create_chat()
    texts = [f"slot {number} {transport.name}" for number in range(4)]
    bodies = [run_input(text, message_id=f"m{number}") for number, text in enumerate(texts)]
    with (
        transport.post(dora.http, chat_id, bodies[0]) as first,
        transport.post(dora.http, chat_id, bodies[1]) as second,
        transport.post(dora.http, chat_id, bodies[2]) as third,
    ):
        assert {reply.response.status_code for reply in (first, second, third)} == {200}
        refused = dora.http.post(transport.path, params={"id": chat_id}, json=bodies[3])
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-readers")
        assert refused.headers["retry-after"]
        for text in texts:
            door.open(gated, text)
        assert [text_of(reply.all()) for reply in (first, second, third)] == [
            f"{text}: done" for text in texts[:3]
        ]
    assert {message["id"] for message in dora.messages(chat_id) if message["role"] == "user"} == {
        "m0", "m1", "m2",
    }  # fmt: skip
    eventually(lambda: gated.services.slots.taken == 0)


def test_what_a_client_asks_before_it_shows_a_chat(
    gated: LiveApp, door: Door, dora: Chatter, transport: Transport
) -> None:
    chat_id = dora.create_chat()
    text = f"shown {transport.name}"
    sent = dora.send(chat_id, text, mode="")
    run_id = sent.headers["x-run-id"]
    eventually(lambda: len(dora.messages(chat_id)) == 2)
    for query in ({"threadId": chat_id}, {"id": chat_id}):
        found = dora.http.get(transport.path, params=query).json()
        assert [message["role"] for message in found["messages"]] == ["user", "assistant"]
        assert found["activeRun"] == {"runId": run_id}
    door.open(gated, text)
    assert text_of(transport.join(dora.http, run_id)) == f"{text}: done"
    found = dora.http.get(transport.path, params={"id": chat_id}).json()
    assert (found["activeRun"], found["page"]) == (None, {"truncated": False})
    assert found["messages"] == dora.messages(chat_id)


def test_head_says_what_get_would(ana: Chatter, transport: Transport) -> None:
    chat_id = ana.create_chat()
    run_id = f"head-{transport.name}"
    transport.run(ana.http, chat_id, run_input("Hi", run_id=run_id))
    head = ana.http.head(transport.path, params={"id": chat_id, "runId": run_id})
    assert (head.status_code, head.content, head.headers["x-run-id"]) == (200, b"", run_id)


def test_a_guest_is_remembered_by_the_reply(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("open")
    with LiveApp(directory, env={"DURABLE_CHAT_ACCESS": "open"}) as app:
        guest = app.client()
        for number, transport in enumerate(TRANSPORTS):
            body = run_input("Hi", message_id=f"m{number}")
            assert text_of(transport.run(guest, "a-chat-nobody-made", body)) == "Echo: Hi"
        assert len(guest.cookies) == 1
        messages = guest.get("/api/chats/a-chat-nobody-made/snapshot").json()["messages"]
        assert len({message["metadata"]["participantId"] for message in messages[::2]}) == 1


def test_a_run_is_gone_on_with_in_another_process(
    start_server: Callable[..., ServerProcess], tmp_path: Path, transport: Transport
) -> None:
    env = {
        "DURABLE_CHAT_STREAMS_URL": start_server("streams", command="streams").streams_url,
        "DURABLE_CHAT_DATABASE_URL": f"sqlite:///{tmp_path / 'catalog.db'}",
        "DURABLE_CHAT_SECRET_KEY": "one-secret-for-both-of-them",
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
        with transport.post(
            ana.http, chat_id, run_input("stopped", message_id="m2", run_id="far-2")
        ) as reply:
            events = reply.read()
            begun = [next(events) for _ in range(3)]
            with open_socket(there) as socket:
                socket.send({"type": "abort", "runId": "far-2"})
                assert [*begun, *events][-1][1]["outcome"] == {"type": "cancelled"}
