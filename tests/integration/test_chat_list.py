"""The list of chats: what stands in it, in which order, what is new, and that everybody hears of a change."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import Door
from tests.support.waiting import eventually
from webapp.chat.feeds import ensure_feed, feed_of
from webapp.web.services import Services


def listed(chatter: Chatter, chat_id: str) -> dict[str, object]:
    """What the API says of a chat."""
    (found,) = [each for each in chatter.http.get("/api/chats").json()["chats"] if each["id"] == chat_id]
    return dict(found)


def section_of(chatter: Chatter, chat_id: str) -> str:
    """Under which heading the fragment has it."""
    html = chatter.http.get("/chats").text
    parts = re.split(r'data-section="([^"]+)"', html)
    (found,) = [name for name, part in zip(parts[1::2], parts[2::2], strict=True) if chat_id in part]
    return found


def participant_id(chatter: Chatter) -> str:
    return chatter.http.cookies["durable-chat"].rsplit(".", 1)[0]


def hears(app: LiveApp, chatter: Chatter, change: Callable[[], object], wanted: dict[str, str]) -> None:
    """The person's feed has the signal soon after the change."""
    path = feed_of(participant_id(chatter))

    async def end(services: Services) -> str:
        await ensure_feed(services.streams, path)
        return (await services.streams.read(path, offset="now")).next_offset

    async def told(services: Services) -> bool:
        page = await services.streams.read(path, offset=before)
        return any(wanted.items() <= json.loads(message).items() for message in page.messages)

    before = app.run(end)
    change()
    eventually(lambda: app.run(told), what=f"{wanted} is told")


def test_unread_is_what_came_after_what_was_seen(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    assert listed(ana, chat_id)["unread"] == 0
    ana.send(chat_id, "one", message_id="m-1")
    eventually(lambda: listed(ana, chat_id)["unread"] == 1, what="the answer is unread, my own words are not")
    last = ana.messages(chat_id)[-1]["id"]
    assert ana.http.put(f"/api/chats/{chat_id}/read", json={"messageId": last}).status_code == 200
    assert listed(ana, chat_id)["unread"] == 0
    ana.http.put(f"/api/chats/{chat_id}/read", json={"messageId": "m-1"})
    assert listed(ana, chat_id)["unread"] == 0, "looking further up unreads nothing"
    ben = ana.invited(chat_id, "chat")
    assert listed(ben, chat_id)["unread"] == 2
    ben.send(chat_id, "two")
    eventually(lambda: listed(ana, chat_id)["unread"] == 2, what="what others say is unread")
    assert 'class="unread-count">2<' in ana.http.get("/chats").text
    assert 'class="unread-count"' not in ana.http.get(f"/chats?current={chat_id}").text


def test_nobody_reads_a_message_that_is_not_there(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    reply = ana.http.put(f"/api/chats/{chat_id}/read", json={"messageId": "none"})
    assert (reply.status_code, reply.json()["code"]) == (400, "unknown-message")


def test_pinned_and_archived_concern_one_person(ana: Chatter) -> None:
    chat_id = ana.create_chat(title="Shared")
    ben = ana.invited(chat_id, "view")
    assert (section_of(ana, chat_id), section_of(ben, chat_id)) == ("Today", "Today")
    ana.http.patch(f"/api/chats/{chat_id}/view", json={"pinned": True})
    ben.http.patch(f"/api/chats/{chat_id}/view", json={"archived": True})
    assert (section_of(ana, chat_id), section_of(ben, chat_id)) == ("Pinned", "Archived")
    ben.http.patch(f"/api/chats/{chat_id}/view", json={"archived": False, "pinned": True})
    ana.http.patch(f"/api/chats/{chat_id}/view", json={"archived": True})
    assert (section_of(ana, chat_id), section_of(ben, chat_id)) == ("Archived", "Pinned")
    assert listed(ana, chat_id)["shared"]
    assert listed(ben, chat_id)["shared"]


@pytest.mark.parametrize("body", [{"pinned": 1}, {"archived": "yes"}, {"pinned": []}])
def test_a_mark_is_true_or_false(ana: Chatter, body: dict[str, object]) -> None:
    chat_id = ana.create_chat()
    assert ana.http.patch(f"/api/chats/{chat_id}/view", json=body).status_code == 400


def test_a_chat_that_is_answered_shows_it(gated: LiveApp, dora: Chatter, door: Door) -> None:
    chat_id = dora.create_chat()
    dora.send(chat_id, "wait", mode="")
    eventually(lambda: listed(dora, chat_id)["running"], what="it is being answered")
    assert "Being answered" in dora.http.get("/chats").text
    dora.stop(chat_id)
    eventually(lambda: not listed(dora, chat_id)["running"], what="it is over")


@pytest.mark.converge
def test_everybody_in_a_chat_hears_of_a_change(app: LiveApp, ana: Chatter) -> None:
    chat_id = ana.create_chat()
    hears(app, ana, ana.create_chat, {"kind": "chats"})
    ben = ana.invited(chat_id, "chat")
    changed = {"kind": "chats", "chatId": chat_id}
    hears(app, ben, lambda: ana.send(chat_id, "hello"), changed)
    hears(app, ben, lambda: ana.http.patch(f"/api/chats/{chat_id}", json={"title": "Plans"}), changed)
    hears(app, ana, lambda: ana.http.patch(f"/api/chats/{chat_id}/view", json={"pinned": True}), changed)


def test_a_draft_is_its_writers_own(app: LiveApp, ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ben = ana.invited(chat_id, "chat")
    draft = f"/api/chats/{chat_id}/draft"
    assert ana.http.get(draft).json() == {"text": "", "at": None}
    hears(
        app,
        ana,
        lambda: ana.http.put(draft, json={"text": "I was about to", "tab": "t1"}),
        {"kind": "draft", "chatId": chat_id, "tab": "t1"},
    )
    assert ana.http.get(draft).json()["text"] == "I was about to"
    assert ben.http.get(draft).json()["text"] == ""
    at = ana.http.put(draft, json={"text": ""}).json()["at"]
    assert ana.http.get(draft).json() == {"text": "", "at": at}
    assert ana.http.put(draft, json={"text": "x" * 100_001}).status_code == 400


def test_the_day_is_the_readers_own(ana: Chatter) -> None:
    """Behind UTC by a zone of their own, people are not told that it is tomorrow."""
    chat_id = ana.create_chat()
    for zone in ("720", "-840", "nonsense", "99999"):
        ana.http.cookies.set("tz", zone)
        assert section_of(ana, chat_id) == "Today"


def test_whoever_leaves_is_gone_and_may_come_back(app: LiveApp, ana: Chatter) -> None:
    chat_id, ben = ana.create_chat(title="Room"), Chatter(app)
    link = ana.link(chat_id, "chat")
    ben.http.get(link)
    mine = f"/api/chats/{chat_id}/people/{participant_id(ben)}"
    changed = {"kind": "chats", "chatId": chat_id}
    hears(app, ana, lambda: ben.http.delete(mine), changed)
    assert ben.http.get(f"/chat/{chat_id}").status_code == 404
    assert ben.http.get("/api/chats").json() == {"chats": []}
    assert ben.http.get(link).status_code == 303
    assert listed(ben, chat_id)["title"] == "Room"
    assert ana.http.delete(f"/api/chats/{chat_id}/people/{participant_id(ana)}").status_code == 404


def test_a_deleted_chat_leaves_every_list_and_comes_back(app: LiveApp, ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ben = ana.invited(chat_id, "view")
    changed = {"kind": "chats", "chatId": chat_id}
    hears(app, ben, lambda: ana.http.delete(f"/api/chats/{chat_id}"), changed)
    assert chat_id not in ben.http.get("/chats").text
    assert chat_id not in ana.http.get("/chats").text
    hears(app, ben, lambda: ana.http.post(f"/api/chats/{chat_id}/restore"), changed)
    assert chat_id in ben.http.get("/chats").text
    hears(app, ben, lambda: ana.http.delete(f"/api/chats/{chat_id}/people/{participant_id(ben)}"), changed)
    assert chat_id not in ben.http.get("/chats").text
