"""What somebody has begun to write survives, and is taken up by their other tabs (AC-63)."""

from __future__ import annotations

from typing import Any

from support.chat_page import ChatPage
from support.people import People, Person
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_AGENT": "echo"}


def kept(chat: ChatPage) -> str:
    """What the server has."""
    reply = chat.page.context.request.get(f"{chat.origin}/api/chats/{chat.id}/draft")
    assert reply.ok
    found: dict[str, Any] = reply.json()
    return str(found["text"])


def wait_value(chat: ChatPage, text: str) -> None:
    eventually(lambda: chat.composer.input_value() == text, what=f"the box has {text!r}")


def other_device(people: People, person: Person) -> Person:
    """The same person in another browser, with nothing of this one but who they are."""
    state = person.context.storage_state()
    return people.join(storage_state={"cookies": state["cookies"], "origins": []})


def test_a_draft_appears_where_nothing_is_written(people: People) -> None:
    ana = people.join()
    chat = ana.new_chat()
    second = ana.open(chat.url)
    busy = ana.open(chat.url)
    busy.composer.fill("I am writing something else")
    eventually(lambda: kept(chat) == "I am writing something else")
    phone = other_device(people, ana).open(chat.url)
    wait_value(phone, "I am writing something else")
    phone.composer.fill("")
    eventually(lambda: kept(chat) == "", what="nothing is kept")

    chat.composer.fill("Dear all")
    eventually(lambda: kept(chat) == "Dear all", what="the draft is on the server")
    wait_value(phone, "Dear all")
    assert busy.composer.input_value() == "I am writing something else"
    later = other_device(people, ana).open(chat.url)
    wait_value(later, "Dear all")
    assert second.composer.input_value() in {"I am writing something else", "Dear all"}


def test_a_draft_survives_a_crash(people: People) -> None:
    """Nothing is left of the browser but its local storage; then not even that."""
    ana = people.join()
    chat = ana.new_chat()
    chat.composer.fill("Half a thought")
    eventually(lambda: kept(chat) == "Half a thought")
    ana.guard.allow("net::ERR_|503")
    ana.context.route("**/draft", lambda route: route.abort())
    chat.composer.press_sequentially(", and more")
    eventually(
        lambda: chat.page.evaluate("Object.values(localStorage).some(text => text.includes('and more'))"),
        what="the browser has it at once",
    )
    state = ana.context.storage_state()
    after = people.join(storage_state=state).open(chat.url)
    wait_value(after, "Half a thought, and more")
    elsewhere = other_device(people, ana).open(chat.url)
    eventually(lambda: elsewhere.composer.input_value().startswith("Half a thought"))


def test_what_was_sent_is_no_draft_any_more(people: People) -> None:
    ana = people.join()
    chat = ana.new_chat()
    chat.composer.fill("Say this")
    eventually(lambda: kept(chat) == "Say this")
    chat.composer.press("Enter")
    chat.wait_rows(2)
    eventually(lambda: kept(chat) == "", what="the draft is gone")
    again = other_device(people, ana).open(chat.url)
    again.wait_rows(2)
    assert again.composer.input_value() == ""
