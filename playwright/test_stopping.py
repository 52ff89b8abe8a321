"""Stopping an answer, as those who watch it see it."""

from __future__ import annotations

import pytest

from support.chat_page import ChatPage, same_everywhere, text_of
from support.people import People
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.02"}


@pytest.mark.slow
def test_another_person_stops_what_was_begun_before_a_refresh(people: People) -> None:
    """AC-12, AC-17: everybody has the same words, marked as stopped and by whom, then and after a reload."""
    ana, ben = people.join(), people.join()
    hers = ana.new_chat()
    second = ana.open(hers.url)
    his = ben.open(hers.share("chat"))
    hers.send("/long 2000")
    his.wait_words(5)
    hers.reload().wait_live()
    hers.wait_words(10)
    name = his.page.locator(".whoami b").inner_text()

    his.page.locator("#stop").click()

    tabs = [hers, second, his]
    for tab in tabs:
        tab.wait_state("stopped")
        tab.page.get_by_text(f"Stopped by {name}.").wait_for()
        eventually(lambda tab=tab: not tab.page.locator("#stop").is_visible(), what="no Stop")
        eventually(lambda tab=tab: tab.page.locator("#send").inner_text() == "Send", what="a free composer")
    kept = text_of(hers.snapshot()["messages"][-1]).split()
    assert 10 <= len(kept) < 2000
    reloaded = [tab.reload().wait_live() for tab in tabs]
    fresh = people.join().open(hers.share("view"))
    for tab in [*reloaded, fresh]:
        row = tab.wait_state("stopped")
        assert row.words == kept
        tab.page.get_by_text(f"Stopped by {name}.").wait_for()
    # The conversation goes on; what the next turn is asked is tested where prompts are made.
    his.send("Thanks")
    for tab in tabs:
        tab.wait_text("Thanks")
    eventually(lambda: len(hers.rows) == 4 and hers.rows[-1].state == "done")
    same_everywhere(hers, his)


def test_a_viewer_cannot_stop(people: People) -> None:
    """AC-14."""
    hers = people.join().new_chat()
    viewer = people.join().open(hers.share("view"))
    hers.send("/long 500")
    viewer.wait_words(5)
    assert viewer.page.locator("#stop").count() == 0
    refused = viewer.page.context.request.post(f"{viewer.origin}/api/chat/stop", data={"id": viewer.id})
    assert refused.status == 403
    seen = len(viewer.rows[-1].words)
    viewer.wait_words(seen + 10)
    hers.page.locator("#stop").click()
    viewer.wait_state("stopped")


def test_stopping_twice_is_stopping_once(people: People) -> None:
    """AC-16."""
    hers = people.join().new_chat()
    his = people.join().open(hers.share("chat"))
    hers.send("/long 500")
    his.wait_words(5)
    run_id = hers.snapshot()["activeRuns"][0]
    for chat in (hers, his, hers):
        reply = chat.page.context.request.post(
            f"{chat.origin}/api/chat/stop", data={"id": chat.id, "runId": run_id}
        )
        assert reply.ok
    events = _events(hers)
    assert [event.get("name") for event in events].count("run.stopped-by") == 1
    assert [event["type"] for event in events].count("RUN_FINISHED") == 1
    his.wait_state("stopped")


def _events(chat: ChatPage) -> list[dict[str, object]]:
    reply = chat.page.context.request.get(f"{chat.origin}/api/chat-stream?id={chat.id}&offset=-1")
    return list(reply.json())


def test_two_chats_that_stream_at_once_stay_apart(people: People) -> None:
    """AC-06: in one browser, whose tabs share one connection."""
    person = people.join()
    one, two = person.new_chat(), person.new_chat()
    one.send("/long 80")
    two.send("What can you do?")
    two.wait_rows(2)
    two.send("/long 90")
    for _ in range(2):  # from one to the other in the same tab, while both go on
        url = one.page.url
        one.page.goto(two.url)
        one.page.goto(url)
    one.wait_live()
    for chat, rows in ((one, 2), (two, 4)):
        chat.wait_rows(rows)
        said = [text_of(message).split() for message in chat.snapshot()["messages"]]
        assert chat.rows[-1].words == said[-1]
        assert {message["id"] for message in chat.snapshot()["messages"]} == {row.id for row in chat.rows}
    assert len(one.rows[-1].words) == 80
    assert len(two.rows[-1].words) == 90
    assert not {row.id for row in one.rows} & {row.id for row in two.rows}
