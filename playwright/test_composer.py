"""What a person writes: never locked away, never sent by accident, never lost."""

from __future__ import annotations

import json

from playwright.sync_api import Route

from support.chat_page import ChatPage
from support.people import PHONE, People
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.02"}


def refuse(route: Route) -> None:
    body = json.dumps({"error": "The server has had enough.", "code": "enough"})
    route.fulfill(status=400, content_type="application/json", body=body)


def test_while_an_answer_is_written_one_can_write_queue_and_stop(people: People) -> None:
    chat = people.join().new_chat()
    send, stop = chat.page.locator("#send"), chat.page.locator("#stop")
    assert send.inner_text() == "Send"
    assert not stop.is_visible()
    chat.send("/long 400")
    chat.wait_words(5)
    assert chat.composer.is_editable()
    assert send.inner_text() == "Queue"
    chat.send("Queued")
    chat.wait_text("^Queued$")
    stop.click()
    chat.wait_text("Queued\\b.*|said")
    eventually(lambda: not stop.is_visible() and send.inner_text() == "Send", what="a free composer")
    assert chat.page.evaluate("document.activeElement.id") == "composer-input"


def test_escape_stops_my_answer_and_nobody_elses(people: People) -> None:
    mine = people.join().new_chat()
    other = people.join().open(mine.share("chat"))
    mine.send("/long 400")
    other.wait_words(5)
    other.composer.press("Escape")
    seen = len(other.rows[-1].words)
    other.wait_words(seen + 10)
    mine.composer.press("Escape")
    mine.wait_state("stopped")
    other.wait_state("stopped")


def test_an_input_method_at_work_never_sends(people: People) -> None:
    """AC-64, with Chromium's own composition."""
    chat = people.join().new_chat()
    chat.composer.focus()
    keyboard = chat.page.context.new_cdp_session(chat.page)
    keyboard.send("Input.imeSetComposition", {"text": "にほん", "selectionStart": 3, "selectionEnd": 3})
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
    keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter, "windowsVirtualKeyCode": 229})
    keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    keyboard.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})
    assert chat.composer.input_value() == "にほん"
    keyboard.send("Input.insertText", {"text": "日本"})
    assert chat.rows == []
    chat.composer.press("Enter")
    chat.wait_text("^日本$")


def test_on_a_phone_enter_breaks_the_line(people: People) -> None:
    chat = people.join(**PHONE).new_chat()
    chat.composer.fill("one")
    chat.composer.press("Enter")
    assert chat.composer.input_value() == "one\n"
    chat.page.locator("#send").click()
    chat.wait_rows(2)


def test_a_draft_survives_a_reload(people: People) -> None:
    chat = people.join().new_chat()
    chat.composer.fill("Half a thou")
    chat.reload().wait_live()
    assert chat.composer.input_value() == "Half a thou"
    chat.send("Half a thought")
    chat.wait_rows(2)
    chat.reload().wait_live()
    assert chat.composer.input_value() == ""


def refused(chat: ChatPage, text: str) -> None:
    chat.page.route("**/api/chat?id=*", refuse)
    chat.send(text)
    chat.page.locator("[data-kind=unsent]", has_text="The server has had enough.").wait_for()
    assert chat.composer.input_value() == ""
    chat.page.unroute("**/api/chat?id=*")


def test_a_refused_message_can_be_edited_or_sent_again(people: People) -> None:
    person = people.join()
    person.guard.allow("status of 400")
    chat = person.new_chat()
    refused(chat, "My words")
    said = chat.page.locator("#announce-assertive").text_content() or ""
    assert "enough" in said, "those who cannot see it hear it"
    chat.composer.fill("and more")
    chat.page.locator("[data-action=edit]").click()
    assert chat.composer.input_value() == "My words\nand more", "nothing that was written is overwritten"
    eventually(lambda: not chat.rows, what="the message is taken out")

    refused(chat, "Other words")
    chat.page.locator("[data-action=resend]").click()
    chat.wait_rows(2)
    assert len(chat.snapshot()["messages"]) == 2


def test_a_refused_retry_is_said(people: People) -> None:
    person = people.join()
    person.guard.allow("status of 400")
    chat = person.new_chat()
    chat.send("/fail")
    chat.wait_state("failed")
    chat.page.route("**/api/chat?id=*", refuse)
    chat.page.locator("[data-action=retry]").click()
    chat.page.locator("#connection", has_text="The server has had enough.").wait_for()
    chat.page.unroute("**/api/chat?id=*")
    chat.page.locator("[data-action=retry]").dblclick()
    attempts = chat.page.locator(".version-count")
    eventually(lambda: attempts.all_inner_texts() == ["2 / 2"], what="another attempt")
    chat.wait_state("failed")
    chat.reload().wait_live()
    assert attempts.all_inner_texts() == ["2 / 2"], "two clicks, one attempt"
