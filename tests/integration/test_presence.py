"""Who is in a chat, asked of the server: roles, names, restarts, and two apps on one stream server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.live_app import Chatter, LiveApp
from tests.support.server import ServerProcess
from tests.support.waiting import eventually


def beat(chatter: Chatter, chat_id: str, seq: int = 1, **said: Any) -> httpx.Response:
    words = {"tab": "tab-1", "seq": seq, "state": "active", **said}
    return chatter.http.post(f"/api/chats/{chat_id}/presence", json=words)


def here(chatter: Chatter, chat_id: str) -> list[dict[str, Any]]:
    reply = chatter.http.get(f"/api/chats/{chat_id}/presence")
    assert reply.status_code == 200, reply.text
    return list(reply.json()["people"])


def sees(chatter: Chatter, chat_id: str, count: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        people = here(chatter, chat_id)
        assert len(people) == count, people
        return people or [{}]

    return eventually(found, what=f"{count} people")


@pytest.fixture
def chat_id(ana: Chatter) -> str:
    return ana.create_chat()


def test_every_role_may_be_present(ana: Chatter, chat_id: str) -> None:
    assert here(ana, chat_id) == []
    ben, viewer = ana.invited(chat_id, "chat"), ana.invited(chat_id, "view")
    for chatter in (ana, ben, viewer):
        assert beat(chatter, chat_id, typing=True).status_code == 204
    people = sees(ana, chat_id, 3)
    assert sorted(one["role"] for one in people) == ["chat", "manage", "view"]
    # Who only reads writes nothing.
    assert {one["role"]: one["typing"] for one in people} == {"manage": True, "chat": True, "view": False}
    assert people == here(viewer, chat_id)


def test_a_person_is_told_as_they_are_shown(app: LiveApp, ana: Chatter, chat_id: str) -> None:
    guest = ana.http.get("/api/me").json()
    beat(ana, chat_id, device="phone")
    assert sees(ana, chat_id, 1) == [
        {
            "participantId": guest["id"],
            "name": guest["name"],
            "hue": guest["hue"],
            "guest": True,
            "role": "manage",
            "state": "active",
            "typing": False,
            "devices": 1,
            "on": ["phone"],
        }
    ]
    ana.http.patch("/api/me", json={"name": "Ana", "hue": 5})
    beat(ana, chat_id, 2)
    eventually(lambda: [(one["name"], one["guest"]) for one in here(ana, chat_id)] == [("Ana", False)])


@pytest.mark.parametrize(
    "said",
    [
        {"tab": ""},
        {"tab": "x" * 65},
        {"tab": "a b"},
        {"seq": -1},
        {"seq": 2**53},
        {"seq": "1"},
        {"state": "here"},
        {"device": "fridge"},
        {"typing": "yes"},
    ],
)
def test_what_is_no_beat(ana: Chatter, chat_id: str, said: dict[str, Any]) -> None:
    assert beat(ana, chat_id, **said).status_code == 400


def test_nothing_of_it_is_in_the_conversation(ana: Chatter, chat_id: str) -> None:
    before = ana.snapshot(chat_id)["offset"]
    beat(ana, chat_id)
    sees(ana, chat_id, 1)
    assert ana.snapshot(chat_id)["offset"] == before


def test_a_restart_leaves_no_ghosts(start_server: Callable[..., ServerProcess]) -> None:
    """Who was there is there again once they say so, and whoever does not is gone in time."""
    server = start_server(env={"DURABLE_CHAT_AGENT": "echo", "DURABLE_CHAT_PRESENCE_TTL": "4"})
    ana = Chatter(server)
    chat_id = ana.create_chat()
    ben = ana.invited(chat_id, "chat")
    beat(ana, chat_id)
    beat(ben, chat_id)
    sees(ana, chat_id, 2)
    server.restart()
    numbers = iter(range(2, 10_000))

    def only_ana() -> bool:
        beat(ana, chat_id, next(numbers))
        return [one["role"] for one in here(ana, chat_id)] == ["manage"]

    eventually(only_ana, interval=0.3, what="Ana alone")


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    directory: Path = tmp_path_factory.mktemp("presence")
    with ExitStack() as stack:
        streams = stack.enter_context(ServerProcess(directory / "streams", command="streams"))
        env = {
            "DURABLE_CHAT_STREAMS_URL": streams.streams_url,
            "DURABLE_CHAT_DATABASE_URL": f"sqlite:///{directory / 'catalog.db'}",
            "DURABLE_CHAT_SECRET_KEY": "one-secret-for-both-of-them",
            "DURABLE_CHAT_AGENT": "echo",
        }
        one = stack.enter_context(ServerProcess(directory / "one", env=env))
        yield one, stack.enter_context(ServerProcess(directory / "two", env=env))


def met(one: ServerProcess, two: ServerProcess, *, typing: bool = False) -> tuple[Chatter, Chatter, str]:
    """Two people in a chat, each at another process; whether the second one types."""
    ana = Chatter(one)
    chat_id = ana.create_chat()
    ben = ana.invited(chat_id, "chat").at(two)
    beat(ana, chat_id)
    beat(ben, chat_id, typing=typing)
    return ana, ben, chat_id


def test_whichever_process_one_is_at(apps: tuple[ServerProcess, ServerProcess]) -> None:
    one, two = apps
    ana, ben, chat_id = met(one, two, typing=True)
    for chatter in (ana, ben, ana.at(two), ben.at(one)):
        people = sees(chatter, chat_id, 2)
        assert sorted((one["role"], one["typing"]) for one in people) == [("chat", True), ("manage", False)]
    # A tab whose next words go to the other process.
    assert beat(ben.at(one), chat_id, 2, state="gone").status_code == 204
    for chatter in (ana, ben):
        sees(chatter, chat_id, 1)


def test_whoever_is_sent_away_is_not_there_any_more(apps: tuple[ServerProcess, ServerProcess]) -> None:
    """Long before their signs of life would end; and they cannot give another."""
    one, two = apps
    ana, ben, chat_id = met(one, two)
    sees(ana, chat_id, 2)
    (person,) = ana.http.get(f"/api/chats/{chat_id}/shares").json()["people"]
    assert ana.http.delete(f"/api/chats/{chat_id}/people/{person['id']}").status_code == 200
    assert beat(ben, chat_id, 2).status_code == 404
    for chatter in (ana, ana.at(two)):
        assert [one["role"] for one in sees(chatter, chat_id, 1)] == ["manage"]
