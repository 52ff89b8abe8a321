"""The view follows the end while the reader is there, and never moves under a reader who is elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.chat_page import ChatPage
from support.people import PHONE, People
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.004"}

# How far the view is from the end, at its worst, in the tasks of the next second.
WORST = """
() => new Promise(resolve => {
  const {port1, port2} = new MessageChannel(), scroller = document.querySelector('#scroller');
  const until = performance.now() + 1000;
  let worst = 0, grown = -scroller.scrollHeight;
  port1.onmessage = () => {
    worst = Math.max(worst, scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop);
    if (performance.now() < until) port2.postMessage('');
    else resolve([worst, grown + scroller.scrollHeight]);
  };
  port2.postMessage('');
})
"""


def place(chat: ChatPage) -> tuple[float, float]:
    """How far down the view is, and how far it could be."""
    top, room = chat.page.evaluate(
        "() => { const s = document.querySelector('#scroller');"
        " return [s.scrollTop, s.scrollHeight - s.clientHeight] }"
    )
    return top, room


def streaming(chat: ChatPage) -> ChatPage:
    """An answer is being written and no longer fits."""
    chat.composer.fill("/long 3000")
    chat.page.locator("#send").click()  # on a phone, Enter breaks the line
    eventually(lambda: place(chat)[1] > 300, what="more text than fits")
    assert not chat.page.locator("#jump").is_visible()
    return chat


def wheel(chat: ChatPage) -> None:
    chat.page.mouse.move(600, 300)
    chat.page.mouse.wheel(0, -1)


def key(chat: ChatPage) -> None:
    chat.page.locator("#scroller").focus()
    chat.page.keyboard.press("ArrowUp")


def touch(chat: ChatPage) -> None:
    finger = chat.page.context.new_cdp_session(chat.page)
    for kind, heights in (
        ("touchStart", [300]),
        ("touchMove", [318]),
        ("touchMove", [325]),
        ("touchEnd", []),
    ):
        points = [{"x": 150, "y": y} for y in heights]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


@pytest.mark.parametrize(
    ("device", "up"), [({}, wheel), ({}, key), (PHONE, touch)], ids=["wheel", "key", "touch"]
)
def test_a_small_step_up_and_the_view_stays(
    people: People, device: dict[str, object], up: Callable[[ChatPage], None]
) -> None:
    """AC-38."""
    chat = streaming(people.join(**device).new_chat())
    up(chat)
    jump = chat.page.locator("#jump")
    jump.wait_for(state="visible")
    assert "Demo is answering" in jump.inner_text()

    def at_rest() -> float | None:
        top, _ = place(chat)
        chat.page.wait_for_timeout(150)  # longer than a browser's smooth scrolling pauses
        return top if top == place(chat)[0] else None

    top = eventually(at_rest, what="the end of the movement")
    before = place(chat)[1]
    eventually(lambda: place(chat)[1] > before + 100, what="more text")
    assert place(chat)[0] == top

    jump.click()
    jump.wait_for(state="hidden")
    worst, grown = chat.page.evaluate(WORST)
    assert worst <= 1
    assert grown > 0
    chat.page.locator("#stop").click()


def test_the_end_key_returns_to_the_end(people: People) -> None:
    chat = streaming(people.join().new_chat())
    chat.page.locator("#scroller").focus()
    chat.page.keyboard.press("Home")
    eventually(lambda: place(chat)[0] == 0, what="the top")
    chat.page.keyboard.press("End")
    chat.page.locator("#jump").wait_for(state="hidden")
    worst, _ = chat.page.evaluate(WORST)
    assert worst <= 1
    chat.page.locator("#stop").click()


def test_a_burst_stays_at_the_end(people: People) -> None:
    """AC-39: as fast as the server can write."""
    chat = streaming(people.join().new_chat())
    for _ in range(3):
        worst, grown = chat.page.evaluate(WORST)
        assert worst <= 1
        assert grown > 0
    chat.page.locator("#stop").click()


def test_what_grows_by_itself_stays_in_view(people: People) -> None:
    """AC-41: a block gets higher without any new text, as an image or a font does it."""
    chat = people.join().new_chat()
    chat.send("/long 400")
    chat.wait_words(200)
    chat.page.locator("#stop").click()
    chat.wait_state("stopped")
    grow = "height => document.querySelector('.message:last-child').style.paddingBottom = `${height}px`"
    for height in (300, 900, 40):
        chat.page.evaluate(grow, height)
        eventually(lambda: place(chat)[1] - place(chat)[0] <= 1, what="the end in view")
    assert not chat.page.locator("#jump").is_visible()


def test_sending_returns_to_the_end(people: People) -> None:
    chat = streaming(people.join().new_chat())
    wheel(chat)
    jump = chat.page.locator("#jump")
    jump.wait_for(state="visible")
    chat.send("While I was reading above")
    jump.wait_for(state="hidden")
    chat.page.locator("#stop").click()


def test_other_peoples_messages_are_counted_and_move_nothing(people: People) -> None:
    host = people.join().new_chat()
    guest = people.join().open(host.share("chat"))
    streaming(host)
    host.page.locator("#stop").click()
    host.wait_state("stopped")
    wheel(host)
    host.page.locator("#jump").wait_for(state="visible")
    top = place(host)[0]
    guest.send("/silent")
    eventually(lambda: "2 new" in host.page.locator("#jump").inner_text(), what="two new rows")
    assert place(host)[0] == top
