"""Links: what each opens, for how long, and that nothing is told by one that opens nothing."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import update

from tests.support.live_app import Chatter, LiveApp
from tests.support.waiting import eventually
from webapp.chat.catalog.schema import chats, links
from webapp.streams.clients.base import ReadPage, StreamGone, StreamNotFound
from webapp.web.services import Services


def test_a_link_lets_in_and_the_token_is_gone_from_the_address(app: LiveApp) -> None:
    owner, guest = Chatter(app), app.client()
    chat_id = owner.create_chat()
    url = owner.link(chat_id, "chat")
    token = url.rsplit("/", 1)[1]
    opened = guest.get(url)
    assert (opened.status_code, opened.headers["location"]) == (303, f"/chat/{chat_id}")
    page = guest.get(opened.headers["location"])
    assert page.status_code == 200
    for reply in (opened, page):
        assert token not in reply.text
        assert token not in str(reply.headers)


def test_a_link_never_takes_away(app: LiveApp) -> None:
    owner = Chatter(app)
    chat_id = owner.create_chat()
    guest = owner.invited(chat_id, "chat")
    assert guest.http.get(owner.link(chat_id, "view")).status_code == 303
    assert guest.send(chat_id, "still here").status_code == 200
    assert owner.http.get(owner.link(chat_id, "view")).status_code == 303
    assert owner.http.post(f"/api/chats/{chat_id}/shares", json={"role": "view"}).status_code == 201


@pytest.mark.parametrize("token", ["nonsense", "x" * 1000, "%00", "a'--"])
def test_a_link_that_opens_nothing(app: LiveApp, token: str) -> None:
    assert app.client().get(f"/s/{token}").status_code == 404


def share(owner: Chatter, chat_id: str, **offer: object) -> dict[str, str]:
    reply = owner.http.post(f"/api/chats/{chat_id}/shares", json=offer)
    assert reply.status_code == 201, reply.text
    made: dict[str, str] = reply.json()
    return made


def shares(owner: Chatter, chat_id: str) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = owner.http.get(f"/api/chats/{chat_id}/shares").json()
    return found


def told(reply: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that a reply says."""
    headers = sorted((name, value) for name, value in reply.headers.items() if name != "date")
    return reply.status_code, reply.content, headers


def test_a_link_that_opens_nothing_any_more_looks_like_none(app: LiveApp) -> None:
    owner, guest, removed = (Chatter(app) for _ in range(3))
    chat_id, deleted_id = owner.create_chat(), owner.create_chat()
    revoked = share(owner, chat_id, role="chat")
    assert owner.http.delete(f"/api/chats/{chat_id}/shares/{revoked['id']}").status_code == 200
    gone = share(owner, deleted_id, role="chat")
    assert owner.http.delete(f"/api/chats/{deleted_id}").status_code == 200
    over = share(owner, chat_id, role="chat", expiresIn=60)
    app.run(lambda services: _end(services, over["id"]))
    sent_away = share(owner, chat_id, role="chat")
    assert removed.http.get(sent_away["url"]).status_code == 303
    (person,) = (each["id"] for each in shares(owner, chat_id)["people"])
    assert owner.http.delete(f"/api/chats/{chat_id}/people/{person}").status_code == 200

    missing = told(guest.http.get("/s/unknown"))
    assert missing[0] == 404
    for link in (revoked, gone, over):
        assert told(guest.http.get(link["url"])) == missing
    assert told(removed.http.get(sent_away["url"])) == missing
    assert guest.http.get(f"/chat/{chat_id}").content == guest.http.get("/chat/no-such-chat-anywhere").content


def test_who_came_by_which_link_and_how_often_it_was_opened(app: LiveApp) -> None:
    owner, ben = Chatter(app), Chatter(app)
    chat_id = owner.create_chat()
    first, second = share(owner, chat_id, role="view"), share(owner, chat_id, role="chat", expiresIn=3600)
    for link in (first, first, second):
        assert ben.http.get(link["url"]).status_code == 303
    found = {link["id"]: link for link in shares(owner, chat_id)["links"]}
    assert [found[each["id"]]["opened"] for each in (first, second)] == [2, 1]
    (person,) = shares(owner, chat_id)["people"]
    assert [one["id"] for one in found[first["id"]]["people"]] == [person["id"]]  # type: ignore[attr-defined]
    assert (person["role"], person["link"], person["expiresAt"]) == ("chat", second["id"], None)
    assert found[second["id"]]["expiresAt"]

    # What the better link gave ends with it; what the other one gave stays.
    assert owner.http.delete(f"/api/chats/{chat_id}/shares/{second['id']}").status_code == 200
    assert ben.send(chat_id, "no longer").status_code == 403
    assert ben.http.get(f"/chat/{chat_id}").status_code == 200
    assert owner.http.delete(f"/api/chats/{chat_id}/shares/{first['id']}").status_code == 200
    assert ben.http.get(f"/chat/{chat_id}").status_code == 404
    assert shares(owner, chat_id) == {"people": [], "links": []}


def test_a_role_given_by_hand_counts_whatever_the_link_says(app: LiveApp) -> None:
    owner = Chatter(app)
    chat_id = owner.create_chat()
    link = share(owner, chat_id, role="view")
    ben = Chatter(app)
    assert ben.http.get(link["url"]).status_code == 303
    (person,) = (each["id"] for each in shares(owner, chat_id)["people"])
    address = f"/api/chats/{chat_id}/people/{person}"
    assert owner.http.patch(address, json={"role": "chat"}).status_code == 200
    assert ben.send(chat_id, "now I may").status_code == 200
    assert owner.http.patch(address, json={"role": "view"}).status_code == 200
    assert ben.http.get(link["url"]).status_code == 303
    assert ben.send(chat_id, "no longer").status_code == 403
    assert owner.http.delete(f"/api/chats/{chat_id}/shares/{link['id']}").status_code == 200
    assert ben.http.get(f"/chat/{chat_id}").status_code == 200  # a hand has let them in by now
    assert owner.http.delete(address).status_code == 200
    assert ben.http.get(f"/chat/{chat_id}").status_code == 404


def test_a_manager_by_link_may_do_all_but_touch_the_owner(app: LiveApp) -> None:
    owner = Chatter(app)
    chat_id = owner.create_chat()
    manager = owner.invited(chat_id, "manage")
    assert manager.invited(chat_id, "chat").send(chat_id, "hello").status_code == 200
    owner_id = owner.http.cookies["durable-chat"].rsplit(".", 1)[0]
    assert manager.http.delete(f"/api/chats/{chat_id}/people/{owner_id}").status_code == 404
    assert (
        manager.http.patch(f"/api/chats/{chat_id}/people/{owner_id}", json={"role": "view"}).status_code
        == 404
    )
    assert manager.http.delete(f"/api/chats/{chat_id}").status_code == 200
    assert owner.http.get(f"/chat/{chat_id}").status_code == 404
    assert manager.http.post(f"/api/chats/{chat_id}/restore").status_code == 200
    assert owner.http.get(f"/chat/{chat_id}").status_code == 200


@pytest.mark.parametrize(
    ("offer", "code"),
    [
        ({"role": "chat", "frozen": True}, "invalid-role"),
        ({"role": "manage", "fromMessage": "m-first"}, "invalid-role"),
        ({"role": "chat", "fromMessage": "m-unheard-of"}, "unknown-message"),
        ({"role": "owner"}, "malformed"),
        ({"role": "chat", "expiresIn": 5}, "malformed"),
    ],
    ids=str,
)
def test_an_offer_that_makes_no_sense(app: LiveApp, offer: dict[str, object], code: str) -> None:
    owner = Chatter(app)
    chat_id = owner.create_chat()
    owner.send(chat_id, "first", message_id="m-first")
    reply = owner.http.post(f"/api/chats/{chat_id}/shares", json=offer)
    assert (reply.status_code, reply.json()["code"]) == (400, code)
    assert shares(owner, chat_id)["links"] == []


@pytest.mark.parametrize("link", ["none", "ff", "zz" * 32, "00" * 32])
def test_a_link_of_another_chat_is_not_revoked(app: LiveApp, link: str) -> None:
    owner, other = Chatter(app), Chatter(app)
    chat_id = owner.create_chat()
    theirs = other.create_chat()
    for each in (link, share(other, theirs, role="view")["id"]):
        assert owner.http.delete(f"/api/chats/{chat_id}/shares/{each}").status_code == 404
    assert len(shares(other, theirs)["links"]) == 1


def test_a_frozen_copy_is_what_was_and_stays_so(app: LiveApp) -> None:
    owner, viewer = Chatter(app), Chatter(app)
    chat_id = owner.create_chat()
    owner.send(chat_id, "before", message_id="m-before")
    link = share(owner, chat_id, role="view", frozen=True)
    owner.send(chat_id, "after")
    opened = viewer.http.get(link["url"])
    assert opened.status_code == 303
    copy_id = opened.headers["location"].rsplit("/", 1)[1]
    assert copy_id != chat_id
    assert viewer.http.get(f"/chat/{chat_id}").status_code == 404
    page = viewer.http.get(f"/chat/{copy_id}").text
    assert "before" in page
    assert "after" not in page.split('id="transcript"')[1].split("</main>")[0]
    assert "frozen copy" in page
    assert viewer.messages(copy_id)[0]["id"] == "m-before"
    read = viewer.http.get("/api/chat-stream", params={"id": copy_id, "offset": "-1"})
    assert read.headers["stream-closed"] == "true"
    assert "after" not in read.text
    assert owner.send(copy_id, "more").status_code == 403  # nobody writes there any more
    assert viewer.send(copy_id, "more").status_code == 403
    assert copy_id in {chat["id"] for chat in viewer.http.get("/api/chats").json()["chats"]}
    assert copy_id not in {chat["id"] for chat in owner.http.get("/api/chats").json()["chats"]}

    (listed,) = shares(owner, chat_id)["links"]
    assert (listed["frozen"], listed["opened"]) == (True, 1)
    assert owner.http.delete(f"/api/chats/{chat_id}/shares/{link['id']}").status_code == 200
    assert viewer.http.get(f"/chat/{copy_id}").status_code == 404
    assert owner.http.get(f"/chat/{chat_id}").status_code == 200


def test_a_deleted_chat_is_gone_can_be_had_back_and_is_gone_for_good(app: LiveApp) -> None:
    owner = Chatter(app)
    chat_id = owner.create_chat()
    owner.send(chat_id, "to be kept?", message_id="m-1")
    guest = owner.invited(chat_id, "chat")
    before = owner.messages(chat_id)
    reply = owner.http.delete(f"/api/chats/{chat_id}")
    assert (reply.status_code, reply.json()) == (200, {"restorable": 10.0})
    unknown = "/api/chats/no-such-chat-anywhere/snapshot"
    for who in (owner, guest):
        assert told(who.http.get(f"/api/chats/{chat_id}/snapshot")) == told(who.http.get(unknown))
        assert who.http.put(f"/api/chats/{chat_id}", json={}).status_code == 404
        assert chat_id not in who.http.get("/api/chats").text
    assert guest.http.post(f"/api/chats/{chat_id}/restore").status_code == 404
    assert owner.http.post(f"/api/chats/{chat_id}/restore").status_code == 200
    assert owner.http.post(f"/api/chats/{chat_id}/restore").status_code == 404
    assert owner.messages(chat_id) == before
    assert guest.send(chat_id, "still here").status_code == 200

    owner.http.delete(f"/api/chats/{chat_id}")
    # What follows a run, a title or a snapshot, has all of the grace to end, and here none of it.
    eventually(lambda: app.run(_is_quiet), what="nothing goes on behind the scenes")
    app.run(lambda services: _long_ago(services, chat_id))
    app.run(lambda services: services.deletions.sweep())
    assert owner.http.post(f"/api/chats/{chat_id}/restore").status_code == 404
    assert app.run(lambda services: _stream_of(services, chat_id)) is None


def test_what_was_good_once_opens_nothing(app: LiveApp) -> None:
    """AC-49: an old cookie, a cookie with another's id in it, the offsets and ids of before; AC-47 after a
    back button, for which nothing was kept.
    """
    owner, guest = Chatter(app), Chatter(app)
    chat_id = owner.create_chat()
    owner.send(chat_id, "secret words", message_id="m-1", runId="r-1")
    link = share(owner, chat_id, role="chat")
    assert guest.http.get(link["url"]).status_code == 303
    page = guest.http.get(f"/chat/{chat_id}")
    assert "secret words" in page.text
    assert page.headers["cache-control"] == "no-store"
    offset = guest.snapshot(chat_id)["offset"]
    etag = guest.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"}).headers["etag"]
    listed = guest.http.get("/chats").headers["etag"]
    assert owner.http.delete(f"/api/chats/{chat_id}/shares/{link['id']}").status_code == 200

    owner_id, signature = owner.http.cookies["durable-chat"].rsplit(".", 1)
    guest_id, own_signature = guest.http.cookies["durable-chat"].rsplit(".", 1)
    swapped = [f"{owner_id}.{own_signature}", f"{guest_id}.{signature}", owner_id, f"{owner_id}."]
    others = [app.client(cookies={"durable-chat": value}) for value in swapped]
    for http in (guest.http, *others):
        for path, query, headers in (
            (f"/chat/{chat_id}", {}, {}),
            (f"/chat/{chat_id}", {"at": "m-1"}, {}),
            (f"/chat/{chat_id}/messages/m-1", {}, {}),
            ("/api/chat-stream", {"id": chat_id, "offset": "-1"}, {"If-None-Match": etag}),
            ("/api/chat-stream", {"id": chat_id, "offset": offset, "live": "long-poll"}, {}),
            ("/api/chat/sse", {"runId": "r-1", "offset": "-1"}, {}),
            (f"/api/chats/{chat_id}/snapshot", {}, {}),
            (f"/api/chats/{chat_id}/presence", {}, {}),
        ):
            reply = http.get(path, params=query, headers=headers)
            assert (reply.status_code, "secret words" in reply.text) == (404, False), path
        for body in ({}, {"messageId": "m-1"}, {"offset": offset}):
            assert http.post(f"/api/chats/{chat_id}/fork", json=body).status_code == 404
        assert http.get("/api/search", params={"q": "secret"}).json()["results"] == []
        assert chat_id not in http.get("/chats", headers={"If-None-Match": listed}).text


async def _end(services: Services, link: str) -> None:
    """Have the link's time be over."""
    over = update(links).where(links.c.token_hash == bytes.fromhex(link)).values(expires_at=1.0)
    async with services.catalog._database.write() as connection:
        await connection.execute(over)


async def _long_ago(services: Services, chat_id: str) -> None:
    """Have the chat been deleted long ago."""
    async with services.catalog._database.write() as connection:
        await connection.execute(update(chats).where(chats.c.id == chat_id).values(deleted_at=1.0))


async def _is_quiet(services: Services) -> bool:
    return not services.supervisor._background._tasks


async def _stream_of(services: Services, chat_id: str) -> ReadPage | None:
    try:
        return await services.streams.read(services.sessions.path(chat_id))
    except (StreamNotFound, StreamGone):
        return None
