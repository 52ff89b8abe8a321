"""The page through a real nginx that does it no favours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support.chat_page import same_everywhere
from support.people import People
from tests.support.nginx import HOLDS_BACK, Nginx
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.01"}

# Whether the page ever said that something is wrong with the connection.
WATCH_BAR = """() => {
  const bar = document.querySelector('#connection');
  window.__alarms = [];
  const look = () => bar.hidden || window.__alarms.push(bar.textContent);
  new MutationObserver(look).observe(bar, {attributes: true, childList: true, subtree: true});
}"""


@pytest.fixture
def behind(
    browser: Browser, server: ServerProcess, tmp_path: Path
) -> Iterator[Callable[[Mapping[str, str]], tuple[Nginx, People]]]:
    """An nginx with these lines, and people who come through it."""
    with ExitStack() as stack:

        def start(lines: Mapping[str, str]) -> tuple[Nginx, People]:
            nginx = stack.enter_context(Nginx(tmp_path / "nginx", server.port, lines=lines))
            return nginx, stack.enter_context(People(browser, nginx.url))

        yield start


def test_a_proxy_that_cuts_what_is_idle_costs_nothing_that_is_seen(
    behind: Callable[[Mapping[str, str]], tuple[Nginx, People]], people: People
) -> None:
    """AC-29 and F24, at 1.5 s in place of 30: shorter than a ping, so that it cuts again and again."""
    nginx, visitors = behind({"proxy_read_timeout": "1500ms"})
    ana = visitors.join()
    ana.expect_broken_network()
    hers = ana.new_chat()
    hers.mark()
    hers.page.evaluate(WATCH_BAR)
    cut = len(nginx.asked)
    eventually(lambda: sum("/api/live" in line for line in nginx.asked[cut:]) >= 3, timeout=25, what="cuts")
    hers.send("/long 30")
    hers.wait_rows(2)
    his = people.join().open(hers.share("chat").replace(nginx.url, people.origin))
    his.send("From somebody whom nothing cuts")
    hers.wait_rows(4)
    hers.assert_steady(0)
    assert hers.marked
    # Slow as the machine may be, the page never meant to wait for as long as it would say so.
    assert not [alarm for alarm in hers.page.evaluate("window.__alarms") if "(" in alarm]
    same_everywhere(his, hers)


def test_where_events_are_held_back_the_page_asks_for_them(
    behind: Callable[[Mapping[str, str]], tuple[Nginx, People]],
) -> None:
    """AC-31 and F22: the words come by long-poll, and while the answer is being written."""
    nginx, visitors = behind(HOLDS_BACK)
    hers = visitors.join().new_chat()
    began = time.monotonic()
    hers.send("/long 400")
    hers.wait_words(5)
    print(f"the first words after {time.monotonic() - began:.1f} s")
    assert hers.rows[-1].state == "streaming"
    hers.page.locator("#stop").click()
    hers.wait_state("stopped")
    assert any("live=long-poll" in line for line in nginx.asked)
