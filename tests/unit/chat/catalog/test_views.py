"""Each person's own view of chats, in each database."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.chats import ANA, BEN
from tests.support.run_rows import row
from webapp.chat.catalog import Catalog
from webapp.chat.catalog.run_row import RunStatus
from webapp.chat.catalog.schema import INTERRUPT
from webapp.chat.catalog.views import ListedChat

CHAT = "c1234567"


async def only(catalog: Catalog, participant_id: str = ANA.id) -> ListedChat:
    (chat,) = await catalog.views.of(participant_id)
    return chat


async def test_unread_is_what_nobody_can_take_back(catalog: Catalog) -> None:
    await catalog.create_chat(CHAT, owner=ANA)
    await catalog.note_messages(CHAT, count=3, changed=(), read={ANA.id: (1, "m1")})
    assert (await only(catalog)).unread == 2
    assert await catalog.views.read(CHAT, ANA.id, count=3, message_id="m3")
    assert not await catalog.views.read(CHAT, ANA.id, count=2, message_id="m2")
    assert (await only(catalog)).unread == 0
    assert (await catalog.views.own(CHAT, ANA.id)).read_to == "m3"
    await catalog.note_messages(CHAT, count=2, changed=())
    assert (await only(catalog)).unread == 0, "what was taken back leaves no less than nothing"


async def test_many_tabs_write_one_view(catalog: Catalog) -> None:
    await catalog.create_chat(CHAT, owner=ANA)
    await asyncio.gather(
        *(catalog.views.read(CHAT, ANA.id, count=n, message_id=f"m{n}") for n in range(10)),
        *(catalog.views.mark(CHAT, ANA.id, pinned=True) for _ in range(5)),
        *(catalog.views.write_draft(CHAT, ANA.id, f"draft {n}") for n in range(5)),
    )
    own = await catalog.views.own(CHAT, ANA.id)
    assert own.read_to == "m9"
    assert own.draft.text.startswith("draft")
    assert (await only(catalog)).pinned


async def test_pinned_first_then_the_latest(catalog: Catalog) -> None:
    for chat_id in ("chat-one", "chat-two", "chat-three"):
        await catalog.create_chat(chat_id, owner=ANA)
        await catalog.touch_chat(chat_id)
    await catalog.views.mark("chat-one", ANA.id, pinned=True)
    assert [chat.id for chat in await catalog.views.of(ANA.id)] == ["chat-one", "chat-three", "chat-two"]
    await catalog.views.mark("chat-one", ANA.id, pinned=False, archived=True)
    chats = await catalog.views.of(ANA.id)
    assert [chat.id for chat in chats] == ["chat-three", "chat-two", "chat-one"]
    assert chats[-1].archived
    assert len(await catalog.views.of(ANA.id, limit=2)) == 2


async def test_a_chat_runs_while_a_run_of_it_does(catalog: Catalog) -> None:
    mine = row()
    await catalog.create_chat(mine.chat_id, owner=ANA)
    await catalog.runs.add(mine)
    assert not (await only(catalog)).running
    appended = await catalog.runs.mark_appended(mine)
    assert appended is not None
    assert await catalog.runs.mark_running(appended, now=1.0)
    assert (await only(catalog)).running
    running = await catalog.runs.get(mine.run_id)
    assert running is not None
    assert running.status is RunStatus.RUNNING
    await catalog.runs.mark_done(running, outcome="success", now=2.0)
    assert not (await only(catalog)).running


async def test_a_chat_waits_until_its_paused_run_goes_on(catalog: Catalog) -> None:
    await catalog.create_chat(CHAT, owner=ANA)
    for each in (row(run_id="r1"), row(run_id="r2", agent_id="critic")):
        await catalog.runs.add(each)
        await catalog.runs.mark_done(each, outcome=INTERRUPT, now=1.0)
    assert (await only(catalog)).waiting == 2
    await catalog.runs.add(row(run_id="r3", attempt=2, continues="r1"))
    assert (await only(catalog)).waiting == 1


async def test_the_family_of_a_fork(catalog: Catalog) -> None:
    await catalog.create_chat(CHAT, owner=ANA)
    await catalog.create_chat("fork-one", owner=ANA, parent_id=CHAT)
    await catalog.create_chat("fork-of-bens", owner=BEN, parent_id=CHAT)
    await catalog.create_chat("fork-of-fork", owner=ANA, parent_id="fork-one")
    parent, forks = await catalog.views.relatives(ANA.id, "fork-one", parent_id=CHAT)
    assert (parent and parent.id, [each.id for each in forks]) == (CHAT, ["fork-of-fork"])
    parent, forks = await catalog.views.relatives(ANA.id, CHAT, parent_id=None)
    assert (parent, [each.id for each in forks]) == (None, ["fork-one"])
    parent, forks = await catalog.views.relatives(BEN.id, "fork-of-bens", parent_id=CHAT)
    assert (parent, forks) == (None, [])
    assert await catalog.views.members(CHAT) == [ANA.id]


@pytest.mark.parametrize("text", ["", "Half a thought", "\u202e\n👩‍👩‍👧", "x" * 100_000])
async def test_a_draft_is_kept_as_it_is(catalog: Catalog, text: str) -> None:
    await catalog.create_chat(CHAT, owner=ANA)
    written = await catalog.views.write_draft(CHAT, ANA.id, text)
    assert (await catalog.views.own(CHAT, ANA.id)).draft == written
    assert (await catalog.views.own(CHAT, BEN.id)).draft.text == ""
