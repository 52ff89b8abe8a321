"""Who was let in from one message on: no byte of an earlier message reaches them, by whatever route."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from websockets.exceptions import InvalidStatus

from tests.security.routes import CHAT_ROUTES, ChatRoute
from tests.support.chat_socket import open_socket
from tests.support.live_app import Chatter, LiveApp
from tests.support.onlooker import Onlooker
from tests.support.sse import follow
from tests.support.waiting import eventually
from webapp.agents.scripted import DemoAgent
from webapp.chat.messages import Role

CANARY = "canary7f3e"


@dataclass(frozen=True)
class Room:
    """A chat with a past that ``guest`` must not learn of, who may do all but manage it."""

    app: LiveApp
    chat_id: str
    owner: Chatter
    guest: Chatter
    offsets: list[str]
    """Places in the stream, from its beginning to its end."""
    say: Callable[..., None]
    """Have the owner say something: text, message id, run id, and what it follows or is a version of."""


@pytest.fixture(scope="module")
def room(app: LiveApp) -> Room:
    owner = Chatter(app)
    chat_id = owner.create_chat()
    offsets = ["-1"]

    def say(text: str, message_id: str, run_id: str = "", **place: str) -> None:
        message = {"id": message_id, "role": "user", "content": text, "metadata": place}
        body = {"messages": [message], "runId": run_id or f"r-{message_id}"}
        reply = owner.http.post("/api/chat", params={"id": chat_id, "mode": "await"}, json=body)
        assert reply.status_code == 200, reply.text
        offsets.append(owner.snapshot(chat_id)["offset"])

    say(f"{CANARY} is what this is about", "m-early")
    say(f"and {CANARY} again", "m-first")
    # Just before: the chat is named after what was said.
    owner.http.patch(f"/api/chats/{chat_id}", json={"title": f"All about {CANARY}"})
    say("from here on", "m-here")
    reply = owner.http.post(f"/api/chats/{chat_id}/shares", json={"role": "approve", "fromMessage": "m-here"})
    guest = Chatter(app)
    assert guest.http.get(reply.json()["url"]).status_code == 303
    say("and on", "m-later")
    # What comes later and is about what came before: another version, another answer, and what follows them.
    say(f"{CANARY} was what this is about", "m-edited", editOf="m-early")
    say(f"{CANARY} as it follows", "m-follows", parentId="m-edited")
    say(f"{CANARY} is what this is about", "m-early", "r-again")
    return Room(app, chat_id, owner, guest, offsets, say)


ROUTES = [route for route in CHAT_ROUTES if route.role < Role.MANAGE]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_no_route_tells_what_was_said_before(room: Room, route: ChatRoute) -> None:
    reply = route.call(room.guest.http, room.chat_id)
    assert CANARY not in reply.text
    assert CANARY not in str(reply.headers)


@pytest.mark.parametrize("route", [r for r in CHAT_ROUTES if r.role is Role.MANAGE], ids=lambda r: r.name)
def test_who_sees_a_part_manages_nothing(room: Room, route: ChatRoute) -> None:
    assert route.call(room.guest.http, room.chat_id).status_code in {403, 404}


def test_what_was_said_since_is_there(room: Room) -> None:
    guest = room.guest
    texts = [message["parts"][0]["content"] for message in guest.messages(room.chat_id)]
    assert texts[:4] == ["from here on", "Echo: from here on", "and on", "Echo: and on"]
    page = guest.http.get(f"/chat/{room.chat_id}").text
    assert "from here on" in page
    assert CANARY in room.owner.http.get(f"/chat/{room.chat_id}").text  # or all of this proves nothing


def test_no_place_in_the_stream_is_before_the_beginning(room: Room) -> None:
    """AC-49: reads from offsets that were seen elsewhere, or made up."""
    http = room.guest.http
    forged = ["0000000000000000_0000000000000000", "now", "0", "-2", "1_1"]
    seen = ""
    for offset in [*room.offsets, *forged]:
        for live in ({}, {"live": "long-poll"}):
            if live and offset in ("now", room.offsets[-1]):
                continue  # it would wait
            query = {"id": room.chat_id, "offset": offset, **live}
            reply = http.get("/api/chat-stream", params=query)
            assert reply.status_code in {200, 400}
            assert CANARY not in reply.text
            assert "etag" not in reply.headers
            seen += reply.text
    assert CANARY not in http.get("/api/chat-stream", params={"id": room.chat_id}).text
    assert "from here on" in seen


@pytest.mark.parametrize("offset", ["-1", "0000000000000000_0000000000000000"])
def test_nor_in_the_reply_that_has_everything(room: Room, offset: str) -> None:
    for mode in ("no", "long-poll"):
        query = {"chats": f"{room.chat_id}:{offset}", "live": mode}
        reply = room.guest.http.get("/api/live", params=query)
        assert CANARY not in reply.text
        assert "from here on" in reply.text
    seen = ""
    events = follow(room.guest.http, "/api/live", chats=f"{room.chat_id}:{offset}")
    for event in events:
        seen += event.data
        if '"upToDate":true' in event.data:
            break
    events.close()  # type: ignore[attr-defined]
    assert CANARY not in seen
    assert "from here on" in seen


def test_the_catch_up_is_the_snapshot(room: Room) -> None:
    """Reading the stream from the beginning tells what the snapshot tells."""
    reply = room.guest.http.get("/api/chat-stream", params={"id": room.chat_id, "offset": "-1"})
    said = [e["messageId"] for e in reply.json() if e["type"] == "TEXT_MESSAGE_START"]
    assert said == [message["id"] for message in room.guest.messages(room.chat_id)]
    assert reply.headers["stream-next-offset"] == room.guest.snapshot(room.chat_id)["offset"]


@pytest.mark.parametrize("run_id", ["r-m-early", "r-m-first", "r-m-edited", "r-m-follows", "r-again"])
def test_a_run_of_an_earlier_message_is_not_there(room: Room, run_id: str) -> None:
    http, chat_id = room.guest.http, room.chat_id
    for path in ("/api/chat/sse", "/api/chat/ndjson"):
        for query in ({"runId": run_id, "id": chat_id}, {"runId": run_id, "offset": "-1"}):
            assert http.get(path, params=query).status_code == 404
    for what in ("continue", "stop"):
        assert http.post(f"/api/chat/{what}", json={"id": chat_id, "runId": run_id}).status_code == 404
    place = {"runId": run_id, "offset": "-1"}
    with pytest.raises(InvalidStatus, match="404"), open_socket(room.guest, id=chat_id, **place):
        pass
    with open_socket(room.guest, id=chat_id) as socket:
        socket.send({"type": "resume", "runId": run_id, "offset": "-1"})
        assert socket.next()["code"] == "not-found"


@pytest.mark.parametrize("message_id", ["m-early", "m-first", "m-edited", "m-follows"])
def test_an_earlier_message_is_not_there_to_be_asked_about(room: Room, message_id: str) -> None:
    http, chat_id = room.guest.http, room.chat_id
    assert http.get(f"/chat/{chat_id}/messages/{message_id}").status_code == 404
    assert http.get(f"/chat/{chat_id}/messages", params={"before": message_id}).status_code == 404
    message = {"id": message_id, "role": "user", "parts": [{"type": "text", "content": "x"}]}
    for path in ("/api/chat", "/api/chat/sse", "/api/chat/ndjson"):
        reply = http.post(path, params={"id": chat_id}, json={"messages": [message]})
        assert reply.status_code == 404
        assert CANARY not in reply.text
    body = {"id": chat_id, "messageId": message_id, "action": "drop"}
    assert http.post("/api/chat/queue", json=body).status_code == 404


@pytest.mark.parametrize("tie", ["parentId", "editOf"])
def test_nothing_follows_or_changes_what_is_not_there(room: Room, tie: str) -> None:
    before = len(room.owner.messages(room.chat_id))
    for message_id in ("m-early", "m-first", "m-edited"):
        message = {"id": f"m-{tie}", "role": "user", "content": "x", "metadata": {tie: message_id}}
        for path in ("/api/chat", "/api/chat/sse", "/api/chat/ndjson"):
            reply = room.guest.http.post(path, params={"id": room.chat_id}, json={"messages": [message]})
            assert reply.status_code == 404
    assert len(room.owner.messages(room.chat_id)) == before


@pytest.mark.parametrize("pin", [True, False])
def test_a_version_of_what_is_not_there_is_not_chosen(room: Room, pin: bool) -> None:
    choice = {"group": "m-early", "version": "m-edited", "pin": pin}
    reply = room.guest.http.put(f"/api/chats/{room.chat_id}/branch", json=choice)
    assert reply.status_code == 404


def test_what_comes_live_is_only_what_goes_on(room: Room) -> None:
    with Onlooker(room.guest, room.chat_id) as seen:
        room.say(f"{CANARY} once more", "m-edited-2", editOf="m-first")
        room.owner.http.patch(f"/api/chats/{room.chat_id}", json={"title": "A name for everybody"})
        assert room.guest.send(room.chat_id, "the guest goes on", message_id="m-guest").status_code == 200
        eventually(lambda: seen.text.endswith("Echo: the guest goes on"), what="the guest's own answer")
        assert CANARY not in str(seen.events)
        assert "A name for everybody" in str(seen.events)
    assert CANARY not in room.guest.http.get("/").text
    assert CANARY not in room.guest.http.get("/api/chats").text


def test_a_link_to_the_whole_shows_the_whole(app: LiveApp) -> None:
    owner, guest = Chatter(app), Chatter(app)
    chat_id = owner.create_chat()
    owner.send(chat_id, CANARY, message_id="m-1")
    owner.send(chat_id, "here", message_id="m-2")
    for offer, expected in (
        ({"role": "view", "fromMessage": "m-2"}, 2),
        ({"role": "view"}, 4),
        ({"role": "chat", "fromMessage": "m-2"}, 4),
    ):
        made = owner.http.post(f"/api/chats/{chat_id}/shares", json=offer).json()
        assert guest.http.get(made["url"]).status_code == 303
        assert len(guest.messages(chat_id)) == expected


def test_from_an_answer_on_is_from_its_question_on(app: LiveApp) -> None:
    owner, guest = Chatter(app), Chatter(app)
    chat_id = owner.create_chat()
    owner.send(chat_id, CANARY)
    owner.send(chat_id, "here", message_id="m-2")
    answer = owner.messages(chat_id)[-1]["id"]
    offer = {"role": "view", "fromMessage": answer}
    made = owner.http.post(f"/api/chats/{chat_id}/shares", json=offer).json()
    assert made["fromMessage"] == "m-2"
    guest.http.get(made["url"])
    assert [message["id"] for message in guest.messages(chat_id)] == ["m-2", answer]


def test_an_excerpt_can_be_frozen(app: LiveApp) -> None:
    owner, guest = Chatter(app), Chatter(app)
    chat_id = owner.create_chat()
    owner.send(chat_id, CANARY)
    owner.send(chat_id, "here", message_id="m-2")
    offer = {"role": "view", "fromMessage": "m-2", "frozen": True}
    made = owner.http.post(f"/api/chats/{chat_id}/shares", json=offer).json()
    copy = guest.http.get(made["url"]).headers["location"]
    page = guest.http.get(copy)
    assert "here" in page.text
    assert CANARY not in page.text
    stream = guest.http.get("/api/chat-stream", params={"id": copy.rsplit("/", 1)[1], "offset": "-1"})
    assert CANARY not in stream.text
    assert stream.headers["stream-closed"] == "true"


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    """Its agent asks for consent, by names that are easy to guess."""
    with LiveApp(tmp_path_factory.mktemp("asking"), agent=DemoAgent(word_delay=0)) as app:
        yield app


def test_who_sees_a_part_decides_what_was_asked_in_it(asking: LiveApp) -> None:
    owner, guest = Chatter(asking), Chatter(asking)
    chat_id = owner.create_chat()
    owner.send(chat_id, "/approve", message_id="m-1", runId="r-before")
    owner.send(chat_id, "/approve", message_id="m-2", runId="r-since")
    offer = {"role": "approve", "fromMessage": "m-2"}
    guest.http.get(owner.http.post(f"/api/chats/{chat_id}/shares", json=offer).json()["url"])

    def waiting() -> set[str]:
        runs = owner.snapshot(chat_id)["runs"].values()
        return {
            run["runId"] for run in runs if run["status"] == "awaiting-approval" and "supersededBy" not in run
        }

    def decide(run_id: str, *, named: bool) -> Iterator[int]:
        """In each of the ways there are."""
        (question,) = owner.snapshot(chat_id)["runs"][run_id]["interrupts"]
        form = {"interruptId": question["id"], "decision": "deny", **({"runId": run_id} if named else {})}
        yield guest.http.post(f"/chat/{chat_id}/decisions", data=form).status_code
        answer = {"interruptId": question["id"], "status": "resolved", "payload": {"approved": False}}
        body = {"messages": [], "resume": [answer], **({"parentRunId": run_id} if named else {})}
        for path in ("/api/chat", "/api/chat/sse", "/api/chat/ndjson"):
            yield guest.http.post(path, params={"id": chat_id}, json=body).status_code

    assert waiting() == {"r-before", "r-since"}
    assert set(decide("r-before", named=True)) == {409}
    assert waiting() == {"r-before", "r-since"}
    assert next(decide("r-since", named=False)) == 303
    eventually(lambda: waiting() == {"r-before"}, what="what was asked since is decided")
    assert 409 in set(decide("r-before", named=False))
    assert waiting() == {"r-before"}
