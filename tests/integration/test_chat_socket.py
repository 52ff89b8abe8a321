"""The WebSocket: many runs on one connection, what frames do, and how it ends."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter
from websockets.exceptions import InvalidStatus

from tests.support.chat_socket import Socket, open_socket
from tests.support.fault_proxy import FaultProxy
from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import Door, kinds_of, log_of, run_in, run_input, text_of
from tests.support.waiting import eventually
from webapp.agents.base import AgentTurn
from webapp.agents.registry import OwnAgent
from webapp.web import chat_socket
from webapp.web.bodies import MAX_BODY_BYTES

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)


def test_runs_one_after_the_other(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    with open_socket(ana, id=chat_id) as socket:
        for number in range(3):
            socket.send(run_input(f"word {number}", message_id=f"m{number}", run_id=f"ws-{number}"))
            found = socket.until_end_of(f"ws-{number}")
            assert text_of(found) == f"Echo: word {number}"
            assert kinds_of(found)[0] == "RUN_STARTED"
            for _, chunk in found:
                AG_UI.validate_python(chunk)
            assert [chunk for _, chunk in found] == run_in(log_of(ana.http, chat_id), f"ws-{number}")
        assert len({id for id, _ in socket.events}) == len(socket.events)
        assert socket.errors == []
    assert [message["id"] for message in ana.messages(chat_id)][::2] == ["m0", "m1", "m2"]


def test_runs_side_by_side_in_two_chats(gated: LiveApp, door: Door, dora: Chatter) -> None:
    one, two = dora.create_chat(), dora.create_chat()
    with open_socket(dora) as socket:
        socket.send(run_input("one", message_id="m1", run_id="side-1", threadId=one))
        socket.send(run_input("two", message_id="m2", run_id="side-2", threadId=two))
        while len(socket.events) < 6:
            socket.next()
        door.open(gated, "two")
        assert text_of(socket.until_end_of("side-2")) == "two: done"
        door.open(gated, "one")
        assert text_of(socket.until_end_of("side-1")) == "one: done"


def test_a_frame_sent_again_adds_nothing_while_it_is_followed(
    gated: LiveApp, door: Door, dora: Chatter
) -> None:
    chat_id = dora.create_chat()
    frame = run_input("again", run_id="again")
    with open_socket(dora, id=chat_id) as socket:
        socket.send(frame)
        while len(socket.events) < 3:
            socket.next()
        socket.send(frame)
        socket.send({"type": "resume", "runId": "again", "offset": "-1"})
        socket.send({"type": "ping"})
        while not socket.pongs:
            socket.next()
        door.open(gated, "again")
        first = socket.until_end_of("again")
        assert text_of(first) == "again: done"
        # Once it is over, the same frame tells it all again, with the same ids.
        socket.events.clear()
        socket.send(frame)
        assert socket.until_end_of("again") == first
        socket.events.clear()
        socket.send(run_input("other", run_id="again"))
        while not socket.errors:
            socket.next()
        assert (socket.errors[0]["runId"], socket.errors[0]["code"]) == ("again", "message-id-used")


def test_every_place_can_be_gone_on_from(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    with open_socket(ana, id=chat_id) as socket:
        socket.send(run_input("some words to be cut", run_id="ws-cut"))
        whole = socket.until_end_of("ws-cut")
        assert len(whole) >= 5
        for place, (seen, _) in enumerate(whole[:-1], 1):
            socket.events.clear()
            socket.send({"type": "resume", "runId": "ws-cut", "offset": seen})
            assert socket.until_end_of("ws-cut") == whole[place:]
            with open_socket(ana, id=chat_id, runId="ws-cut", offset=seen) as resumed:
                assert resumed.closed()[0] == 1000
                assert resumed.events == whole[place:]
    with open_socket(ana, runId="ws-cut", offset="-1") as joined:
        assert joined.closed()[0] == 1000
        assert joined.events == whole


def test_a_cut_in_the_middle_is_gone_on_with(
    gated: LiveApp, door: Door, dora: Chatter, start_proxy: Callable[[int], FaultProxy]
) -> None:
    chat_id = dora.create_chat()
    proxy = start_proxy(int(gated.url.rpartition(":")[2]))
    with open_socket(dora, url=proxy.url, id=chat_id) as first:
        first.send(run_input("cut", run_id="ws-middle"))
        while len(first.events) < 3:
            first.next()
        proxy.reset()
        assert first.closed() == (1006, "")
    door.open(gated, "cut")
    with open_socket(dora, id=chat_id, runId="ws-middle", offset=first.events[-1][0]) as second:
        assert second.closed()[0] == 1000
    assert text_of(first.events + second.events) == "cut: done"
    assert [chunk for _, chunk in first.events + second.events] == run_in(
        log_of(dora.http, chat_id), "ws-middle"
    )


def test_an_abort_frame_stops_its_run_and_no_other(gated: LiveApp, door: Door, dora: Chatter) -> None:
    chat_id, other = dora.create_chat(), dora.create_chat()
    with open_socket(dora) as socket:
        socket.send(run_input("aborted", run_id="ws-abort", threadId=chat_id))
        socket.send(run_input("kept", message_id="m2", run_id="ws-kept", threadId=other))
        while len(socket.events) < 6:
            socket.next()
        for run_id in ("ws-abort", "ws-abort", "unheard-of"):
            socket.send({"type": "abort", "runId": run_id})
        found = socket.until_end_of("ws-abort")
        assert found[-1][1]["outcome"] == {"type": "cancelled"}
        assert "run.stopped-by" in [chunk.get("name") for _, chunk in found]
        door.open(gated, "kept")
        assert text_of(socket.until_end_of("ws-kept")) == "kept: done"
        assert socket.errors == []


def test_leaving_only_detaches(gated: LiveApp, door: Door, dora: Chatter) -> None:
    chat_id = dora.create_chat()
    with open_socket(dora, id=chat_id) as socket:
        assert gated.services.slots.taken == 1
        socket.send(run_input("left", run_id="ws-left"))
        socket.next()
    eventually(lambda: gated.services.slots.taken == 0)
    door.open(gated, "left")
    gated.run(lambda services: services.supervisor.wait("ws-left"))
    assert dora.messages(chat_id)[-1]["parts"] == [{"type": "text", "content": "left: done"}]


def test_silence_is_filled_with_pings(dora: Chatter) -> None:
    with open_socket(dora) as socket:
        while socket.pings < 3:
            socket.next()


FRAMES: list[tuple[Any, str]] = [
    ("", "malformed"),
    ("no json", "malformed"),
    ("[]", "malformed"),
    (b"\xff\xfe", "malformed"),
    ("[" * 1000, "malformed"),
    ('{"a":' * 100 + "1" + "}" * 100, "malformed"),
    ({"type": "dance"}, "malformed"),
    ({"type": 5}, "malformed"),
    ({"type": "abort"}, "malformed"),
    ({"type": "resume", "runId": 5}, "malformed"),
    ({"type": "resume", "runId": "unheard-of"}, "not-found"),
    ({"type": "resume", "runId": "ws-known", "offset": "5"}, "invalid-offset"),
    ({}, "malformed"),
    (run_input("Hi", messages=[{"role": "robot"}]), "malformed"),
    (run_input("Hi", tools=[{}]), "malformed"),
    (run_input(" "), "invalid-message"),
    (run_input("Hi", run_id="not an id"), "invalid-message"),
    (run_input("x" * 300_000), "too-large"),
]


def test_a_frame_that_is_refused_harms_no_other(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "known", message_id="m0", runId="ws-known")
    with open_socket(ana, id=chat_id) as socket:
        for frame, code in FRAMES:
            socket.send(frame)
            error = socket.next()
            assert (error["type"], error["code"]) == ("RUN_ERROR", code), frame
            AG_UI.validate_python(error)
        socket.send(json.dumps(run_input("still here", run_id="ws-still")).encode())
        assert text_of(socket.until_end_of("ws-still")) == "Echo: still here"
    assert len(ana.messages(chat_id)) == 4


def test_a_frame_is_in_no_chat_but_those_one_is_in(ana: Chatter, ben: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "hers", message_id="m0", runId="ws-hers")
    with open_socket(ben) as socket:
        for frame in (
            run_input("intruding", threadId=chat_id),
            run_input("nowhere", threadId="no-such-chat-anywhere"),
            {"type": "resume", "runId": "ws-hers", "offset": "-1"},
        ):
            socket.send(frame)
            assert socket.next()["code"] == "not-found"
        socket.send({"type": "abort", "runId": "ws-hers"})
        socket.send({"type": "ping"})
        assert socket.next() == {"type": "pong"}
    own = ben.create_chat()
    with open_socket(ben, id=own) as socket:
        # The address goes first: what the frame says is the client's own word for it.
        socket.send(run_input("mine", run_id="ws-mine", threadId=chat_id))
        assert socket.until_end_of("ws-mine")[0][1]["threadId"] == own
    assert len(ana.messages(chat_id)) == 2


def test_a_viewer_resumes_and_nothing_else(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "seen", message_id="m0", runId="ws-seen")
    viewer = ana.invited(chat_id, "view")
    with pytest.raises(InvalidStatus) as refused, open_socket(viewer, id=chat_id):
        pass
    assert refused.value.response.status_code == 403
    with open_socket(viewer) as socket:
        socket.send({"type": "resume", "runId": "ws-seen", "offset": "-1"})
        assert text_of(socket.until_end_of("ws-seen")) == "Echo: seen"
        for frame in (run_input("Hi", threadId=chat_id), {"type": "abort", "runId": "ws-seen"}):
            socket.send(frame)
            assert socket.next()["code"] == "forbidden"


def test_a_message_that_is_too_large_closes_the_socket(ana: Chatter) -> None:
    with open_socket(ana, id=ana.create_chat()) as socket:
        socket.send(b" " * MAX_BODY_BYTES)
        assert socket.next()["code"] == "malformed"
        # What a message announces is enough to refuse it; nothing of it is waited for.
        socket.connection.socket.sendall(b"\x81\xff" + struct.pack("!Q", MAX_BODY_BYTES + 1) + bytes(4))
        assert socket.closed()[0] == 1009


def test_slots_are_held_and_bounded(gated: LiveApp, dora: Chatter) -> None:
    chat_id = dora.create_chat()
    with open_socket(dora), open_socket(dora, id=chat_id), open_socket(dora, id=chat_id):
        with pytest.raises(InvalidStatus) as refused, open_socket(dora):
            pass
        reply = refused.value.response
        assert (reply.status_code, json.loads(reply.body)["code"]) == (429, "too-many-readers")
        assert reply.headers["retry-after"]
        with open_socket(Chatter(gated)):
            assert gated.services.slots.taken == 4
    eventually(lambda: gated.services.slots.taken == 0)


def test_a_socket_follows_so_many_runs_and_no_more(
    gated: LiveApp, door: Door, dora: Chatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_socket, "MAX_FOLLOWED", 2)
    chat_id = dora.create_chat()
    with open_socket(dora, id=chat_id) as socket:
        for number in range(3):
            socket.send(run_input(f"room {number}", message_id=f"m{number}", run_id=f"ws-room-{number}"))
        while not socket.errors:
            socket.next()
        assert (socket.errors[0]["code"], socket.errors[0]["runId"]) == ("limit-reached", "ws-room-2")
        for number in range(2):
            door.open(gated, f"room {number}")
        socket.until_end_of("ws-room-1")
        socket.send(run_input("room 2", message_id="m2", run_id="ws-room-2"))
        door.open(gated, "room 2")
        assert text_of(socket.until_end_of("ws-room-2")) == "room 2: done"


def test_an_idle_socket_is_closed_but_not_one_with_a_run(
    gated: LiveApp, door: Door, dora: Chatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_socket, "IDLE", 0.2)
    with open_socket(dora, id=dora.create_chat()) as busy:
        busy.send(run_input("busy", run_id="ws-busy"))
        with open_socket(dora) as idle:
            assert idle.closed()[0] == 1000
        with open_socket(dora) as idle:
            assert idle.closed()[0] == 1000
        door.open(gated, "busy")
        assert text_of(busy.until_end_of("ws-busy")) == "busy: done"
        assert busy.closed()[0] == 1000


def test_who_does_not_read_is_dropped(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def flood(turn: AgentTurn) -> Any:
        for _ in range(100):
            yield "x" * 60_000

    agent = OwnAgent(id="flood", name="Flood", run=flood)
    env = {"DURABLE_CHAT_WRITE_TIMEOUT": "0.5"}
    with LiveApp(tmp_path_factory.mktemp("flood"), env=env, agent=agent) as app:
        chatter = Chatter(app)
        chat_id = chatter.create_chat()
        with socket.create_connection(("127.0.0.1", int(app.url.rpartition(":")[2])), timeout=20) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            cookie = chatter.http.cookies["durable-chat"]
            raw.sendall(
                f"GET /api/chat/ws?id={chat_id} HTTP/1.1\r\nHost: {app.url[7:]}\r\nOrigin: {app.url}\r\n"
                f"Cookie: durable-chat={cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            assert raw.recv(12) == b"HTTP/1.1 101"
            payload = json.dumps(run_input("go", run_id="ws-flood")).encode()
            raw.sendall(
                b"\x81\xfe" + struct.pack("!H", len(payload)) + bytes(4) + payload
            )  # masked with zeros
            eventually(lambda: app.services.slots.taken == 1)
            eventually(lambda: app.services.slots.taken == 0)
            app.run(lambda services: services.supervisor.wait("ws-flood"))
            assert len(chatter.messages(chat_id)[-1]["parts"][0]["content"]) == 100 * 60_000


def test_a_draining_server_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    door = Door()
    with LiveApp(tmp_path_factory.mktemp("drained"), agent=door) as app:
        chatter = Chatter(app)
        with open_socket(chatter, id=chatter.create_chat()) as busy, open_socket(chatter) as idle:
            busy.send(run_input("cut short", run_id="ws-drained"))
            while len(busy.events) < 3:
                busy.next()
            ends: list[int] = []
            readers = [
                threading.Thread(target=lambda each=each: ends.append(each.closed()[0]))  # type: ignore[misc]
                for each in (busy, idle)
            ]
            for reader in readers:
                reader.start()
            app.loop.call_soon_threadsafe(app.app.state["drain"].set)
            for reader in readers:
                reader.join(20)
            assert ends == [1012, 1012]
            door.open(app, "cut short")


def test_a_new_guest_gets_its_cookie_with_the_handshake(tmp_path_factory: pytest.TempPathFactory) -> None:
    with LiveApp(tmp_path_factory.mktemp("open"), env={"DURABLE_CHAT_ACCESS": "open"}) as app:
        guest = Chatter(app)
        guest.http.cookies.clear()
        with open_socket(guest, id="a-chat-nobody-made") as socket:
            response = socket.connection.response
            assert response is not None
            name, _, value = response.headers["set-cookie"].partition(";")[0].partition("=")
            guest.http.cookies.set(name, value)
            for number in range(2):
                socket.send(run_input("Hi", message_id=f"m{number}", run_id=f"ws-guest-{number}"))
                socket.until_end_of(f"ws-guest-{number}")
        messages = guest.messages("a-chat-nobody-made")
        assert len({message["metadata"]["participantId"] for message in messages[::2]}) == 1
        with open_socket(guest, id="a-chat-nobody-made") as again:
            assert again.connection.response is not None
            assert "set-cookie" not in again.connection.response.headers


def test_what_is_said_meanwhile_elsewhere_is_not_passed_on(gated: LiveApp, door: Door, dora: Chatter) -> None:
    chat_id = dora.create_chat()
    friend = dora.invited(chat_id, "chat")
    with open_socket(dora, id=chat_id) as socket:
        socket.send(run_input("mine only", run_id="ws-only"))
        while len(socket.events) < 3:
            socket.next()
        friend.send(chat_id, "a friend's", message_id="m2", mode="")
        for text in ("mine only", "a friend's"):
            door.open(gated, text)
        assert text_of(socket.until_end_of("ws-only")) == "mine only: done"
        _until_pong(socket)
        assert [chunk for _, chunk in socket.events] == run_in(log_of(dora.http, chat_id), "ws-only")


def _until_pong(socket: Socket) -> None:
    socket.send({"type": "ping"})
    while not socket.pongs:
        socket.next()
