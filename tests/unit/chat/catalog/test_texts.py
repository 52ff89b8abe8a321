"""The index: what is in it is found by how words begin, whatever the query holds, in each database."""

from __future__ import annotations

import pytest

from tests.support.chats import ANA
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.texts import Hit, IndexedText

CHATS = ("chat-one", "chat-two")


@pytest.fixture
async def filled(catalog: Catalog) -> Catalog:
    for chat_id in CHATS:
        await catalog.create_chat(chat_id, owner=ANA)
    await put(catalog, "chat-one", {"": "Lunch plans", "m1": "The crêpes were excellent", "m2": "Excellent!"})
    await put(catalog, "chat-two", {"m1": "nothing excellent about <b>this</b> one's \x02marks\x03"})
    return catalog


async def put(catalog: Catalog, chat_id: str, texts: dict[str, str], *, gone: tuple[str, ...] = ()) -> None:
    changed = [
        IndexedText(message_id=key, name="Ana", said_at=1.5, digest=text[:16].encode(), text=text)
        for key, text in texts.items()
    ]
    await catalog.note_messages(chat_id, count=len(texts), changed=changed, gone=gone)


async def find(catalog: Catalog, query: str, *chat_ids: str) -> list[Hit]:
    return await catalog.texts.search(query, chat_ids or CHATS, limit=10)


def ids(hits: list[Hit]) -> set[tuple[str, str]]:
    return {(hit.chat_id, hit.message_id) for hit in hits}


async def test_words_are_found_by_how_they_begin(filled: Catalog) -> None:
    hits = await find(filled, "EXCEL")
    assert ids(hits) == {("chat-one", "m1"), ("chat-one", "m2"), ("chat-two", "m1")}
    assert ids(await find(filled, "excel crê")) == {("chat-one", "m1")}
    assert ids(await find(filled, "plan")) == {("chat-one", "")}
    assert ids(await find(filled, "excel", "chat-two")) == {("chat-two", "m1")}
    assert await find(filled, "excel", "no-such-chat") == []
    assert {hit.name for hit in hits} == {"Ana"}
    assert {hit.said_at for hit in hits} == {1.5}


async def test_a_snippet_has_the_matches_marked_and_nothing_else(filled: Catalog) -> None:
    (hit,) = await find(filled, "marks")
    assert [text for text, match in hit.snippet if match] == ["marks"]
    assert "nothing excellent about" in "".join(text for text, _ in hit.snippet)
    assert not {"\x02", "\x03"} & set("".join(text for text, _ in hit.snippet))


async def test_what_has_changed_is_found_as_it_is_now(filled: Catalog) -> None:
    await put(filled, "chat-one", {"m1": "They were awful"}, gone=("m2",))
    assert ids(await find(filled, "excel", "chat-one")) == set()
    assert ids(await find(filled, "awful")) == {("chat-one", "m1")}
    assert set(await filled.texts.digests("chat-one")) == {"", "m1"}
    assert set(await filled.texts.digests("chat-one", ["m1", "m2"])) == {"m1"}


async def test_a_chat_is_looked_through_once(filled: Catalog) -> None:
    await filled.create_chat("chat-three", owner=ANA)
    assert await filled.texts.unindexed([*CHATS, "chat-three"]) == ["chat-three"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "'",
        '"',
        "a & b | !c",
        "<->",
        ":*",
        "\\",
        "___",
        "NEAR(",
        "\x00",
        "a:b",
        "' OR 1=1 --",
        "('",
        "%",
        "*",
    ],
)
async def test_a_query_is_only_words(filled: Catalog, query: str) -> None:
    await find(filled, query)
    await find(filled, f"excel {query}")


async def test_a_chat_that_is_purged_leaves_nothing_to_find(filled: Catalog) -> None:
    await filled.deleted.add("chat-one")
    await filled.deleted.purge("chat-one")
    assert ids(await find(filled, "excel")) == {("chat-two", "m1")}


@pytest.mark.parametrize("letter", ["a", "\u00e9", "\u6587", "\U0001d4d0"])
async def test_a_text_of_any_length_is_kept_and_its_beginning_found(filled: Catalog, letter: str) -> None:
    """A model may say a megabyte of words of which no two are the same."""
    words = " ".join(f"{letter}{number:x}" for number in range(300_000))
    await put(filled, "chat-one", {"m1": f"beginning {words}"})
    assert ids(await find(filled, "beginning")) == {("chat-one", "m1")}
    assert ids(await find(filled, f"{letter}3e8")) == {("chat-one", "m1")}
