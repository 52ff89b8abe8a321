"""Search: what was said is found soon, by who may see it and nobody else, whatever the query holds."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.live_app import Chatter, LiveApp
from tests.support.waiting import eventually


def search(chatter: Chatter, query: str) -> list[dict[str, Any]]:
    reply = chatter.http.get("/api/search", params={"q": query})
    assert reply.status_code == 200, reply.text
    results: list[dict[str, Any]] = reply.json()["results"]
    return results


def found(chatter: Chatter, query: str) -> list[str]:
    """The ids of messages, and "" for titles."""
    return [each["messageId"] or "" for each in search(chatter, query)]


def matches(result: dict[str, Any]) -> list[str]:
    return [piece["text"] for piece in result["snippet"] if piece["match"]]


def test_what_was_said_is_found_soon_with_its_place(ana: Chatter) -> None:
    chat_id = ana.create_chat(title="Lunch plans")
    ana.send(chat_id, "The Crêpes were <b>excellent</b> on Tuesday", message_id="m-1")
    eventually(lambda: len(found(ana, "crepes excellent")) == 2, what="the question and its echo")
    result = next(each for each in search(ana, "EXCELL") if each["messageId"] == "m-1")
    assert matches(result) == ["excellent"]
    assert result["url"] == f"/chat/{chat_id}?at=m-1#m-1"
    assert (result["chatId"], result["title"]) == (chat_id, "Lunch plans")
    assert result["name"]
    assert result["at"] > 1_600_000_000_000
    (title,) = search(ana, "lunch")
    assert (title["messageId"], title["url"], matches(title)) == (None, f"/chat/{chat_id}", ["Lunch"])
    assert ana.http.get(result["url"].partition("#")[0]).status_code == 200


def test_a_new_title_is_found_and_the_old_one_is_not(ana: Chatter) -> None:
    chat_id = ana.create_chat(title="Aardvark")
    assert found(ana, "aardvark") == [""]
    ana.http.patch(f"/api/chats/{chat_id}", json={"title": "Zebra"})
    eventually(lambda: found(ana, "zebra") == [""] and not found(ana, "aardvark"))


def test_nobody_finds_what_they_may_not_see(ana: Chatter, ben: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "xylophone secret", message_id="m-1")
    eventually(lambda: len(found(ana, "xylophone")) == 3)
    assert search(ben, "xylophone") == []
    guest = ana.invited(chat_id, "view")
    assert len(found(guest, "xylophone")) == 3


def test_what_was_said_before_there_was_an_index_is_found_too(app: LiveApp, ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "long ago and quixotic", message_id="m-1")
    eventually(lambda: len(found(ana, "quixotic")) == 3)

    async def forget(services: Any) -> None:
        from sqlalchemy import text

        services.overview._indexed.clear()
        async with services.catalog._database.write() as connection:
            await connection.execute(text("DELETE FROM texts"))
            await connection.execute(text("UPDATE chats SET indexed_at = NULL"))

    app.run(forget)
    eventually(lambda: len(found(ana, "quixotic")) == 3, what="it was looked through when somebody searched")


HOSTILE = [
    "", " ", '"', "'", "*", "a* OR b", "NEAR(a b)", "text:crash", "-a", "(", ")", "a AND", "^a", "{text}: a",
    "'; DROP TABLE texts; --", "\x00", "\x02\x03", "\ud7ff", "%", "_", "___", "a" * 5000, "word " * 500,
    "👩‍👩‍👧", "\u202e", '"unbalanced', "a:b:c", "+a", "a\nb", "]", "\\", "NOT a", "a NOT", "rank MATCH",
]  # fmt: skip


def test_no_query_is_an_error(ana: Chatter, rng: random.Random) -> None:
    chat_id = ana.create_chat(title="text crash rank a b")
    ana.send(chat_id, "a b text")
    letters = "ab \"'*()-:^{}+\\%_\x01\x7f~OR AND NOT NEAR"
    queries = HOSTILE + ["".join(rng.choices(letters, k=rng.randint(1, 30))) for _ in range(20)]
    for query in queries:
        for result in search(ana, query):
            assert result["chatId"] == chat_id


@pytest.mark.parametrize("query", ["<script>", "a\x02b\x03c"])
def test_what_looks_like_a_mark_is_none(ana: Chatter, query: str) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, f"needle {query} thread", message_id="m-1")
    eventually(lambda: found(ana, "needle"))
    result = next(each for each in search(ana, "needle") if each["messageId"] == "m-1")
    assert matches(result) == ["needle"]
    assert "\x02" not in "".join(piece["text"] for piece in result["snippet"])
