"""One connection per browser: many tabs, tabs that freeze, sleep, go back, and tabs that cannot share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserType, Page, Request

from support import chromium
from support.chat_page import ChatPage, same_everywhere
from support.people import People, Person
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

LAN_NAME = "chat.test"
SERVER_ENV = {
    "DURABLE_CHAT_DEMO_WORD_DELAY": "0.02",
    "DURABLE_CHAT_TITLES": "off",
    "DURABLE_CHAT_ALLOWED_HOSTS": LAN_NAME,
}


class Connections:
    """The live replies that the tabs of one person have open."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._open: dict[Request, Page] = {}
        person.expect_broken_network()  # a connection that is let go counts as a failure in the console
        person.context.on("request", self._begin)
        for event in ("requestfinished", "requestfailed"):
            person.context.on(event, self._end)

    def _begin(self, request: Request) -> None:
        if "/api/live?" in request.url and "live=no" not in request.url:
            self._open[request] = request.frame.page

    def _end(self, request: Request) -> None:
        self._open.pop(request, None)

    @property
    def pages(self) -> list[Page]:
        # Asking a page lets events be counted.
        self._person.context.pages[0].evaluate("0")
        return list(self._open.values())

    def leader(self, tabs: list[ChatPage]) -> ChatPage:
        """The one tab that has a connection, once there is only one."""
        eventually(lambda: len(self.pages) == 1, what="one connection")
        return next(tab for tab in tabs if tab.page is self.pages[0])


def open_tabs(person: Person, urls: list[str]) -> list[ChatPage]:
    """All at once, as a browser does that is started again."""
    pages = [person.context.new_page() for _ in urls]
    for page, url in zip(pages, urls, strict=True):
        page.goto(url, wait_until="commit")
    tabs = [ChatPage(page, url, person.guard) for page, url in zip(pages, urls, strict=True)]
    return [tab.wait_live() for tab in tabs]


def twenty_tabs(person: Person, *, shared: int) -> None:
    """``shared`` tabs on one chat, the others on one each: all load, stream and send."""
    connections = Connections(person)
    request = person.context.request

    def new_url() -> str:
        return f"{person.origin}/chat/{request.post(f'{person.origin}/api/chats', data={}).json()['id']}"

    one = new_url()
    tabs = open_tabs(person, [one] * shared + [new_url() for _ in range(20 - shared)])
    alike, others = tabs[:shared], tabs[shared:]
    assert len(connections.pages) == 1
    for tab in [*alike[:1], *others]:
        tab.send("/long 20")
    for tab in tabs:
        tab.wait_rows(2)
    # The other five connections are free for whoever sends, from whichever tab.
    for number, tab in enumerate(alike[1:3] + alike[-1:]):
        tab.send("/long 5")
        tab.wait_rows(4 + 2 * number)
    if alike:
        same_everywhere(*alike)
    assert len(connections.pages) == 1


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_twenty_tabs_on_plain_http(people: People) -> None:
    """AC-27, F30: half of them on one chat, half on ten others."""
    twenty_tabs(people.join(), shared=10)


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("shared", [20, 0])
def test_twenty_tabs_on_one_chat_or_on_twenty(people: People, shared: int) -> None:
    """AC-27."""
    twenty_tabs(people.join(), shared=shared)


def freeze(tab: ChatPage, state: str) -> None:
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Page.setWebLifecycleState", {"state": state})
    session.detach()


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_leader_that_is_frozen_or_closed_is_replaced_without_a_gap(people: People) -> None:
    """AC-30, F31."""
    person = people.join()
    connections = Connections(person)
    first = person.new_chat()
    tabs = [first, *open_tabs(person, [first.url] * 2)]
    frozen = connections.leader(tabs)
    rest = [tab for tab in tabs if tab is not frozen]
    rest[0].send("/long 150")
    for tab in tabs:
        tab.wait_words(5)

    freeze(frozen, "frozen")
    eventually(
        lambda: any(tab.page in connections.pages for tab in rest), timeout=10, what="another has taken over"
    )
    for tab in rest:
        tab.wait_words(len(tab.rows[-1].words) + 5)

    closed = next(tab for tab in rest if tab.page in connections.pages)
    rest.remove(closed)
    closed.page.close()
    rest[0].wait_rows(2)

    freeze(frozen, "active")
    frozen.wait_rows(2)
    same_everywhere(frozen, *rest)
    eventually(lambda: len(connections.pages) == 1, what="one of them has let go")
    rest[0].send("Thank you")
    frozen.wait_rows(4)


def test_a_tab_that_sleeps_through_an_answer_has_it_when_it_wakes(people: People) -> None:
    """AC-32, F31: as when a phone is locked."""
    person = people.join()
    person.expect_broken_network()
    chat = person.new_chat()
    chat.mark()
    chat.send("/long 60")
    chat.wait_words(5)
    freeze(chat, "frozen")
    reply = person.context.request
    snapshot = f"{chat.origin}/api/chats/{chat.id}/snapshot"
    eventually(lambda: not reply.get(snapshot).json()["activeRuns"], timeout=25, what="the end of the run")
    freeze(chat, "active")
    chat.wait_rows(2)
    same_everywhere(chat)
    assert chat.marked, "the page was reloaded"


@pytest.fixture(scope="module")
def plain_browser(browser_type: BrowserType) -> Iterator[Browser]:
    """One that keeps pages for the way back, and knows the server by a name that is no secure context."""
    options = chromium.launch_options()
    flags = [*options.pop("args"), f"--host-resolver-rules=MAP {LAN_NAME} 127.0.0.1"]  # type: ignore[misc]
    browser = browser_type.launch(
        **options,  # type: ignore[arg-type]
        args=flags,
        ignore_default_args=["--disable-back-forward-cache"],
    )
    yield browser
    browser.close()


def test_back_from_another_page_is_live_again(plain_browser: Browser, server: ServerProcess) -> None:
    """AC-33."""
    with People(plain_browser, server.url) as people:
        person = people.join()
        chat = person.new_chat()
        chat.mark()
        chat.send("Before")
        before = chat.wait_rows(2)
        chat.page.goto(f"{server.url}/lab")
        elsewhere = person.open(chat.url)
        elsewhere.send("Meanwhile")
        elsewhere.wait_rows(4)
        chat.page.go_back()
        assert chat.marked, "the browser kept the page"
        rows = chat.wait_rows(4)
        assert rows[:2] == before
        chat.wait_live().send("And now")
        elsewhere.wait_rows(6)
        same_everywhere(chat, elsewhere)


def test_without_web_locks_hidden_tabs_let_go(plain_browser: Browser, server: ServerProcess) -> None:
    """A LAN address over plain http."""
    with People(plain_browser, f"http://{LAN_NAME}:{server.port}") as people:
        person = people.join()
        connections = Connections(person)
        first = person.new_chat()
        assert first.page.evaluate("[isSecureContext, navigator.locks === undefined]") == [False, True]
        second = person.open(first.url)
        eventually(lambda: len(connections.pages) == 2, what="each has its own")
        turn(first, hidden=True)
        eventually(lambda: connections.pages == [second.page], what="who is hidden has let go")
        second.send("Hello")
        second.wait_rows(2)
        turn(first, hidden=False)
        first.wait_rows(2)
        same_everywhere(first, second)


def turn(tab: ChatPage, *, hidden: bool) -> None:
    """Without a window there is nothing that could be in front of it."""
    tab.page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
          document.dispatchEvent(new Event("visibilitychange", {bubbles: true}));
        }""",
        hidden,
    )
