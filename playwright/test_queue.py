"""AC-65: what is sent while an answer is being written waits, for all to see, and can still be changed."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator

from support.chat_page import ChatPage, same_everywhere
from support.people import PHONE, People
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.03"}

LONG = "/long 2000"


READ = """
() => [...document.querySelectorAll('#queue .queue-item')].map(item =>
  ['.queue-name', '.queue-text'].map(part => item.querySelector(part)?.textContent ?? ''))
"""


def strip(chat: ChatPage) -> list[tuple[str, str]]:
    """Who waits with what."""
    return [(name, text) for name, text in chat.page.evaluate(READ)]


def waits(chat: ChatPage, *texts: str) -> None:
    eventually(lambda: [text for _, text in strip(chat)] == list(texts), what=f"waiting: {texts}")


def button(chat: ChatPage, text: str, name: str) -> Locator:
    return chat.page.locator(".queue-item", has_text=text).get_by_role("button", name=name, exact=True)


@pytest.fixture
def two(people: People) -> tuple[ChatPage, ChatPage]:
    """Ana's tab, in which an answer is being written, and Ben's."""
    hers = people.join().new_chat()
    his = people.join().open(hers.share("chat"))
    assert hers.page.locator("#send").inner_text() == "Send"
    hers.send(LONG)
    his.wait_words(5)
    return hers, his


@pytest.mark.slow
def test_the_queue_is_seen_and_changed_by_all(two: tuple[ChatPage, ChatPage], people: People) -> None:
    hers, his = two
    viewer = people.join().open(hers.share("view"))
    for chat in two:
        send = chat.page.locator("#send")
        eventually(lambda send=send: send.inner_text() == "Queue", what="Send says that it queues")
        assert "waits" in (send.get_attribute("title") or "")
    hers.send("/long 31")
    waits(his, "/long 31")
    his.send("/long 32")
    waits(hers, "/long 31", "/long 32")
    hers.send("/long 33")
    everybody = (hers, his, viewer)
    for chat in everybody:
        waits(chat, "/long 31", "/long 32", "/long 33")
        assert strip(chat) == strip(hers)
    names = [name for name, _ in strip(hers)]
    assert names[0] == names[2] != names[1]
    assert viewer.page.locator("#queue button").count() == 0

    # Ben edits what Ana has sent, with the keyboard; Ana takes back what Ben has sent.
    button(his, "/long 31", "Edit").click()
    field = his.page.locator(".queue-field")
    assert field.input_value() == "/long 31"
    field.fill("/long 41")
    field.press("Enter")
    button(hers, "/long 32", "Drop").click()
    for chat in everybody:
        waits(chat, "/long 41", "/long 33")

    # The up-arrow edits the last of one's own; Escape leaves it, and the answer, as they are.
    hers.composer.press("ArrowUp")
    mine = hers.page.locator(".queue-field")
    eventually(lambda: mine.count() == 1 and mine.input_value() == "/long 33")
    mine.press("Escape")
    eventually(lambda: mine.count() == 0)
    waits(hers, "/long 41", "/long 33")
    hers.wait_state("streaming", index=1)

    his.reload().wait_live()
    waits(his, "/long 41", "/long 33")
    button(his, "/long 33", "Steer now").click()
    # The answer is stopped, the steered message has its own at once, and then the other.
    hers.wait_state("stopped", index=1)
    for chat in everybody:
        eventually(lambda chat=chat: strip(chat) == [], timeout=25, what="nothing waits")
        chat.page.get_by_text("Stopped by").wait_for()

    def all_answered() -> dict[str, Any] | None:
        found = hers.snapshot()
        return found if len(found["messages"]) == 6 and not found["activeRuns"] else None

    snapshot = eventually(all_answered, timeout=25, what="an answer to each")
    assert snapshot is not None
    said = [(each["role"], each["parts"][0]["content"]) for each in snapshot["messages"]]
    assert [text for role, text in said if role == "user"] == [LONG, "/long 41", "/long 33"]
    asked = {each["id"]: each["parts"][0]["content"] for each in snapshot["messages"]}
    answers = [each for each in snapshot["messages"] if each["role"] == "assistant"]
    assert [asked[each["metadata"]["parentId"]] for each in answers] == [LONG, "/long 33", "/long 41"]
    assert [len(text.split()) for role, text in said if role == "assistant"][1:] == [33, 41]
    same_everywhere(*everybody)
    eventually(lambda: hers.page.locator("#send").inner_text() == "Send")


def test_too_late_is_said_and_what_was_typed_is_kept(two: tuple[ChatPage, ChatPage]) -> None:
    hers, his = two
    his.send("/long 200")
    waits(his, "/long 200")
    button(hers, "/long 200", "Edit").click()
    hers.page.locator(".queue-field").fill("/long 200, and slowly")
    button(his, "/long 200", "Steer now").click()
    waits(hers)
    eventually(lambda: hers.composer.input_value() == "/long 200, and slowly")
    his.page.get_by_text("Stopped by").wait_for()
    # The request itself, when the page does not know yet.
    message = next(each for each in hers.snapshot()["messages"] if each["parts"][0]["content"] == "/long 200")
    reply = hers.page.context.request.post(
        f"{hers.origin}/api/chat/queue", data={"id": hers.id, "messageId": message["id"], "action": "drop"}
    )
    assert (reply.status, reply.json()["code"]) == (409, "already-started")
    his.page.locator("#stop").click()


def test_the_strip_fits_a_phone(people: People) -> None:
    phone = people.join(**PHONE).new_chat()
    phone.composer.fill(LONG)
    phone.page.locator("#send").click()
    phone.wait_words(3)
    for number in range(4):
        phone.composer.fill(f"Number {number}: " + "a long question that does not fit on one line, " * 4)
        phone.page.locator("#send").click()
    eventually(lambda: len(strip(phone)) == 4)
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
    for each in phone.page.locator("#queue button").all():
        box = each.bounding_box()
        assert box is not None
        assert box["height"] >= 40
    phone.page.locator("#stop").click()
