"""The page itself: its weight, its manners, and what it does with bad input or without JavaScript."""

from __future__ import annotations

import gzip
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Response

from support.people import PHONE, People
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_AGENT": "echo"}

BUDGET = 60_000


def test_page_weight(people: People) -> None:
    """What a chat page loads before anybody does anything is at most 60 kB gzipped in all."""
    person = people.join()
    loaded: dict[str, bytes] = {}

    def keep(response: Response) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0]
        if kind in {"text/html", "text/css", "text/javascript", "image/svg+xml"}:
            loaded[urlsplit(response.url).path] = response.body()

    person.context.on("response", keep)
    chat = person.new_chat()
    at_once = {path: _gzipped(body) for path, body in loaded.items()}
    chat.send("Hello")
    chat.wait_rows(2)
    sizes = {path: _gzipped(body) for path, body in loaded.items()}
    for path, size in sorted(sizes.items(), key=lambda each: each[1]):
        print(f"{size:>7} {path}{'' if path in at_once else ' (later)'}")
    print(f"at once: {sum(at_once.values())} bytes, with an answer: {sum(sizes.values())}")
    assert {path.rpartition(".")[2] for path in sizes} >= {"css", "js", "svg"}
    assert sum(at_once.values()) <= BUDGET
    assert {urlsplit(url).netloc for url in person.guard.requests} == {urlsplit(people.origin).netloc}


def _gzipped(body: bytes) -> int:
    return len(gzip.compress(body, 9))


def test_over_long_text_is_refused_and_not_lost(people: People) -> None:
    person = people.join()
    person.guard.allow("status of 413")
    chat = person.new_chat()
    text = "x" * 300_000
    chat.composer.fill(text)
    chat.page.locator("#send").click()
    eventually(
        lambda: (
            chat.page.locator(
                "[data-message-id] .notice, [data-delivery=failed], #composer [role=alert]"
            ).count()
            or chat.composer.input_value() == text
        ),
        what="a refusal on the screen",
    )
    assert chat.snapshot()["messages"] == []
    chat.composer.fill("Short")
    chat.page.locator("#send").click()
    chat.wait_text("Echo: Short")


@pytest.mark.parametrize("text", ["", "   ", "\n\n\t "])
def test_nothing_is_sent_when_nothing_is_written(people: People, text: str) -> None:
    chat = people.join().new_chat()
    chat.composer.fill(text)
    chat.composer.press("Enter")
    chat.composer.fill("Real")
    chat.composer.press("Enter")
    chat.wait_rows(2)
    assert len(chat.snapshot()["messages"]) == 2


@pytest.mark.parametrize(
    "text",
    [
        "<b>&amp;\u2028\u2029\u0000\ufeff\ud7ff</b>",
        "\u202eright to left\u202c and ZWJ 👩‍👩‍👧‍👦",
        "'); DROP TABLE chats; --",
        '{"type":"RUN_ERROR"}\n\nevent: control\ndata:{}',
        "one line\r\nanother\rand another",
    ],
    ids=["controls", "bidi", "sql", "sse", "line-ends"],
)
def test_odd_text_arrives_as_it_was_written(people: People, text: str) -> None:
    chat = people.join().new_chat()
    chat.composer.fill(text)
    written = chat.composer.input_value()
    chat.page.locator("#send").click()
    chat.wait_rows(2)
    stored = chat.snapshot()["messages"][0]["parts"][0]["content"]
    assert stored.strip() == written.strip()


def test_shift_enter_breaks_the_line_and_composition_does_not_send(people: People) -> None:
    chat = people.join().new_chat()
    chat.composer.fill("one")
    chat.composer.press("Shift+Enter")
    chat.composer.type("two")
    chat.composer.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    assert chat.composer.input_value() == "one\ntwo"
    chat.composer.press("Enter")
    chat.wait_rows(2)
    assert chat.snapshot()["messages"][0]["parts"][0]["content"] == "one\ntwo"


def test_the_composer_is_never_disabled(people: People, server: ServerProcess) -> None:
    chat = people.join().new_chat()
    chat.send("word " * 300)
    chat.wait_words(5)
    assert chat.composer.is_enabled()
    assert chat.page.locator("#send").is_enabled()
    chat.send("While it streams")
    chat.wait_text("Echo: While it streams")


def test_wide_content_scrolls_inside_its_message(people: People) -> None:
    chat = people.join(**PHONE).new_chat()
    cells = "| " + " | ".join(f"column{number:03}" for number in range(20)) + " |"
    wide = f"{'word' * 200}\n\n```\n{'code ' * 100}\n```\n\n{cells}\n{'|-' * 20}|\n"
    chat.composer.fill(wide)
    chat.page.locator("#send").click()
    chat.wait_rows(2)
    overflowing = """() => [...document.querySelectorAll('#transcript :is(.message-body, pre, table)')]
        .filter(node => node.getBoundingClientRect().right > innerWidth).length"""
    assert chat.page.evaluate(overflowing) == 0
    assert chat.page.evaluate("document.querySelector('#scroller').scrollWidth <= innerWidth")


def test_older_messages_arrive_above_and_the_view_stays(people: People) -> None:
    """AC-40."""
    person = people.join()
    chat = person.new_chat()
    for number in range(40):
        parts = [{"type": "text", "content": f"Number {number}"}]
        message = {"id": f"message-{number:03}", "role": "user", "parts": parts}
        url = f"{chat.origin}/api/chat?id={chat.id}&mode=await"
        assert person.context.request.post(url, data={"messages": [message]}).status == 200
    chat.reload().wait_live()
    assert len(chat.rows) < 80
    # In one task: where the first row is as the view arrives at the top, so that the fragment is on its way.
    first = chat.page.evaluate("""() => {
        window.scroller = document.querySelector('#scroller');
        window.first = document.querySelector('#transcript article');
        scroller.scrollTop = 1;
        return first.getBoundingClientRect().top;
    }""")
    eventually(lambda: len(chat.rows) == 80, what="all rows")
    assert abs(chat.page.evaluate("first.getBoundingClientRect().top") - first) <= 2
    assert chat.rows[0].text == "Number 0"
    assert not chat.page.locator(".edge").count()


def test_without_javascript_a_form_is_enough(people: People) -> None:
    person = people.join(java_script_enabled=False)
    page = person.context.new_page()
    page.goto(people.origin)
    page.locator("form[method=post]").first.locator("button, input[type=submit]").first.click()
    page.wait_for_url("**/chat/*")
    page.locator("#composer-input").fill("Plain old form")
    page.locator("#send").click()

    def answered() -> bool:
        page.reload()
        return "Echo: Plain old form" in page.locator("#transcript").inner_text()

    eventually(answered, interval=0.2, what="the answer")
    assert "Plain old form" in page.locator("#transcript article").first.inner_text()
    page.locator("#composer-input").fill("@Echo, are you there?")
    page.locator("#send").click()
    assert page.locator(".mention").first.inner_text() == "@Echo"
    # What only works with JavaScript is not there to be pressed.
    dead = """() => [...document.querySelectorAll('button')].filter(each => each.checkVisibility())
        .filter(each => each.type === 'button' && !each.popoverTargetElement)
        .filter(each => getComputedStyle(each).pointerEvents !== 'none').map(each => each.outerHTML)"""
    assert page.evaluate(dead) == []


def test_an_unknown_chat_is_a_page_that_leads_home(people: People) -> None:
    person = people.join()
    person.guard.allow("status of 404")
    page = person.context.new_page()
    reply = page.goto(f"{people.origin}/chat/{'A' * 22}")
    assert reply is not None
    assert reply.status == 404
    assert page.locator("a[href='/']").count() >= 1
    assert "Traceback" not in page.content()


def test_a_strangers_chat_looks_unknown(people: People) -> None:
    chat = people.join().new_chat()
    stranger = people.join()
    stranger.guard.allow("status of 404")
    page = stranger.context.new_page()
    reply = page.goto(chat.url)
    assert reply is not None
    assert reply.status == 404
