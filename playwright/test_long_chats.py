"""A chat of 2,000 messages: the page has a window of it, which moves without the view moving."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from support.chat_page import ChatPage
from support.people import People, Person
from tests.support.long_chat import seed
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

LONG = "a-chat-of-2000-messages"
TURNS = 1000
MOST = 400

# In every frame: how many rows there are, and how far the row at the top of the view has moved by itself.
WATCH_WINDOW = """
() => {
  const scroller = document.querySelector('#scroller'), list = document.querySelector('#transcript');
  const seen = window.__window = {most: 0, moved: 0};
  let row, top, at;
  const look = () => {
    seen.most = Math.max(seen.most, list.querySelectorAll('article').length);
    const line = scroller.getBoundingClientRect().top;
    if (row?.isConnected && !window.__scrolled) {
      seen.moved = Math.max(seen.moved, Math.abs(row.getBoundingClientRect().top - top));
    }
    row = [...list.querySelectorAll('article')].find(each => each.getBoundingClientRect().bottom > line);
    top = row?.getBoundingClientRect().top;
    window.__scrolled = false;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""


@pytest.fixture(scope="module")
def long_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("long") / "data"
    data_dir.mkdir()
    seed(data_dir, {LONG: TURNS}, pieces=3)
    env = {"DURABLE_CHAT_ACCESS": "open", "DURABLE_CHAT_AGENT": "echo"}
    with ServerProcess(data_dir, env=env) as server:
        yield server


@pytest.fixture
def ana(browser: Browser, long_server: ServerProcess) -> Iterator[Person]:
    with People(browser, long_server.url) as people:
        yield people.join()


def ids(chat: ChatPage) -> list[str]:
    return [row.id for row in chat.rows]


def edge(chat: ChatPage, end: int) -> None:
    """Go to the first row there is (0) or the last (-1), as fast as a scrollbar can."""
    chat.page.evaluate(
        "end => { window.__scrolled = true; document.querySelector('#scroller').scrollTop = end ? 1e9 : 0 }",
        end,
    )


def goes_on(chat: ChatPage, end: int) -> None:
    """More messages come at that end, and are next to those there were."""
    was = ids(chat)[end]
    edge(chat, end)
    eventually(lambda: was in ids(chat)[1:-1], what="further messages")


def contiguous(chat: ChatPage) -> None:
    shown = [row_id for row_id in ids(chat) if row_id.startswith(("question", "answer"))]
    first = int(shown[0].split("-")[1])
    everything = [
        f"{kind}-{first + number}" for number in range(len(shown)) for kind in ("question", "answer")
    ]
    begin = everything.index(shown[0])
    assert shown == everything[begin : begin + len(shown)]


def test_a_walk_up_and_down_a_long_chat(ana: Person) -> None:
    """AC-40, and never more than 400 rows."""
    chat = ana.open(f"{ana.origin}/chat/{LONG}")
    page = chat.page
    assert ids(chat)[-1] == f"answer-{TURNS - 1}"
    assert len(ids(chat)) == 60
    page.evaluate(WATCH_WINDOW)
    for _ in range(10):
        goes_on(chat, 0)
    contiguous(chat)
    assert ids(chat)[-1] != f"answer-{TURNS - 1}", "what is far below is not on the page"
    assert "Latest" in page.locator("#jump").inner_text()

    for _ in range(3):
        goes_on(chat, -1)
    contiguous(chat)
    page.locator("#jump").click()
    eventually(lambda: ids(chat)[-1] == f"answer-{TURNS - 1}", what="the end")
    page.locator("#jump").wait_for(state="hidden")
    contiguous(chat)
    seen = page.evaluate("window.__window")
    assert seen["most"] <= MOST
    assert seen["moved"] <= 2
    chat.send("Still here?")
    chat.wait_text("Echo: Still here")
    ana.equals_fresh(chat)


@pytest.mark.long
def test_coming_back_by_scrolling_is_coming_back(ana: Person) -> None:
    chat = ana.open(f"{ana.origin}/chat/{LONG}")
    for _ in range(8):
        goes_on(chat, 0)
    assert chat.page.locator(".newer").count() == 1
    chat.send("Said from far above")  # is seen at once
    chat.wait_text("Echo: Said from far above")
    assert chat.page.locator(".newer").count() == 0
    for _ in range(8):
        goes_on(chat, 0)
    end = chat.snapshot()["messages"][-1]["id"]
    for _ in range(20):
        if ids(chat)[-1] == end:
            break
        goes_on(chat, -1)
    edge(chat, -1)
    chat.page.locator("#jump").wait_for(state="hidden")
    contiguous(chat)
    ana.equals_fresh(ana.open(f"{ana.origin}/chat/{LONG}"))


def test_a_link_to_a_message_opens_there_and_goes_on(ana: Person) -> None:
    chat = ana.open(f"{ana.origin}/chat/{LONG}?at=question-500")
    first = chat.page.locator("[data-message-id=question-500]")
    eventually(lambda: ids(chat)[0] != "question-500", what="what is above it")
    assert 0 <= (first.bounding_box() or {"y": -1})["y"] < 120
    contiguous(chat)
    chat.page.locator("#jump").click()
    chat.page.locator("#jump").wait_for(state="hidden")
    assert chat.page.locator(".newer").count() == 0


@pytest.mark.long
def test_what_arrives_pushes_out_what_is_far_from_view(ana: Person) -> None:
    chat, other = (ana.open(f"{ana.origin}/chat/{LONG}") for _ in range(2))
    for tab in (chat, other):
        while len(ids(tab)) < MOST - 60:
            goes_on(tab, 0)
    edge(chat, -1)
    chat.page.locator("#jump").wait_for(state="hidden")
    first, read = ids(chat)[0], ids(other)[0]
    chat.page.evaluate(WATCH_WINDOW)
    url = f"{chat.origin}/api/chat?id={chat.id}&mode=await"
    for number in range(32):
        message = {"id": f"m-{number}", "role": "user", "parts": [{"type": "text", "content": f"{number}"}]}
        assert ana.context.request.post(url, data={"messages": [message]}).status == 200
    chat.wait_text("Echo: 31$")
    eventually(lambda: first not in ids(chat), what="less above")
    assert chat.page.locator(".older").count() == 1
    assert chat.page.evaluate("window.__window.most") <= MOST + 2
    assert not chat.page.locator("#jump").is_visible(), "who is at the end stays there"
    eventually(lambda: other.page.locator(".newer").count(), what="less below")
    assert read in ids(other), "nothing is taken from under a reader"
    assert "64 new" in other.page.locator("#jump").inner_text()
    other.page.locator("#jump").click()
    other.wait_text("Echo: 31$")
