"""The key flows in Firefox, beside a Chromium that has the same chat open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Playwright

from support import firefox
from support.chat_page import ChatPage, same_everywhere, text_of
from support.people import People
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.02", "DURABLE_CHAT_PING_INTERVAL": "2"}


@pytest.fixture
def foxes(playwright: Playwright, proxy: FaultProxy) -> Iterator[People]:
    with firefox.launched(playwright) as browser, People(browser, proxy.url) as people:
        yield people


@pytest.mark.slow
def test_key_flows_in_firefox(foxes: People, people: People, proxy: FaultProxy) -> None:
    ana, ben = foxes.join(), people.join()
    ana.guard.allow(firefox.NETWORK)

    # A new chat, and an answer that streams in another browser too, let in by a link.
    page = ana.context.new_page()
    page.goto(ana.origin)
    page.get_by_role("button", name="Start a chat").click()
    page.wait_for_url("**/chat/*")
    hers = ChatPage(page, page.url, ana.guard).wait_live()
    hers.send("/long 150")
    hers.wait_words(5)
    his = ben.open(hers.share("chat").replace(foxes.origin, people.origin))
    before = his.wait_words(20)
    assert his.rows[-1].state == "streaming"

    # A refresh in the middle of it.
    seen = hers.wait_words(30)
    hers.reload()
    assert hers.rows[-1].words[: len(seen)] == seen
    for chat in (hers, his):
        rows = chat.wait_rows(2)
        assert rows[-1].words[: len(before)] == before

    # Offline: what is said waits, in words, and outlives the tab.
    hers.wait_live()
    proxy.down()
    eventually(lambda: hers.live != "live", what="the page knows")
    for text in ("One", "Two"):
        hers.send(text)
    hers.page.locator("#activity", has_text="2 queued, will send when online").wait_for()
    hers.page.close()
    proxy.up()
    again = ana.open(hers.url)
    for chat in (again, his):
        chat.wait_rows(6)
    said = [text_of(each) for each in his.snapshot()["messages"] if each["role"] == "user"]
    assert said == ["/long 150", "One", "Two"]

    # Stopped there, it is stopped here.
    his.send("/long 400")
    again.wait_words(5)
    again.page.locator("#stop").click()
    for chat in (again, his):
        chat.wait_state("stopped")
    same_everywhere(his, again)
