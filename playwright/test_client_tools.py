"""Tools that run in the browser of who asked, and whose run is whose on a page that several people share."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, Request, Route

from support.chat_page import ChatPage, same_everywhere
from support.people import People
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.01"}

# The published surface, in the page: a client of its own beside the page's.
CLIENT = """async ({id}) => {
  const main = document.querySelector("script[type=module][src*='main.js']").src;
  const load = (name) => import(main.replace("page/main.js", name));
  const {durableConnection} = await load("durable-connection.js");
  const {ChatClient} = await load("chat-client.js");
  const connection = durableConnection({sendUrl: `/api/chat?id=${id}`, readUrl: `/api/chat-stream?id=${id}`});
  const me = JSON.parse(document.getElementById("chat-data").textContent).me;
  window.client = new ChatClient({connection, me, chatId: id, stopUrl: "/api/chat/stop"});
  window.client.start();
}"""
STATE = "() => ['status', 'isLoading', 'sessionGenerating'].map((name) => window.client[name])"


class Watch:
    """What a tab asks of the server: its own tool's module, and runs that go on."""

    def __init__(self, page: Page) -> None:
        self.loaded = 0
        self.resumed: list[Any] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        self.loaded += "browser-clock.js" in request.url
        if request.method == "POST" and "/api/chat?" in request.url:
            body = request.post_data_json
            self.resumed += body.get("resume") or []


def test_a_tool_runs_in_the_tab_that_asked_and_in_no_other(people: People) -> None:
    ana = people.join(timezone_id="Asia/Tokyo", locale="ja-JP")
    ben = people.join(timezone_id="Europe/Lisbon")
    first = ana.new_chat()
    second, third = ana.open(first.url), ben.open(first.share("chat"))
    tabs = (first, second, third)
    watches = [Watch(tab.page) for tab in tabs]

    second.send("/browser")

    for tab in tabs:
        tab.wait_text("it is .* in Asia/Tokyo")
        tab.wait_rows(3)
    assert [watch.loaded for watch in watches] == [0, 1, 0]
    assert [len(watch.resumed) for watch in watches] == [0, 1, 0]
    parts = [part for message in first.snapshot()["messages"] for part in message["parts"]]
    assert [part["type"] for part in parts].count("tool-result") == 1
    same_everywhere(*tabs)
    for person, tab in ((ana, first), (ana, second), (ben, third)):
        person.equals_fresh(tab)


def test_a_refresh_while_the_tool_runs_does_not_lose_it(people: People) -> None:
    ana = people.join(timezone_id="Asia/Tokyo")
    chat = ana.new_chat()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    chat.page.route("**/browser-clock.js", hold)
    chat.send("/browser")
    eventually(lambda: chat.page.evaluate("() => true") and held, what="the tool is asked for")
    chat.reload()
    eventually(lambda: chat.page.evaluate("() => true") and held[1:], what="and again")
    held[1].continue_()
    chat.wait_text("it is .* in Asia/Tokyo")
    chat.wait_rows(3)
    parts = [part for message in chat.snapshot()["messages"] for part in message["parts"]]
    assert [part["type"] for part in parts].count("tool-result") == 1
    ana.equals_fresh(chat)


def test_who_joins_in_the_middle_sees_it_generating_and_a_run_that_ends_is_nobody_elses(
    people: People,
) -> None:
    ana, ben = people.join(), people.join()
    hers = ana.new_chat()
    hers.send("/long 600")
    hers.wait_words(5)
    his = ben.open(hers.share("chat"))
    assert his.rows[-1].state == "streaming"
    his.page.locator("#stop").wait_for(state="visible")
    his.page.locator("#activity", has_text="Demo is writing…").wait_for()
    his.page.evaluate(CLIENT, {"id": his.id})
    eventually(lambda: his.page.evaluate(STATE) == ["ready", False, True], what="a run of somebody else")

    his.page.evaluate("() => void window.client.sendMessage('And me?')")
    eventually(lambda: his.page.evaluate(STATE) == ["submitted", True, True], what="his is queued")
    eventually(lambda: len(his.snapshot()["messages"]) == 3, what="his message is stored")
    his.page.evaluate("() => window.client.stop()")
    eventually(lambda: _ended(his), what="his run has come and gone")

    assert his.page.evaluate(STATE) == ["ready", False, True]
    for page in (hers, his):
        assert _answer(page).state == "streaming"
        assert page.page.locator("#stop").is_visible()
    before = len(_answer(his).words)
    eventually(lambda: len(_answer(his).words) > before, what="hers goes on")
    hers.page.keyboard.press("Escape")
    eventually(lambda: his.page.evaluate(STATE) == ["ready", False, False], what="all is quiet")
    same_everywhere(hers, his)


def _ended(page: ChatPage) -> bool:
    runs = page.page.evaluate("() => Object.values(window.client.runs)")
    return any(run["status"] == "stopped" for run in runs)


def _answer(page: ChatPage) -> Any:
    return next(row for row in page.rows if "~" in row.id)
