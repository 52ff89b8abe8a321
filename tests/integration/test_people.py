"""Names, colours, and other devices: what people say of themselves over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from tests.support.live_app import Chatter, LiveApp
from tests.support.server import ServerProcess
from webapp.chat.catalog.devices import LIFETIME
from webapp.web.guest_names import NAME_LENGTH


def me(chatter: Chatter) -> dict[str, Any]:
    reply = chatter.http.get("/api/me")
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def change(chatter: Chatter, **wanted: Any) -> httpx.Response:
    return chatter.http.patch("/api/me", json=wanted)


def link(chatter: Chatter) -> dict[str, Any]:
    reply = chatter.http.post("/api/me/device-link")
    assert reply.status_code == 201, reply.text
    return dict(reply.json())


@pytest.fixture(autouse=True)
def json_by_default(ana: Chatter, ben: Chatter) -> None:
    for chatter in (ana, ben):
        chatter.http.headers["content-type"] = "application/json"


def test_a_guest_has_a_name_and_a_colour(ana: Chatter, ben: Chatter) -> None:
    mine, others = me(ana), me(ben)
    assert mine == me(ana)
    assert mine["id"] != others["id"]
    assert mine["guest"] is True
    assert 0 <= mine["hue"] < 24
    assert len(mine["name"].split()) == 2


def test_a_name_is_on_what_is_said_from_then_on(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    guest = me(ana)["name"]
    ana.send(chat_id, "before", message_id="m-1")
    changed = change(ana, name="  Ana\u202e\nBanana ", hue=7)
    assert changed.json() == {**me(ana), "name": "Ana Banana", "hue": 7, "guest": False, "proxied": False}
    ana.send(chat_id, "after", message_id="m-2")
    said = [one for one in ana.messages(chat_id) if one["role"] == "user"]
    assert [one["name"] for one in said] == [guest, "Ana Banana"]
    assert [(one["metadata"].get("hue"), one["metadata"].get("guest")) for one in said] == [
        (None, True),
        (7, None),
    ]
    page = ana.http.get(f"/chat/{chat_id}").text
    assert re.search(r'class="message person mine hue-7" data-message-id="m-2"', page)
    assert "<b>Ana Banana</b>" in page
    assert '<span class="avatar" aria-hidden="true">AB</span>' in page


def test_the_same_message_again_is_a_duplicate_under_any_name(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    assert ana.send(chat_id, "hi", message_id="m-1").status_code == 200
    change(ana, name="Anna")
    assert ana.send(chat_id, "hi", message_id="m-1").status_code in (200, 202)
    assert len([one for one in ana.messages(chat_id) if one["role"] == "user"]) == 1


def test_guests_are_marked_to_others_until_they_choose_a_name(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    change(ana, hue=3)
    assert me(ana)["guest"] is True
    ana.send(chat_id, "hi", message_id="m-1")
    marked = '<span class="guest">guest</span></header>'
    other = ana.invited(chat_id, "chat")
    row = re.compile(r'data-message-id="m-1".*?</header>')
    for who, seen in ((ana, False), (other, True)):
        found = row.search(who.http.get(f"/chat/{chat_id}").text)
        assert found
        assert (marked in found[0]) is seen
    change(ana, name=me(ana)["name"])
    assert me(ana)["guest"] is False


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"name": ""}, 400),
        ({"name": " \u202e\n"}, 400),
        ({"name": "…"}, 400),
        ({"name": "Echo"}, 409),
        ({"name": "eCHO "}, 409),
        ({"name": 5}, 400),
        ({"name": "x" * 201}, 400),
        ({"hue": 24}, 400),
        ({"hue": -1}, 400),
        ({"hue": 1.5}, 400),
        ({"hue": True}, 400),
    ],
)
def test_what_is_no_name_and_no_colour(ana: Chatter, wanted: dict[str, Any], status: int) -> None:
    before = me(ana)
    assert change(ana, **wanted).status_code == status
    assert me(ana) == before


def test_a_long_name_is_cut(ana: Chatter) -> None:
    assert len(change(ana, name="Ana " * 40).json()["name"]) <= NAME_LENGTH


def test_a_token_of_a_chat_speaks_for_nobody(app: LiveApp, ana: Chatter) -> None:
    token = ana.http.post("/api/chats", json={}).json()["token"]
    program = Chatter(app, token=token).http
    assert program.get("/api/me").status_code == 403
    assert program.patch("/api/me", json={"name": "Eve"}).status_code == 403
    assert program.post("/api/me/device-link").status_code == 403


def test_another_browser_becomes_the_same_person(app: LiveApp, ana: Chatter) -> None:
    chat_id = ana.create_chat(title="Plans")
    change(ana, name="Ana")
    made = link(ana)
    assert made["seconds"] == LIFETIME == 300
    assert made["qr"].startswith("data:image/svg+xml")
    assert "<svg" in unquote(made["qr"])
    phone = app.client()
    # Whoever looks at links before a person does uses nothing up.
    assert phone.head(made["url"]).status_code == 200
    asked = phone.get(made["url"])
    assert asked.status_code == 200
    assert "as Ana?" in asked.text
    assert phone.get(f"/chat/{chat_id}").status_code == 404
    taken = phone.post(made["url"], data={}, headers={"content-type": "application/x-www-form-urlencoded"})
    assert (taken.status_code, taken.headers["location"]) == (303, "/")
    assert phone.get("/api/me").json() == me(ana)
    assert phone.get(f"/chat/{chat_id}").status_code == 200
    token = made["url"].rsplit("/", 1)[1]
    for reply in (taken, phone.get("/")):
        assert token not in reply.text
        assert token not in str(reply.headers)


FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_used_expired_and_unknown_look_the_same(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    with LiveApp(tmp_path, clock=lambda: now) as app:
        ana = Chatter(app)
        ana.http.headers["content-type"] = "application/json"
        used, expired, unknown = link(ana)["url"], link(ana)["url"], f"{app.url}/d/{'x' * 32}"
        assert app.client().post(used, headers=FORM).status_code == 303
        now += LIFETIME - 1
        assert app.client().get(expired).status_code == 200
        now += 1
        for method in ("GET", "POST"):
            headers = FORM if method == "POST" else {}
            replies = [app.client().request(method, url, headers=headers) for url in (used, expired, unknown)]
            assert {reply.status_code for reply in replies} == {404}
            assert len({reply.text for reply in replies}) == 1
            assert all("set-cookie" not in reply.headers for reply in replies)
        fresh = link(ana)["url"]
        assert app.client().get(fresh).status_code == 200


def test_of_many_who_use_a_link_at_once_one_does(app: LiveApp, ana: Chatter) -> None:
    url = link(ana)["url"]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: app.client().post(url, headers=FORM).status_code, range(8)))
    assert sorted(replies) == [303, *[404] * 7]


def test_no_other_site_makes_a_browser_somebody_else(app: LiveApp, ana: Chatter) -> None:
    url = link(ana)["url"]
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {"Origin": "https://evil.example"}):
        reply = app.client().post(url, headers={**FORM, **headers})
        assert reply.status_code == 403
        assert "set-cookie" not in reply.headers
    # The page lets its form say whence it comes, and nothing but that.
    assert app.client().get(url).headers["referrer-policy"] == "strict-origin"
    assert app.client().post(url, headers={**FORM, "Origin": app.url}).status_code == 303


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    env = {"DURABLE_CHAT_AGENT": "echo"}
    with ServerProcess(tmp_path_factory.mktemp("people") / "data", env=env) as running:
        yield running


def test_a_device_link_is_in_no_log_and_no_file(server: ServerProcess) -> None:
    ana = Chatter(server)
    url = str(ana.http.post("/api/me/device-link").json()["url"])
    server.client().get(url)
    assert server.client().post(url, headers=FORM).status_code == 303
    assert server.client().get(url).status_code == 404
    token = url.rsplit("/", 1)[1].encode()
    assert token not in server.log.encode()
    for path in server.data_dir.rglob("*"):
        assert not path.is_file() or token not in path.read_bytes(), path
