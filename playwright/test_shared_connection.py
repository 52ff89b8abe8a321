"""One connection for the tabs of a browser, in a real one: real tabs, real locks."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from support.people import People
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_AGENT": "echo"}

# Follows the page's chat once more, with the adapter under test, and keeps what it hears.
FOLLOW = """async ({id, name}) => {
  const main = document.querySelector("script[type=module][src*='main.js']").src;
  const adapters = await import(main.replace("page/main.js", "connection-adapters.js"));
  const {durableStreamConnection, sharedConnection} = adapters;
  const connection = sharedConnection(
    durableStreamConnection({sendUrl: `/api/chat?id=${id}`, readUrl: `/api/chat-stream?id=${id}&shared=1`}),
    {name, ping: 300},
  );
  window.heard = [];
  window.leaving = new AbortController();
  window.send = (text, messageId) =>
    connection.send([{id: messageId, role: "user", parts: [{type: "text", content: text}]}]);
  (async () => {
    for await (const chunk of connection.subscribe(window.leaving.signal)) window.heard.push(chunk);
  })();
}"""

TEXT = """() => {
  const snapshot = window.heard[0]?.messages ?? [];
  const known = snapshot.flatMap(({parts}) => parts).map(({content}) => content);
  const said = window.heard.filter(({type}) => type === "TEXT_MESSAGE_CONTENT");
  return known.concat(said.map(({delta}) => delta)).join("");
}"""


class Tab:
    """A tab that follows through the shared connection; ``live`` counts its own streams."""

    def __init__(self, page: Page, chat_id: str) -> None:
        self.page = page
        self.live = 0
        page.on("request", lambda request: self._count(request.url, 1))
        for event in ("requestfinished", "requestfailed"):
            page.on(event, lambda request: self._count(request.url, -1))
        page.evaluate(FOLLOW, {"id": chat_id, "name": f"chat {chat_id}"})

    def _count(self, url: str, by: int) -> None:
        if "shared=1" in url and "live=" in url:
            self.live += by

    def send(self, text: str, message_id: str) -> None:
        self.page.evaluate("([text, id]) => window.send(text, id)", [text, message_id])

    @property
    def text(self) -> str:
        # Asking the page lets its events be counted too.
        return str(self.page.evaluate(TEXT))


def wait_for(tabs: list[Tab], said: str) -> None:
    eventually(
        lambda: [tab.text for tab in tabs] == [said] * len(tabs),
        what=f"everybody has heard {said!r}",
    )


@pytest.mark.timeout(60)
def test_tabs_share_one_stream_and_take_it_over(people: People) -> None:
    person = people.join()
    person.expect_broken_network()  # a tab that is closed breaks off its stream
    first = person.new_chat()
    chat_id = first.url.rsplit("/", 1)[-1]
    tabs = [Tab(page.page, chat_id) for page in (first, person.open(first.url), person.open(first.url))]

    said = ""
    for turn in range(3):
        tabs[-1].send(f"turn {turn}", f"m-{turn}")
        said += f"turn {turn}Echo: turn {turn}"
        wait_for(tabs, said)
        eventually(lambda: [tab.text for tab in tabs] and sum(tab.live for tab in tabs) == 1)
        if len(tabs) > 1:
            leader = next(tab for tab in tabs if tab.live)
            tabs.remove(leader)
            leader.page.close()


def test_without_web_locks_every_tab_has_its_own(people: People) -> None:
    person = people.join()
    person.expect_broken_network()
    person.context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    first = person.new_chat()
    chat_id = first.url.rsplit("/", 1)[-1]
    tabs = [Tab(page.page, chat_id) for page in (first, person.open(first.url))]
    tabs[0].send("hello", "m-1")
    wait_for(tabs, "helloEcho: hello")
    eventually(lambda: [tab.text for tab in tabs] and [tab.live for tab in tabs] == [1, 1])
