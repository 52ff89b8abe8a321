"""Versions of messages and answers: made by one person, seen by all, chosen by each."""

from __future__ import annotations

from playwright.sync_api import Locator

from support.chat_page import ChatPage, text_of
from support.people import People, Person
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.01"}


def two(people: People) -> tuple[Person, ChatPage, Person, ChatPage]:
    """Ana's chat, and Ben's tab on it."""
    ana, ben = people.join(), people.join()
    hers = ana.new_chat()
    return ana, hers, ben, ben.open(hers.share("chat"))


def row(chat: ChatPage, index: int) -> Locator:
    return chat.page.locator("#transcript article[data-message-id]").nth(index)


def act(chat: ChatPage, index: int, action: str) -> None:
    """Press a button of the row."""
    row(chat, index).hover()
    row(chat, index).locator(f"[data-action={action}]").click()


def edit(chat: ChatPage, index: int, text: str) -> None:
    act(chat, index, "revise")
    chat.send(text)


def texts(chat: ChatPage) -> list[str]:
    return [each.text for each in chat.rows]


def wait_texts(chat: ChatPage, *starts: str) -> None:
    """Wait until the rows begin so, and nothing is being written."""

    def so() -> bool:
        rows = chat.rows
        assert len(rows) == len(starts), texts(chat)
        assert [each.text[: len(start)] for each, start in zip(rows, starts, strict=True)] == list(starts)
        return all(each.state == "done" for each in rows)

    eventually(so, timeout=15, what=f"rows that begin {starts}")


def versions(chat: ChatPage, index: int) -> str:
    return row(chat, index).locator(".version-count").inner_text()


def turn(chat: ChatPage, index: int, way: str) -> None:
    with chat.page.expect_response(lambda reply: reply.url.endswith("/branch") and reply.ok):
        row(chat, index).get_by_role("button", name=f"Version {way}").click()


def test_an_edited_message_begins_a_branch_that_everybody_follows_until_they_choose(people: People) -> None:
    ana, hers, ben, his = two(people)
    hers.send("/help")
    hers.wait_rows(2)
    hers.send("Second")
    hers.wait_rows(4)
    edit(hers, 0, "First, again")
    for chat in (hers, his):
        wait_texts(chat, "First, again", "")
        assert versions(chat, 0) == "2 / 2"
    ana.equals_fresh(hers)
    ben.equals_fresh(his)

    turn(hers, 0, "before")
    wait_texts(hers, "/help", "", "Second", "")
    assert versions(hers, 0) == "1 / 2"
    wait_texts(his, "First, again", "")  # what she looks at is her affair
    ana.equals_fresh(hers)

    row(hers, 0).locator("[data-action=pin]").click()
    for chat in (hers, his):
        wait_texts(chat, "/help", "", "Second", "")
    ben.equals_fresh(his)
    eventually(lambda: hers.rows == his.rows, what="one transcript on both screens")

    turn(his, 0, "after")
    wait_texts(his, "First, again", "")
    wait_texts(hers, "/help", "", "Second", "")
    his.reload()
    wait_texts(his, "First, again", "")


def test_a_link_to_a_message_of_another_version_opens_that_version_and_goes_on_there(people: People) -> None:
    _, hers, ben, his = two(people)
    hers.send("/help")
    hers.wait_rows(2)
    hers.send("Second")
    second = hers.wait_rows(4)[2].id
    edit(hers, 0, "First, again")
    wait_texts(his, "First, again", "")

    led = ben.open(f"{his.url}?at={second}")
    wait_texts(led, "/help", "", "Second", "")
    assert versions(led, 0) == "1 / 2"
    wait_texts(his, "First, again", "")  # where he looks besides is another matter
    led.send("Third")
    wait_texts(led, "/help", "", "Second", "", "Third", "")
    assert versions(led, 0) == "1 / 2"
    turn(led, 0, "after")
    wait_texts(led, "First, again", "")


def test_another_answer_takes_the_place_of_the_first(people: People) -> None:
    ana, hers, ben, his = two(people)
    hers.send("Hello")
    (_, first) = hers.wait_rows(2)
    act(hers, 1, "regenerate")
    for chat in (hers, his):
        eventually(lambda chat=chat: versions(chat, 1) == "2 / 2", what="two versions")
        assert chat.wait_rows(2)[1].id != first.id
    turn(his, 1, "before")
    eventually(lambda: his.rows[1].id == first.id, what="the first answer")
    his.send("And on from there")
    his.wait_rows(4)
    ben.equals_fresh(his)
    # His message follows the answer that he saw; she looks at the other one.
    assert len(hers.wait_rows(2)) == 2
    turn(hers, 1, "before")
    hers.wait_rows(4)
    eventually(lambda: hers.rows == his.rows, what="one transcript on both screens")
    ana.equals_fresh(hers)


def test_an_answer_that_was_stopped_goes_on(people: People) -> None:
    """AC-17: what had been said stays; nothing of it is said again."""
    ana, hers, _, his = two(people)
    hers.send("/long 150")
    hers.wait_words(20)
    hers.page.locator("#stop").click()
    hers.wait_state("stopped")
    stopped = hers.rows[-1].text
    his.page.locator("[data-action=continue]").click()
    rows = eventually(lambda: finished(hers), timeout=20, what="the whole answer")
    assert rows is not None
    assert rows[0] == stopped
    # Not what is shown: where an answer goes on with a number, that begins a list, and is no text any more.
    words = " ".join(text_of(message) for message in hers.snapshot()["messages"][1:]).split()
    assert len(words) == 150
    assert words[139] == "140."
    eventually(lambda: hers.rows == his.rows, what="one transcript on both screens")
    ana.equals_fresh(hers)


def finished(chat: ChatPage) -> list[str] | None:
    """The texts of the answer's rows, once the last one is done."""
    rows = chat.rows
    return [each.text for each in rows[1:]] if len(rows) == 3 and rows[2].state == "done" else None


def test_an_edit_while_somebody_elses_answer_streams(people: People) -> None:
    """AC-62: both survive, each on its own branch."""
    ana, hers, ben, his = two(people)
    hers.send("One")
    hers.wait_rows(2)
    his.wait_rows(2)
    his.send("/long 100")
    his.wait_words(10)
    edit(hers, 0, "One, or rather two")
    wait_texts(hers, "One, or rather two", "")
    turn(hers, 0, "before")
    rows = hers.wait_rows(4)
    assert len(rows[3].words) == 100
    ana.equals_fresh(hers)
    # He was waiting for that answer, and it is still before him.
    assert his.wait_rows(4) == rows
    ben.equals_fresh(his)


def test_what_is_on_the_screen_is_what_the_agent_is_sent(people: People) -> None:
    """AC-61"""
    ana = people.join()
    chat = ana.new_chat()
    for text in ("One", "Two"):
        chat.send(text)
        chat.wait_rows(2 if text == "One" else 4)
    edit(chat, 2, "Two, once more")
    wait_texts(chat, "One", "", "Two, once more", "")
    act(chat, 1, "regenerate")
    eventually(lambda: versions(chat, 1) == "2 / 2", what="another answer")
    turn(chat, 1, "before")
    chat.wait_rows(4)
    chat.send("Three")
    chat.wait_rows(6)
    chat.page.goto(f"{chat.url}?debug")
    prompted = chat.page.locator("[data-prompt-id]")
    prompted.first.wait_for()
    ids = [each.get_attribute("data-prompt-id") for each in prompted.all()]
    assert ids == [each.id for each in chat.wait_rows(6)][:-1]
    assert chat.page.locator(".debug-events li").count() > 10


def test_a_chat_is_renamed_before_everybodys_eyes(people: People) -> None:
    _, hers, ben, his = two(people)
    hers.send("Hello there")
    hers.wait_rows(2)
    his.wait_rows(2)
    his.page.locator(".bar").hover()
    his.page.locator("[data-action=rename]").click()
    field = his.page.get_by_label("Title of this chat")
    field.fill("Our plans")
    field.press("Enter")
    for chat in (hers, his):
        chat.page.locator(".bar-title", has_text="Our plans").wait_for()
        eventually(lambda chat=chat: chat.page.title().startswith("Our plans"), what="the tab's title")
    fresh = ben.open(his.url)
    assert fresh.page.locator(".bar-title").inner_text() == "Our plans"
    assert fresh.page.locator("[aria-current] .chat-title").inner_text() == "Our plans"


def test_viewers_are_offered_nothing_that_they_may_not_do(people: People) -> None:
    ana = people.join()
    chat = ana.new_chat()
    chat.send("Hello")
    chat.wait_rows(2)
    seen = people.join().open(chat.share("view"))
    seen.wait_rows(2)
    for action in ("revise", "regenerate", "rename", "continue", "retry"):
        assert seen.page.locator(f"[data-action={action}]:visible").count() == 0
