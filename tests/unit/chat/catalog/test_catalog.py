"""Chats, participants and cached snapshots."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from tests.support.chats import ANA
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.snapshots import CachedSnapshot
from webapp.chat.errors import Conflict
from webapp.chat.messages import Participant


async def test_chats(catalog: Catalog) -> None:
    chat, created, token = await catalog.create_chat("c1234567", owner=ANA, title="  A\n title ")
    assert created
    assert token
    assert chat.title == "A title"
    assert await catalog.create_chat("c1234567", owner=Participant("ben", "Ben")) == (chat, False, None)
    assert await catalog.get_chat("c1234567") == chat
    assert await catalog.get_chat("other") is None
    assert [each.id for each in await catalog.views.of("ana")] == [chat.id]
    assert await catalog.views.of("ben") == []


async def test_one_of_many_creators_creates(catalog: Catalog) -> None:
    made = await asyncio.gather(
        *(catalog.create_chat("c1234567", owner=Participant(f"p{n}", "P")) for n in range(10))
    )
    assert [created for _, created, _ in made].count(True) == 1
    assert len({chat.owner_id for chat, _, _ in made}) == 1


async def test_the_first_title_stays(catalog: Catalog) -> None:
    await catalog.create_chat("c1234567", owner=ANA)
    await catalog.touch_chat("c1234567", title="first " * 50)
    await catalog.touch_chat("c1234567", title="second")
    chat = await catalog.get_chat("c1234567")
    assert chat is not None
    assert chat.title is not None
    assert chat.title.startswith("first first")
    assert len(chat.title) <= 80
    assert chat.title.endswith("…")


async def test_the_latest_chat_is_first(tmp_path: Path) -> None:
    now = iter(range(1000))
    catalog = await Catalog.open("sqlite://", clock=lambda: float(next(now)))
    for name in ("chat-one", "chat-two"):
        await catalog.create_chat(name, owner=ANA)
    assert [chat.id for chat in await catalog.views.of("ana")] == ["chat-two", "chat-one"]
    await catalog.touch_chat("chat-one")
    assert [chat.id for chat in await catalog.views.of("ana")] == ["chat-one", "chat-two"]
    assert len(await catalog.views.of("ana", limit=1)) == 1
    await catalog.aclose()


async def test_participants(catalog: Catalog) -> None:
    assert await catalog.people.get("ana") is None
    await catalog.people.remember(ANA)
    await catalog.people.remember(Participant("ana", "Anna"))
    assert await catalog.people.get("ana") == ANA
    anna = Participant("ana", "Anna", 7, False)
    await catalog.people.change(anna)
    assert await catalog.people.get("ana") == anna


async def test_a_deleted_chat_is_gone_for_good(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await Catalog.open(f"sqlite:///{path}")
    await catalog.create_chat("c1234567", owner=ANA)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE chats SET deleted_at = 1")
    raw.close()
    assert await catalog.get_chat("c1234567") is None
    assert await catalog.views.of("ana") == []
    with pytest.raises(Conflict):
        await catalog.create_chat("c1234567", owner=ANA)
    await catalog.aclose()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\u202eb\x00c\x07\u2066", "a b c"),
        ("\n\t \x1b", None),
        ("مرحبا 👩‍👩‍👧 ", "مرحبا 👩‍👩‍👧"),
        ("x" * 81, "x" * 79 + "…"),
    ],
)
async def test_a_title_is_one_line_that_leaves_its_neighbours_alone(
    catalog: Catalog, given: str, kept: str | None
) -> None:
    chat, _, _ = await catalog.create_chat("chat-one", owner=ANA, title=given)
    assert chat.title == kept


async def test_no_secret_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = await Catalog.open(f"sqlite:///{path}")
    _, _, token = await catalog.create_chat("c1234567", owner=ANA)
    await catalog.aclose()
    assert token is not None
    assert token.encode() not in stored(tmp_path)


async def test_snapshots_are_of_one_reducer(catalog: Catalog) -> None:
    assert await catalog.snapshots.get("p", reducer_version=1) is None
    for offset in ("o1", "o2"):
        await catalog.snapshots.put("p", CachedSnapshot(offset, b"{}"), reducer_version=1)
    assert await catalog.snapshots.get("p", reducer_version=1) == CachedSnapshot("o2", b"{}")
    assert await catalog.snapshots.get("p", reducer_version=2) is None
    await catalog.snapshots.drop("p")
    assert await catalog.snapshots.get("p", reducer_version=1) is None


def stored(directory: Path) -> bytes:
    """Every byte of every file."""
    return b"".join(file.read_bytes() for file in directory.iterdir())
