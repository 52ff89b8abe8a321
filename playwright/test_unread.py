"""What is new since somebody looked, and that nobody else's doing moves what they look at."""

from __future__ import annotations

import json

import pytest

from support.chat_page import ChatPage
from support.people import People
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_AGENT": "echo"}


def say(chat: ChatPage, *texts: str) -> None:
    """Messages of whoever has this tab, without the tab."""
    for text in texts:
        parts = [{"type": "text", "content": text}]
        message = {"id": f"m-{abs(hash(text))}", "role": "user", "parts": parts}
        url = f"{chat.origin}/api/chat?id={chat.id}&mode=await"
        assert chat.page.context.request.post(url, data={"messages": [message]}).status == 200


def seen_to_the_end(chat: ChatPage) -> None:
    """Wait until the server knows that everything has been read."""

    def known() -> bool:
        page = chat.page.context.request.get(chat.url).text()
        island = json.loads(page.partition('id="chat-data">')[2].partition("</script>")[0])
        return bool(island["readTo"] == island["snapshot"]["messages"][-1]["id"])

    eventually(known, interval=0.1, what="it is known how far I have read")


def below_the_line(chat: ChatPage) -> str:
    return str(chat.page.evaluate("document.querySelector('.unread')?.nextElementSibling.innerText ?? ''"))


@pytest.mark.parametrize("length", [40, 400], ids=["on the last page", "above the last page"])
def test_a_page_opens_at_what_is_new(people: People, length: int) -> None:
    ana = people.join()
    host = ana.new_chat()
    ben = people.join().open(host.share("chat"))
    host.send("Before I go")
    host.wait_rows(2)
    assert host.page.locator(".unread").count() == 0
    seen_to_the_end(host)
    host.page.goto("about:blank")

    say(ben, *[f"News {number} {'and-so-on-' * length}" for number in range(8)])
    host = ana.open(host.url)
    line = host.page.locator(".unread")
    assert line.inner_text() == "New since you were here"
    assert "News 0" in below_the_line(host)
    assert 0 < (line.bounding_box() or {"y": 0})["y"] < 150, "the view begins at the line"
    assert host.page.locator("#jump").is_visible()
    host.page.locator("#jump").click()
    host.page.locator("#jump").wait_for(state="hidden")
    seen_to_the_end(host)
    host.reload().wait_live()
    assert line.count() == 0, "what was at the end and in view has been read"
    ana.equals_fresh(host)


def test_a_line_is_drawn_while_one_looks_elsewhere(people: People) -> None:
    host = people.join().new_chat()
    ben = people.join().open(host.share("chat"))
    say(host, "Mine")
    host.wait_rows(2)
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    host.page.evaluate(hide, True)
    say(ben, "While you were away")
    host.wait_rows(4)
    host.page.evaluate(hide, False)
    assert "While you were away" in below_the_line(host)
    host.send("I am back")
    host.wait_rows(6)
    assert host.page.locator(".unread").count() == 0


def test_another_tab_moves_nothing_here(people: People) -> None:
    """AC-23: scroll, draft and open menus belong to a tab."""
    ana = people.join()
    here = ana.new_chat()
    say(here, *[f"Line {number} {'and so on ' * 60}" for number in range(8)])
    there = ana.open(here.url)
    here.wait_rows(16)
    here.page.evaluate("document.querySelector('#scroller').scrollTop = 300")
    here.page.locator("#jump").wait_for()
    here.composer.fill("Half a thou")
    here.page.locator(".message [data-action=more]").nth(2).click()
    menu = here.page.locator("#message-menu")
    menu.wait_for()
    top = here.page.evaluate("document.querySelector('#scroller').scrollTop")
    there.composer.fill("Something else")
    there.send("Said in the other tab")
    there.page.locator("#theme").click()
    eventually(lambda: "2 new" in here.page.locator("#jump").inner_text(), what="the news")
    assert here.page.evaluate("document.querySelector('#scroller').scrollTop") == top
    assert here.composer.input_value() == "Half a thou"
    assert menu.is_visible()
