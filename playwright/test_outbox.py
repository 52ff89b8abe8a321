"""What was said is kept until it is answered: whatever becomes of the tab, the browser or the network."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Request, Route

from support.chat_page import ChatPage, text_of
from support.people import People, Person
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.005", "DURABLE_CHAT_PING_INTERVAL": "2"}
SEND = "**/api/chat?id=*"
DELIVERIES = """() => [...document.querySelectorAll("#transcript [data-delivery]")]
    .map(row => [row.dataset.delivery, row.querySelector(".message-body").innerText])"""


def said(chat: ChatPage) -> list[str]:
    """What people have said, by the server's account."""
    return [text_of(message) for message in chat.snapshot()["messages"] if message["role"] == "user"]


def deliveries(chat: ChatPage) -> list[tuple[str, str]]:
    """The messages that are on their way, as they are shown."""
    rows = chat.page.evaluate(DELIVERIES)
    return [(state, text) for state, text in rows]


def watch_posts(context: BrowserContext) -> list[str]:
    """The ids of the messages that pages of this browser post, as often as they do."""
    posts: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and "/api/chat?" in request.url:
            posts.append(request.post_data_json["messages"][0]["id"])

    context.on("request", note)
    return posts


def cut(proxy: FaultProxy, *chats: ChatPage) -> None:
    proxy.down()
    for chat in chats:
        eventually(lambda chat=chat: chat.live != "live", what="the page knows")


def back(proxy: FaultProxy, *chats: ChatPage) -> None:
    proxy.up()
    for chat in chats:
        chat.retry_now()


def refuse(status: int, sentence: str) -> Callable[[Route], None]:
    body = json.dumps({"error": sentence, "code": "no"})
    return lambda route: route.fulfill(status=status, content_type="application/json", body=body)


@pytest.fixture
def ana(people_behind: People) -> Person:
    person = people_behind.join()
    person.expect_broken_network()
    return person


def test_a_queue_made_offline_is_said_in_words_and_sent_in_order_by_a_tab_that_is_left(
    ana: Person, proxy: FaultProxy
) -> None:
    first = ana.new_chat()
    second = ana.open(first.url)
    cut(proxy, first, second)
    texts = ["One", "Two", "Three"]
    for text in texts:
        first.send(text)
    words = "3 queued, will send when online"
    shown = [("sending", text) for text in texts]
    for chat in (first, second):
        chat.page.locator("#activity", has_text=words).wait_for()
        eventually(lambda chat=chat: deliveries(chat) == shown, what="three bubbles")
    posts = watch_posts(ana.context)
    first.page.close()
    assert said_later(proxy, second) == texts
    eventually(lambda: not deliveries(second), what="the stream has them")
    assert len(set(posts)) == 3
    second.wait_rows(6)
    ana.equals_fresh(second)


def said_later(proxy: FaultProxy, chat: ChatPage) -> list[str]:
    back(proxy, chat)
    chat.wait_live()
    return eventually(lambda: (found := said(chat)) and len(found) == 3 and found, what="all is sent") or []


def test_a_tab_that_is_closed_right_after_enter_has_said_it(ana: Person, proxy: FaultProxy) -> None:
    """Any page of ours sends it, the start page too."""
    chat = ana.new_chat()
    cut(proxy, chat)
    chat.send("Before I go")
    chat.page.close()
    proxy.up()
    home = ana.context.new_page()
    posts = watch_posts(ana.context)
    home.goto(ana.origin)
    eventually(lambda: said(chat) == ["Before I go"], what="it is sent")
    again = ana.open(chat.url)
    again.wait_rows(2)
    assert deliveries(again) == []
    assert len(posts) == 1


def test_a_chat_opened_again_sends_what_it_was_left_with_and_runs_its_tools(
    ana: Person, proxy: FaultProxy
) -> None:
    chat = ana.new_chat()
    cut(proxy, chat)
    chat.send("/browser")
    chat.page.close()
    proxy.up()
    again = ana.open(chat.url)
    again.wait_text("it is .* in ")
    assert said(again) == ["/browser"]


def test_the_bubble_is_there_again_after_a_reload_in_the_middle(ana: Person) -> None:
    chat = ana.new_chat()
    other = ana.open(chat.url)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    ana.context.route(SEND, hold)
    chat.send("Hold on")
    eventually(lambda: chat.page.evaluate("1") and held, what="it is on its way")
    chat.reload().wait_live()
    for tab in (chat, other):
        eventually(lambda tab=tab: deliveries(tab) == [("sending", "Hold on")], what="the same bubble")
    ana.context.unroute(SEND)  # which lets go of what is held
    for tab in (chat, other):
        tab.retry_now()
        tab.wait_rows(2)
    assert said(chat) == ["Hold on"]


def test_a_reply_that_is_lost_after_the_commit_ends_in_one_message(ana: Person) -> None:
    """AC-11."""
    chat = ana.new_chat()
    attempts: list[int] = []

    def lose(route: Route) -> None:
        attempts.append(route.fetch().status)
        route.abort()

    ana.context.route(SEND, lose, times=1)
    chat.send("Once")
    chat.wait_rows(2)
    assert attempts == [202]
    assert said(chat) == ["Once"]
    eventually(lambda: not deliveries(chat), what="nothing waits")


def test_what_is_refused_keeps_its_text_through_a_reload(ana: Person) -> None:
    ana.guard.allow("status of 403")
    chat = ana.new_chat()
    ana.context.route(SEND, refuse(403, "Not this."))
    chat.send("My words")
    notice = chat.page.locator("[data-kind=unsent]", has_text="Not this.")
    notice.wait_for()
    chat.reload().wait_live()
    notice.wait_for()
    ana.context.unroute(SEND)
    chat.page.locator("[data-action=edit]").click()
    assert chat.composer.input_value() == "My words"
    eventually(lambda: not chat.rows, what="it is taken out")
    chat.send("Better words")
    chat.wait_rows(2)
    chat.reload().wait_live()
    assert said(chat) == ["Better words"]


def test_a_message_to_a_chat_that_is_gone_says_so_wherever_its_writer_is(
    ana: Person, proxy: FaultProxy
) -> None:
    ana.guard.allow("status of 404")
    chat = ana.new_chat()
    cut(proxy, chat)
    chat.send("Too late")
    chat.page.close()
    ana.context.route(SEND, refuse(404, "There is no such chat."))
    proxy.up()
    home = ana.context.new_page()
    for url in (ana.origin, ana.new_chat().url):
        home.goto(url)
        lost = home.locator(".queue-item", has_text="Not sent. There is no such chat.")
        lost.wait_for()
        assert "Too late" in lost.inner_text()
    lost.get_by_role("button", name="Discard").click()
    home.reload()
    eventually(lambda: home.locator("#chat[data-live=live]").count() == 1, what="the page is up")
    assert lost.count() == 0


@pytest.mark.parametrize("without", ["navigator.locks", "indexedDB"])
def test_what_a_browser_lacks_costs_no_message(people: People, without: str) -> None:
    owner, _, name = without.rpartition(".")
    person = people.join()
    person.context.add_init_script(
        f"Object.defineProperty({owner or 'self'}, {name!r}, {{value: undefined, configurable: true}})"
    )
    chat = person.new_chat()
    other = person.open(chat.url)
    chat.send("One")
    other.wait_rows(2)
    other.send("Two")
    for tab in (chat, other):
        tab.wait_rows(4)
        eventually(lambda tab=tab: not deliveries(tab), what="nothing waits")
    assert said(chat) == ["One", "Two"]


def test_two_people_of_one_browser_never_mix(ana: Person, proxy: FaultProxy) -> None:
    chat = ana.new_chat()
    cut(proxy, chat)
    chat.send("Ana's own")
    chat.page.close()
    proxy.up()
    cookies = ana.context.cookies()
    ana.context.clear_cookies()
    home = ana.context.new_page()
    home.goto(ana.origin)  # somebody else now
    posts = watch_posts(ana.context)
    somebody = ana.new_chat()
    somebody.send("Somebody's own")
    somebody.wait_rows(2)
    assert said(somebody) == ["Somebody's own"]
    assert len(posts) == 1
    home.close()
    somebody.page.close()
    ana.context.clear_cookies()
    ana.context.add_cookies(cookies)  # type: ignore[arg-type]
    again = ana.open(chat.url)
    again.wait_rows(2)
    assert said(again) == ["Ana's own"]
