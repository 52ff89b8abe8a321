"""One connection per browser: many tabs, tabs that freeze, sleep, go back, and tabs that cannot share."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, BrowserType, Page, Request, Route

from support.chat_page import ChatPage, same_everywhere
from support.people import People, Person
from support.window import LAN_NAME, at_window, freeze, wake, window
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

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
        # Asking a page that is in view lets events be counted.
        self._person.context.pages[-1].evaluate("0")
        return [page for page in self._open.values() if not page.is_closed()]

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


@pytest.fixture(scope="module")
def desk(browser_type: BrowserType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with window(browser_type, tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def person(desk: BrowserContext, server: ServerProcess) -> Iterator[Person]:
    """Somebody with one window, of whose tabs one is in view."""
    with at_window(desk, server.url) as person:
        yield person


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_leader_that_is_frozen_or_closed_is_replaced_without_a_gap(person: Person) -> None:
    """AC-30, F31."""
    connections = Connections(person)
    frozen = person.new_chat()
    rest = [person.open(frozen.url), person.open(frozen.url)]
    assert connections.leader([frozen, *rest]) is frozen
    seen = rest[-1]
    seen.send("/long 150")
    seen.wait_words(5)

    sleeping = freeze(frozen)
    eventually(lambda: any(tab.page in connections.pages for tab in rest), what="another has taken over")
    seen.wait_words(len(seen.rows[-1].words) + 5)
    eventually(lambda: len(connections.pages) == 1, what="one connection")

    leader = next(tab for tab in rest if tab.page in connections.pages)
    rest.remove(leader)
    leader.page.close()
    last = rest[0]
    last.page.bring_to_front()
    last.wait_rows(2)

    wake(sleeping)
    frozen.page.bring_to_front()
    frozen.wait_rows(2)
    same_everywhere(frozen)
    eventually(lambda: len(connections.pages) == 1, what="who was frozen has let go")
    frozen.send("Thank you")
    frozen.wait_rows(4)
    last.page.bring_to_front()
    last.wait_rows(4)
    same_everywhere(last)


def test_a_tab_that_sleeps_through_an_answer_has_it_when_it_wakes(person: Person) -> None:
    """AC-32, F31: as when a phone is locked."""
    chat = person.new_chat()
    chat.mark()
    chat.send("/long 60")
    chat.wait_words(5)
    person.context.pages[0].bring_to_front()
    sleeping = freeze(chat)
    reply = person.context.request
    snapshot = f"{chat.origin}/api/chats/{chat.id}/snapshot"
    eventually(lambda: not reply.get(snapshot).json()["activeRuns"], timeout=25, what="the end of the run")
    wake(sleeping)
    chat.page.bring_to_front()
    chat.wait_rows(2)
    same_everywhere(chat)
    assert chat.marked, "the page was reloaded"


def keep(route: Route) -> None:
    """Chromium does not keep pages that must not be stored, others do."""
    reply = route.fetch()
    route.fulfill(response=reply, headers={**reply.headers, "cache-control": "no-cache"})


WHY_NOT = "() => JSON.stringify(performance.getEntriesByType('navigation')[0].notRestoredReasons)"


def test_back_from_another_page_is_live_again(person: Person) -> None:
    """AC-33, F31."""
    chat = person.new_chat()
    chat.page.route(re.compile("/chat/[^/]+$|/lab$"), keep)
    chat.reload().wait_live()
    chat.mark()
    chat.send("Before")
    before = chat.wait_rows(2)
    chat.page.goto(f"{person.origin}/lab")
    elsewhere = person.open(chat.url)
    elsewhere.send("Meanwhile")
    elsewhere.wait_rows(4)
    chat.page.bring_to_front()
    # Of a page that is kept no "load" tells.
    chat.page.evaluate("() => { setTimeout(() => history.back()) }")
    chat.page.wait_for_url(chat.url, wait_until="commit")
    assert chat.marked, chat.page.evaluate(WHY_NOT)
    assert chat.wait_rows(4)[:2] == before
    chat.wait_live().send("And now")
    chat.wait_rows(6)
    elsewhere.page.bring_to_front()
    elsewhere.wait_rows(6)


NEW_CHAT = """async () => {
  const init = {method: "POST", headers: {"content-type": "application/json"}, body: "{}"};
  return "/chat/" + (await (await fetch("/api/chats", init)).json()).id;
}"""


def test_without_web_locks_hidden_tabs_let_go(desk: BrowserContext, server: ServerProcess) -> None:
    """A LAN address over plain http."""
    origin = f"http://{LAN_NAME}:{server.port}"
    with at_window(desk, origin) as person:
        page = person.context.new_page()
        person.guard.allow("Cross-Origin-Opener-Policy header has been ignored")
        page.goto(origin)
        url = origin + page.evaluate(NEW_CHAT)  # only the browser knows that name
        page.close()
        connections = Connections(person)
        first = person.open(url)
        page = first.page
        assert page.evaluate("[isSecureContext, navigator.locks === undefined]") == [False, True]
        eventually(lambda: connections.pages == [page], what="a connection of its own")
        second = person.open(first.url)
        eventually(lambda: connections.pages == [second.page], what="who is hidden has let go")
        second.send("Hello")
        second.wait_rows(2)
        page.bring_to_front()
        first.wait_rows(2)
        eventually(lambda: connections.pages == [page], what="who is in view has it")
        first.wait_live()
