"""The one reply for many chats: each is asked for by itself, and asking makes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.security.test_cross_site import ADMITTED, REFUSED, of
from tests.support.live_app import Chatter, LiveApp

UNKNOWN = "unknown-chat-000000000"
GONE = "There is no such chat, or it is not shared with you."


def frames(chatter: Chatter, *chats: str, **params: str) -> list[list[Any]]:
    asked = {"chats": ",".join(f"{chat_id}:-1" for chat_id in chats), "live": "no", **params}
    reply = chatter.http.get("/api/live", params=asked)
    assert reply.status_code == 200, reply.text
    found: list[list[Any]] = reply.json()["frames"]
    return found


def seen(chatter: Chatter, *chats: str, **params: str) -> dict[str, str]:
    """What became of each chat."""
    told = frames(chatter, *chats, **params)
    return {data["id"]: name for name, data, *_ in told if name in ("batch", "gone")}


@pytest.fixture(scope="module")
def owner(app: LiveApp) -> tuple[Chatter, dict[str, str]]:
    chatter = Chatter(app)
    chats = {name: chatter.http.post("/api/chats", json={}).json() for name in ("shared", "private")}
    for chat in chats.values():
        chatter.send(chat["id"], "a secret")
    ids = {name: str(chat["id"]) for name, chat in chats.items()}
    return chatter, {**ids, "token": chats["shared"]["token"]}


def test_each_chat_is_asked_for_by_itself(app: LiveApp, owner: tuple[Chatter, dict[str, str]]) -> None:
    chatter, chats = owner
    shared, private = chats["shared"], chats["private"]
    everything = (shared, private, UNKNOWN)
    assert seen(chatter, *everything) == {shared: "batch", private: "batch", UNKNOWN: "gone"}
    for role in ("view", "chat", "approve"):
        other = chatter.invited(shared, role)
        assert seen(other, *everything) == {shared: "batch", private: "gone", UNKNOWN: "gone"}
    stranger = Chatter(app)
    assert set(seen(stranger, *everything).values()) == {"gone"}


def test_missing_and_forbidden_look_the_same(app: LiveApp, owner: tuple[Chatter, dict[str, str]]) -> None:
    private = owner[1]["private"]
    told = {
        data.pop("id"): data for name, data, *_ in frames(Chatter(app), private, UNKNOWN) if name == "gone"
    }
    assert told[private] == told[UNKNOWN] == {"code": "not-found", "error": GONE, "status": 404}


def test_a_token_sees_its_chat_and_nothing_of_its_person(
    app: LiveApp, owner: tuple[Chatter, dict[str, str]]
) -> None:
    chatter, chats = owner
    token = Chatter(app, token=chats["token"])
    assert seen(token, chats["shared"], chats["private"]) == {
        chats["shared"]: "batch",
        chats["private"]: "gone",
    }
    mine = frames(chatter)[0]
    assert mine[0] == "open"
    assert frames(token)[0] == ["open", {}, "now"], "there is nothing to hear of"
    owner_id = chatter.messages(chats["shared"])[0]["metadata"]["participantId"]
    signal = b'{"kind":"chats"}'
    app.run(lambda services: services.streams.append(f"people/{owner_id}", [signal]))
    told = chatter.http.get("/api/live", params={"live": "long-poll", "mine": mine[2]}).json()["frames"]
    assert [frame[:2] for frame in told] == [["mine", {"kind": "chats"}]]


@pytest.mark.parametrize("headers", REFUSED, ids=str)
def test_another_site_is_refused(
    app: LiveApp, owner: tuple[Chatter, dict[str, str]], headers: dict[str, str]
) -> None:
    reply = owner[0].http.get("/api/live", headers=of(app, headers))
    assert (reply.status_code, reply.json()["code"]) == (403, "cross-site")


@pytest.mark.parametrize("headers", ADMITTED, ids=str)
def test_our_own_pages_are_admitted(
    app: LiveApp, owner: tuple[Chatter, dict[str, str]], headers: dict[str, str]
) -> None:
    assert owner[0].http.get("/api/live?live=no", headers=of(app, headers)).status_code == 200


@pytest.mark.parametrize(
    ("chats", "ok"),
    [
        ("", True),
        ("chat-one:-1,chat-one:-1", False),
        ("chat-one", False),
        ("chat-one:", False),
        (",".join(f"chat-{n:04}:-1" for n in range(100)), True),
        (",".join(f"chat-{n:04}:-1" for n in range(101)), False),
        ("../../etc/passwd:-1,%00:-1", True),  # ids of nothing
    ],
)
def test_what_may_be_asked(app: LiveApp, chats: str, ok: bool) -> None:
    reply = Chatter(app).http.get("/api/live", params={"chats": chats, "live": "no"})
    assert reply.status_code == (200 if ok else 400)
    if not ok:
        assert reply.json()["code"] == "invalid-chats"


def test_an_offset_of_nobodys_ends_that_chat_only(owner: tuple[Chatter, dict[str, str]]) -> None:
    chatter, chats = owner
    asked = f"{chats['shared']}:nonsense,{chats['private']}:-1"
    told = chatter.http.get("/api/live", params={"chats": asked, "live": "no"}).json()["frames"]
    assert [name for name, *_ in told] == ["open", "gone", "batch"]


@pytest.fixture
def open_app(tmp_path: Path) -> Iterator[LiveApp]:
    with LiveApp(tmp_path, env={"DURABLE_CHAT_ACCESS": "open"}) as app:
        yield app


def test_asking_makes_no_chat_where_knowing_its_id_would_do(open_app: LiveApp) -> None:
    visitor = Chatter(open_app)
    assert seen(visitor, UNKNOWN) == {UNKNOWN: "gone"}
    assert open_app.run(lambda services: services.catalog.get_chat(UNKNOWN)) is None
    assert visitor.http.get(f"/chat/{UNKNOWN}").status_code == 200  # as its page does
    assert seen(Chatter(open_app), UNKNOWN) == {UNKNOWN: "batch"}


def test_a_guest_who_has_done_nothing_leaves_no_stream(app: LiveApp) -> None:
    guest = Chatter(app)
    assert frames(guest) == [["open", {}, "now"]]
