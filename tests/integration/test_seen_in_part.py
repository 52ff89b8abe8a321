"""Whoever was let in from one message on: lists, search and forks tell them nothing of what came before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.live_app import Chatter
from tests.support.waiting import eventually


@pytest.fixture
def chat_id(ana: Chatter) -> str:
    """A chat named by what was said first; the second question is the first one to be shared."""
    chat_id = ana.create_chat()
    ana.send(chat_id, "hushhush beginning", message_id="m-1")
    ana.send(chat_id, "visible hushhush middle", message_id="m-2")
    ana.send(chat_id, "end", message_id="m-3")
    return chat_id


@pytest.fixture
def guest(ana: Chatter, ben: Chatter, chat_id: str) -> Chatter:
    """Somebody who was let in from the second question on."""
    shared = ana.http.post(f"/api/chats/{chat_id}/shares", json={"role": "chat", "fromMessage": "m-2"})
    assert shared.status_code == 201, shared.text
    assert ben.http.get(shared.json()["url"]).status_code == 303
    return ben


def found(chatter: Chatter, query: str) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = chatter.http.get("/api/search", params={"q": query}).json()["results"]
    return results


def test_the_list_has_a_title_out_of_what_they_see(guest: Chatter, chat_id: str) -> None:
    (chat,) = guest.http.get("/api/chats").json()["chats"]
    assert chat["title"] == "visible hushhush middle"
    assert "beginning" not in guest.http.get("/chats").text
    assert "beginning" not in guest.http.get(f"/chat/{chat_id}").text


def test_search_finds_what_they_see(ana: Chatter, guest: Chatter, chat_id: str) -> None:
    eventually(lambda: len(found(ana, "hushhush")) == 5, what="all of it is indexed: the title too")
    assert {each["messageId"] for each in found(guest, "hushhush")} == {
        message["id"] for message in guest.messages(chat_id)[:2]
    }
    assert found(guest, "beginning") == []


def test_they_read_what_they_see(guest: Chatter, chat_id: str) -> None:
    assert guest.http.put(f"/api/chats/{chat_id}/read", json={"messageId": "m-1"}).status_code == 404
    assert guest.http.put(f"/api/chats/{chat_id}/read", json={"messageId": "m-2"}).status_code == 200


@pytest.mark.parametrize(("message_id", "count"), [("m-2", 1), ("m-3", 3), (None, 4)])
def test_they_fork_what_they_see(guest: Chatter, chat_id: str, message_id: str | None, count: int) -> None:
    reply = guest.http.post(f"/api/chats/{chat_id}/fork", json={"messageId": message_id})
    assert reply.status_code == 201, reply.text
    fork = reply.json()
    assert fork["title"] == "visible hushhush middle (fork)"
    mine, theirs = guest.messages(fork["id"]), guest.messages(chat_id)
    assert [each["id"] for each in mine] == [each["id"] for each in theirs][:count]
    everything = guest.http.get(f"/api/chat-stream?id={fork['id']}&offset=-1").text
    assert "beginning" not in everything
    assert "m-1" not in everything
    guest.send(fork["id"], "and on")
    assert guest.messages(fork["id"])[-1]["parts"][0]["content"] == "Echo: and on"


@pytest.mark.parametrize("body", [{"messageId": "m-1"}, {"offset": "-1", "subOffset": 3}, {"offset": "-1"}])
def test_they_fork_nothing_else(guest: Chatter, chat_id: str, body: dict[str, Any]) -> None:
    assert guest.http.post(f"/api/chats/{chat_id}/fork", json=body).status_code in {403, 404}


def test_no_fork_is_written_into_a_chat_that_was_deleted(ana: Chatter, guest: Chatter, chat_id: str) -> None:
    """Its owner can have it back, and as it was."""
    deleted = ana.create_chat(title="To be had back")
    ana.send(deleted, "mine", message_id="m-mine")
    before = ana.messages(deleted)
    assert ana.http.delete(f"/api/chats/{deleted}").status_code == 200
    assert guest.http.post(f"/api/chats/{chat_id}/fork", json={"id": deleted}).status_code == 409
    assert ana.http.post(f"/api/chats/{chat_id}/fork", json={"id": deleted}).status_code == 409
    assert ana.http.post(f"/api/chats/{deleted}/restore").status_code == 200
    assert ana.messages(deleted) == before
