"""One chat on many screens: the same messages everywhere, through refreshes and late joins."""

from __future__ import annotations

import random

import pytest

from support.chat_page import ChatPage, same_everywhere, text_of
from support.people import PHONE, People, Person
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.012"}


def invite(host: ChatPage, guest: Person) -> ChatPage:
    return guest.open(host.share("chat"))


@pytest.mark.converge
def test_two_browsers_show_one_conversation_whoever_sends(people: People) -> None:
    ana, ben = people.join(), people.join()
    hers = ana.new_chat()
    his = invite(hers, ben)

    hers.send("/long 120")
    his.wait_words(20)  # text streams on the other screen while it is being made
    his.send("And hello from Ben")
    for page in (hers, his):
        page.wait_rows(4)
    same_everywhere(hers, his)
    assert hers.structure() != his.structure()  # "mine" differs, or the two are one person


@pytest.mark.converge
@pytest.mark.slow
def test_refresh_at_random_points_loses_and_repeats_nothing(people: People, rng: random.Random) -> None:
    """AC-01, a sample."""
    refresh_while_streaming(people, rng, words=250, refreshes=6)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_refresh_during_200_generations(people: People, rng: random.Random) -> None:
    """AC-01."""
    for _ in range(200):
        refresh_while_streaming(people, rng, words=60, refreshes=2)


def refresh_while_streaming(people: People, rng: random.Random, *, words: int, refreshes: int) -> None:
    person = people.join()
    chat = person.new_chat()
    chat.send(f"/long {words}")
    points = sorted(rng.sample(range(1, words * 9 // 10), refreshes))
    print(f"refresh at words {points}")
    for reloads, point in enumerate(points):
        before = chat.wait_words(point)
        if reloads:
            chat.assert_steady(2)
        chat.reload()
        rows = chat.rows
        assert rows, "the page came back empty"
        assert rows[-1].words[: len(before)] == before, "text on the screen was lost by the refresh"
    rows = chat.wait_rows(2)
    chat.assert_steady(2)
    answer = text_of(chat.snapshot()["messages"][-1])
    assert rows[-1].words == answer.split()
    person.equals_fresh(chat)
    person.context.close()


@pytest.mark.converge
def test_three_tabs_of_one_browser(people: People) -> None:
    person = people.join()
    first = person.new_chat()
    second, third = person.open(first.url), person.open(first.url)

    second.send("/long 60")
    third.wait_words(5)
    third.send("From the third tab")
    first.send("From the first tab")
    tabs = (first, second, third)
    for tab in tabs:
        tab.wait_rows(6)
    same_everywhere(*tabs)
    for tab in (second, third):
        eventually(lambda tab=tab: tab.structure() == first.structure(), what="equal tabs")


@pytest.mark.converge
def test_a_phone_joins_half_way(people: People) -> None:
    host = people.join().new_chat()
    host.send("/long 200")
    host.wait_words(60)
    phone = invite(host, people.join(**PHONE))
    assert len(phone.rows[-1].words) >= 60, "the page itself brings what has been said"
    phone.wait_rows(2)
    same_everywhere(host, phone)
    width = phone.page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["viewport"]["width"], f"the phone scrolls sideways: {width} px"


def test_all_tabs_closed_and_the_answer_completes(people: People) -> None:
    person = people.join()
    chat = person.new_chat()
    chat.send("/long 150")
    chat.wait_words(5)
    chat.page.close()

    reply = person.context.request
    snapshot = f"{chat.origin}/api/chats/{chat.id}/snapshot"
    eventually(lambda: not reply.get(snapshot).json()["activeRuns"], timeout=25, what="the end of the run")
    again = person.open(chat.url)
    rows = again.wait_rows(2)
    assert len(rows[-1].words) >= 150


def test_switch_away_before_the_first_token_and_return_after_the_end(people: People) -> None:
    """AC-02."""
    person = people.join()
    one, other = person.new_chat(), person.new_chat()
    other.page.close()
    one.send("/long 40")
    eventually(lambda: one.snapshot()["messages"], what="acceptance")
    one.page.goto(other.url)
    eventually(lambda: not one.snapshot()["activeRuns"] and len(one.snapshot()["messages"]) == 2)
    one.page.goto(one.url)
    rows = one.wait_rows(2)
    assert rows[-1].words == text_of(one.snapshot()["messages"][-1]).split()


def test_a_pending_approval_is_the_same_after_a_refresh(people: People) -> None:
    """AC-03: the card is read-only for now, and it is there."""
    person = people.join()
    chat = person.new_chat()
    chat.send("/approve")
    chat.wait_state("awaiting-approval")
    chat.wait_text("Waiting for approval")
    person.equals_fresh(chat)
    before = chat.structure()
    chat.reload().wait_live()
    assert chat.structure() == before
    assert chat.snapshot()["activeRuns"] == []


def test_copy_link_brings_in_another_guest(people: People) -> None:
    host, guest = people.join(permissions=["clipboard-read", "clipboard-write"]), people.join()
    chat = host.new_chat()
    chat.send("Hello from the host")
    chat.wait_rows(2)
    chat.copy_link("chat")
    link = chat.clipboard()
    assert "/s/" in link

    joined = guest.open(link)
    assert joined.url == chat.url, "the token does not stay in the address bar"
    joined.wait_rows(2)
    joined.send("Hello from the guest")
    chat.wait_text("Hello from the guest")
    chat.wait_rows(4)
    same_everywhere(chat, joined)


def test_a_viewer_reads_along_and_has_no_composer(people: People) -> None:
    chat = people.join().new_chat()
    viewer = people.join().open(chat.share("view"))
    assert not viewer.composer.is_visible()
    chat.send("/long 30")
    viewer.wait_rows(2)
    same_everywhere(chat, viewer)
