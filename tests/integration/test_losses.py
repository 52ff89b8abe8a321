"""Whoever loses access is cut off, whatever is open for them; what runs goes on; others notice nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from tests.support.chat_socket import open_socket
from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import Door, run_input
from tests.support.sse import follow
from tests.support.waiting import eventually
from webapp.chat.catalog.schema import arrivals
from webapp.streams.clients.base import StreamGone, StreamNotFound
from webapp.web.services import Services

Open = Callable[[Chatter, str], "Connection"]


class Connection:
    """Something open: ``started`` once anything has come, ``over`` once it has ended, however it did."""

    def __init__(self, read: Callable[[], Iterator[object]]) -> None:
        self.started, self.over = threading.Event(), threading.Event()
        self._read = read
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            for _ in self._read():
                self.started.set()
        except httpx.RemoteProtocolError:
            pass  # cut
        finally:
            self.over.set()


def streamed(method: str, path: str, **options: object) -> Open:
    """An HTTP reply that goes on."""

    def open_it(who: Chatter, chat_id: str) -> Connection:
        def read() -> Iterator[object]:
            params = {key: str(value).replace("{chat}", chat_id) for key, value in options["params"].items()}  # type: ignore[attr-defined]
            body = {} if method == "GET" else {"json": run_input(f"hold {chat_id}", message_id="m-held")}
            with who.http.stream(method, path, params=params, **body) as reply:  # type: ignore[arg-type]
                yield from reply.iter_raw()

        return Connection(read)

    return open_it


def long_poll(who: Chatter, chat_id: str) -> Connection:
    """It says nothing until it answers, so it counts as begun once it holds its slot."""
    at = who.snapshot(chat_id)["offset"]
    services = who.app.services  # type: ignore[attr-defined]
    before = services.slots.taken

    def read() -> Iterator[object]:
        query = {"id": chat_id, "offset": at, "live": "long-poll"}
        yield who.http.get("/api/chat-stream", params=query)

    connection = Connection(read)
    eventually(lambda: services.slots.taken > before, what="the long-poll waits")
    connection.started.set()
    return connection


def socket(*, named: bool) -> Open:
    def open_it(who: Chatter, chat_id: str) -> Connection:
        def read() -> Iterator[object]:
            with open_socket(who, **({"id": chat_id} if named else {})) as opened:
                opened.send({**run_input(f"hold {chat_id}", message_id="m-held"), "threadId": chat_id})
                opened.next()
                yield opened
                opened.closed()

        return Connection(read)

    return open_it


STREAM = {"id": "{chat}", "offset": "-1", "live": "sse"}
OPEN: dict[str, Open] = {
    "chat-stream": streamed(
        "GET", "/api/chat-stream", params={"id": "{chat}", "offset": "-1", "live": "sse"}
    ),
    "long-poll": long_poll,
    "a run by SSE": streamed("POST", "/api/chat/sse", params={"id": "{chat}"}),
    "a run by NDJSON": streamed("POST", "/api/chat/ndjson", params={"id": "{chat}"}),
    "a socket": socket(named=True),
    "a socket without an address": socket(named=False),
}


def revoke(owner: Chatter, chat_id: str) -> None:
    (link,) = owner.http.get(f"/api/chats/{chat_id}/shares").json()["links"]
    assert owner.http.delete(f"/api/chats/{chat_id}/shares/{link['id']}").status_code == 200


def remove(owner: Chatter, chat_id: str) -> None:
    (person,) = owner.http.get(f"/api/chats/{chat_id}/shares").json()["people"]
    assert owner.http.delete(f"/api/chats/{chat_id}/people/{person['id']}").status_code == 200


def delete(owner: Chatter, chat_id: str) -> None:
    assert owner.http.delete(f"/api/chats/{chat_id}").status_code == 200


def expire(owner: Chatter, chat_id: str) -> None:
    """Its time comes; nobody does anything, so a round of looking has to find it."""

    async def over(services: Services) -> None:
        async with services.catalog._database.write() as connection:
            theirs = update(arrivals).where(arrivals.c.chat_id == chat_id)
            await connection.execute(theirs.values(expires_at=1.0))

    owner.app.run(over)  # type: ignore[attr-defined]


ENDS = {"revoked": revoke, "removed": remove, "deleted": delete, "expired": expire}


@contextmanager
def held(app: LiveApp, door: Door, what: str) -> Iterator[tuple[Chatter, Chatter, str, Connection]]:
    """An owner, a guest in the owner's chat, and something open for the guest."""
    owner = Chatter(app)
    chat_id = owner.create_chat()
    guest = owner.invited(chat_id, "chat")
    with ExitStack() as stack:
        stack.callback(door.open, app, f"hold {chat_id}")
        connection = OPEN[what](guest, chat_id)
        assert connection.started.wait(20)
        yield owner, guest, chat_id, connection


@pytest.mark.parametrize("why", ENDS)
def test_what_is_open_ends(gated: LiveApp, door: Door, why: str) -> None:
    with ExitStack() as stack:
        opened = {what: stack.enter_context(held(gated, door, what)) for what in OPEN}
        for owner, _, chat_id, _ in opened.values():
            ENDS[why](owner, chat_id)
        for what, (_, guest, chat_id, connection) in opened.items():
            assert connection.over.wait(20), what
            assert guest.http.get(f"/api/chats/{chat_id}/snapshot").status_code == 404, what
            assert guest.send(chat_id, "too late").status_code == 404, what
    eventually(lambda: gated.services.slots.taken == 0, what="every slot is given back")


@pytest.mark.parametrize("why", ENDS)
def test_the_reply_that_has_everything_says_which_chat_is_gone(gated: LiveApp, why: str) -> None:
    owner = Chatter(gated)
    chat_id = owner.create_chat()
    guest = owner.invited(chat_id, "view")
    own = guest.create_chat()
    events = follow(guest.http, "/api/live", chats=f"{chat_id}:-1,{own}:-1")
    open_chats: set[str] = set()
    while open_chats != {chat_id, own}:
        event = next(events)
        open_chats |= {event.json()["id"]} if event.event == "batch" else set()
    ENDS[why](owner, chat_id)
    gone = next(event for event in events if event.event == "gone").json()
    assert (gone["id"], gone["code"]) == (chat_id, why)
    assert guest.send(own, "the rest goes on", mode="").status_code == 202
    next(event for event in events if event.event == "batch" and event.json()["id"] == own)
    events.close()  # type: ignore[attr-defined]
    again = guest.http.get("/api/live", params={"chats": f"{chat_id}:-1", "live": "no"}).json()
    assert [frame[1]["code"] for frame in again["frames"] if frame[0] == "gone"] == ["not-found"]


def test_others_notice_nothing_and_what_runs_goes_on(gated: LiveApp, door: Door) -> None:
    with held(gated, door, "a run by SSE") as (owner, _, chat_id, connection):
        owners = OPEN["chat-stream"](owner, chat_id)
        assert owners.started.wait(20)
        revoke(owner, chat_id)
        assert connection.over.wait(20)
        door.open(gated, f"hold {chat_id}")
        eventually(lambda: owner.snapshot(chat_id)["activeRuns"] == [], what="the run ends")
        assert owner.messages(chat_id)[-1]["parts"][0]["content"].endswith("done")
        assert not owners.over.is_set()
        delete(owner, chat_id)
        assert owners.over.wait(20)


def test_less_than_before_is_a_loss_and_more_is_none(gated: LiveApp, door: Door) -> None:
    with held(gated, door, "a socket") as (owner, guest, chat_id, connection):
        assert guest.http.get(owner.link(chat_id, "approve")).status_code == 303
        (person,) = owner.http.get(f"/api/chats/{chat_id}/shares").json()["people"]
        assert person["role"] == "approve"
        assert not connection.over.is_set()
        address = f"/api/chats/{chat_id}/people/{person['id']}"
        assert owner.http.patch(address, json={"role": "view"}).status_code == 200
        assert connection.over.wait(20)
        assert guest.http.get(f"/chat/{chat_id}").status_code == 200


def test_a_deleted_chats_runs_are_stopped(gated: LiveApp) -> None:
    owner = Chatter(gated)
    chat_id = owner.create_chat()
    for number in range(2):  # the second one waits
        assert owner.send(chat_id, f"held {number} {chat_id}", mode="").status_code == 202
    delete(owner, chat_id)
    unfinished = gated.run(lambda services: services.catalog.runs.unfinished(chat_id=chat_id))
    assert unfinished == []
    assert owner.http.post(f"/api/chats/{chat_id}/restore").status_code == 200
    eventually(lambda: owner.snapshot(chat_id)["activeRuns"] == [])
    assert {run["status"] for run in owner.snapshot(chat_id)["runs"].values()} == {"stopped"}


def test_a_restart_ends_what_a_deletion_began(tmp_path: Path) -> None:
    """Whoever deleted the chat has gone before the grace was over; the next process makes an end of it."""
    with LiveApp(tmp_path, env={"DURABLE_CHAT_DELETE_GRACE": "1"}) as app:
        owner = Chatter(app)
        chat_id = owner.create_chat()
        owner.send(chat_id, "gone soon")
        frozen = owner.http.post(f"/api/chats/{chat_id}/shares", json={"role": "view", "frozen": True})
        copy = app.client().get(frozen.json()["url"]).headers["location"].rsplit("/", 1)[1]
        delete(owner, chat_id)
        app.run(lambda services: services.deletions.aclose())
    with LiveApp(tmp_path, env={"DURABLE_CHAT_DELETE_GRACE": "1"}) as app:
        for each in (copy, chat_id):
            eventually(lambda each=each: app.run(lambda services: _is_purged(services, each)), what=each)
        eventually(lambda: app.run(lambda services: services.catalog.deleted.due()) == [], what="all purged")


async def _is_purged(services: Services, chat_id: str) -> bool:
    try:
        await services.streams.read(services.sessions.path(chat_id))
    except (StreamNotFound, StreamGone):
        return True
    return False
