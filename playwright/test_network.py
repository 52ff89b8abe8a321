"""The network goes and comes back; the page catches up by itself."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Route

from support.chat_page import ChatPage, text_of
from support.people import People
from tests.support.fault_proxy import FaultProxy
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.02", "DURABLE_CHAT_PING_INTERVAL": "2"}


def start_answer(people: People, *, words: int) -> ChatPage:
    person = people.join()
    person.expect_broken_network()
    chat = person.new_chat()
    chat.mark()
    chat.send(f"/long {words}")
    chat.wait_words(10)
    return chat


def completes(chat: ChatPage) -> None:
    rows = chat.wait_rows(2)
    assert rows[-1].words == text_of(chat.snapshot()["messages"][-1]).split()
    assert chat.marked, "the page was reloaded"
    eventually(lambda: chat.live == "live", what="live again")
    # Nothing goes on for ever because its end came while nobody listened (AC-25).
    chat.page.locator("#stop").wait_for(state="hidden")
    chat.page.locator(":is(.doing, .running, [data-state=streaming])").first.wait_for(state="detached")


def outage(people: People, proxy: FaultProxy, *, seconds: float) -> None:
    chat = start_answer(people, words=150)
    proxy.down()
    if seconds > 2:
        eventually(lambda: chat.live in ("reconnecting", "offline"), what="the page knows")
        assert chat.page.locator("#connection").inner_text().strip(), "and says so"
        assert chat.composer.is_enabled()
    time.sleep(seconds)  # the length of the outage is the case itself, and proves nothing
    proxy.up()
    completes(chat)
    eventually(lambda: "econnect" not in chat.page.locator("#connection").inner_text(), what="silence")


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [1, 5])
def test_cut_mid_answer_completes_without_a_reload(
    people_behind: People, proxy: FaultProxy, seconds: float
) -> None:
    """AC-04."""
    outage(people_behind, proxy, seconds=seconds)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seconds", [30, 600])
def test_long_outage(people_behind: People, proxy: FaultProxy, seconds: float) -> None:
    """AC-04."""
    outage(people_behind, proxy, seconds=seconds)


@pytest.mark.slow
def test_half_open_connection_is_noticed(people_behind: People, proxy: FaultProxy) -> None:
    """No FIN, no RST, just silence: the watchdog reconnects after missed pings."""
    chat = start_answer(people_behind, words=60)
    proxy.stall()
    eventually(lambda: chat.live == "reconnecting", timeout=25, what="the silence is noticed")
    proxy.flow()
    completes(chat)


@pytest.mark.slow
def test_an_hour_of_sleep(people_behind: People, proxy: FaultProxy) -> None:
    """F33: the clock is an hour further, and what was open is gone without a word.

    That it takes less than 2 s is shown by a clock that stands still, in ``tests/js/durable-stream.test.js``.
    """
    person = people_behind.join()
    person.context.clock.install()
    chat = person.new_chat()
    chat.mark()
    chat.send("/long 60")
    chat.wait_words(10)
    proxy.lose()
    accepted = proxy.accepted
    person.context.clock.fast_forward("01:00:00")
    eventually(lambda: proxy.accepted > accepted, what="reconnection")
    completes(chat)


def test_cuts_between_data_and_control_repeat_nothing(people_behind: People, proxy: FaultProxy) -> None:
    chat = start_answer(people_behind, words=150)
    for count in (400, 700, 1100, 1500):
        proxy.cut_after(count)
        proxy.cut()
        accepted = proxy.accepted
        chat.retry_now()
        eventually(lambda accepted=accepted: proxy.accepted > accepted, what="reconnection")
    chat.retry_now()
    completes(chat)


def test_bytes_one_by_one(people_behind: People, proxy: FaultProxy) -> None:
    person = people_behind.join()
    chat = person.new_chat()
    proxy.split = True
    proxy.cut()
    person.expect_broken_network()
    chat.send("Grüße, 世界 🏳️‍🌈")
    rows = chat.wait_rows(2)
    assert "世界 🏳️‍🌈" in rows[0].text


def test_offline_and_online_twenty_times_while_tokens_flow(people_behind: People, proxy: FaultProxy) -> None:
    """F32. The browser's own switch leaves open connections alone, so the proxy cuts them too."""
    chat = start_answer(people_behind, words=300)
    for _ in range(20):
        proxy.down()
        chat.page.context.set_offline(True)
        eventually(lambda: chat.live == "offline", what="the page knows")
        proxy.up()
        chat.page.context.set_offline(False)
        chat.wait_live()
    completes(chat)


@pytest.mark.converge
@pytest.mark.slow
def test_kill_nine_mid_answer(people: People, server: ServerProcess) -> None:
    """The text so far stays, is marked interrupted, Retry works, and both pages recover by themselves."""
    ana, ben = people.join(), people.join()
    hers = ana.new_chat()
    his = ben.open(hers.share("chat"))
    for person, page in ((ana, hers), (ben, his)):
        person.expect_broken_network()
        page.mark()
    hers.send("/long 150")
    seen = his.wait_words(20)
    server.restart()

    for page in (hers, his):
        row = page.wait_state("interrupted")
        assert row.words[: len(seen)] == seen
        assert len(row.words) < 150
        assert page.page.locator("[data-action=retry]").count() == 1
    his.page.locator("[data-action=retry]").click()
    for page in (hers, his):
        eventually(lambda page=page: [row.state for row in page.rows][-1] == "done", timeout=25)
        assert page.marked, "the page was reloaded"
        assert page.live == "live"
    assert [row.state for row in hers.rows] == ["done", "done"]
    assert [row.words for row in hers.rows] == [row.words for row in his.rows]
    assert len(hers.rows[-1].words) >= 150
    # The answer that broke off is the version before.
    hers.page.get_by_role("button", name="Version before").click()
    assert hers.wait_state("interrupted").words[: len(seen)] == seen
    assert hers.snapshot()["activeRuns"] == []


def test_stop_is_seen_by_everybody(people: People) -> None:
    chat = people.join().new_chat()
    other = people.join().open(chat.share("chat"))
    chat.send("/long 400")
    other.wait_words(5)
    other.page.locator("#stop").click()
    for page in (chat, other):
        row = page.wait_state("stopped")
        assert 5 <= len(row.words) < 400
    assert chat.rows == other.rows


def test_a_part_of_the_page_that_could_not_be_loaded_is_loaded_the_next_time(people: People) -> None:
    ana = people.join()
    ana.expect_broken_network()
    chat = ana.new_chat()
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        route.abort()

    ana.context.route("**/faces.js", lose, times=1)
    first = ana.open(chat.url)
    eventually(lambda: chat.page.evaluate("1") and lost, what="who is here is not loaded")
    first.page.close()
    ana.open(chat.url)
    chat.page.locator(".company").wait_for()
