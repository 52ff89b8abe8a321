"""Two app processes on one stream server, one catalog and one secret: whoever asks which, it is one chat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.chats import check_runs, of, questions, text_of
from tests.support.live_app import Chatter
from tests.support.onlooker import Onlooker
from tests.support.postgres import Postgres
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

LONG = "/long 2000"


def settings(streams: ServerProcess, database_url: str) -> dict[str, str]:
    """Of every app process on ``streams``."""
    return {
        "DURABLE_CHAT_STREAMS_URL": streams.streams_url,
        "DURABLE_CHAT_DATABASE_URL": database_url,
        "DURABLE_CHAT_SECRET_KEY": "one-secret-for-both-of-them",
        "DURABLE_CHAT_SSE_LIFETIME": "1",
        "DURABLE_CHAT_DEMO_WORD_DELAY": "0.02",
    }


@dataclass(frozen=True)
class Two:
    one: ServerProcess
    two: ServerProcess


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[Two]:
    directory = tmp_path_factory.mktemp("two")
    with ExitStack() as stack:
        streams = stack.enter_context(ServerProcess(directory / "streams", command="streams"))
        env = settings(streams, postgres.new_database())
        # One after the other: the first makes the catalog.
        yield Two(*(stack.enter_context(ServerProcess(directory / name, env=env)) for name in ("one", "two")))


@dataclass
class Room:
    """A chat of Ana's, who is at the first app, with Ben at the second, who reads along there."""

    ana: Chatter
    ben: Chatter
    chat_id: str
    seen: Onlooker

    def ask(self, who: Chatter, text: str) -> str:
        """Send a message; the run that will answer it."""
        sent = who.send(self.chat_id, text, mode="")
        assert sent.status_code == 202, sent.text
        return sent.headers["x-run-id"]

    def begun(self, run_id: str) -> None:
        """Wait until Ben sees the answer grow."""
        eventually(lambda: len(text_of(self.seen.events, run_id).split()) > 5, what=f"words of {run_id}")

    def ended(self, *run_ids: str) -> list[dict[str, Any]]:
        """Wait until Ben has seen the ends of these runs; everything he has seen."""
        eventually(lambda: {event["runId"] for event in ends(self.seen.events)} >= set(run_ids))
        events = self.seen.events
        check_runs(events)
        return events

    def stopped(self) -> dict[str, dict[str, str]]:
        """The runs that were stopped and who did it, as both apps tell."""
        here, there = (who.snapshot(self.chat_id)["runs"] for who in (self.ana, self.ben))
        assert here == there
        return {run_id: run["stoppedBy"] for run_id, run in here.items() if run["status"] == "stopped"}


@pytest.fixture
def room(apps: Two) -> Iterator[Room]:
    ana = Chatter(apps.one)
    chat_id = ana.create_chat()
    ben = ana.invited(chat_id, "chat").at(apps.two)
    seen = Onlooker(ben, chat_id)
    yield Room(ana, ben, chat_id, seen)
    seen.leave()


def ends(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*of(events, "RUN_FINISHED"), *of(events, "RUN_ERROR")]


def signals(events: list[dict[str, Any]], name: str) -> list[str]:
    return [event["value"]["runId"] for event in of(events, "CUSTOM") if event["name"] == name]


def test_a_message_is_one_wherever_it_is_sent(room: Room, apps: Two) -> None:
    there = room.ana.at(apps.two)
    sent = room.ana.send(room.chat_id, "said to one", message_id="m-1")
    again = there.send(room.chat_id, "said to one", message_id="m-1")
    assert sent.status_code == again.status_code == 200
    assert sent.headers["x-run-id"] == again.headers["x-run-id"]
    assert there.send(room.chat_id, "said to two", message_id="m-2").status_code == 200
    eventually(lambda: len(ends(room.seen.events)) == 2)
    assert [message["id"] for message in there.messages(room.chat_id)][::2] == ["m-1", "m-2"]
    assert room.ana.messages(room.chat_id) == there.messages(room.chat_id)


def test_ten_posts_at_once_to_both_are_one_message(room: Room, apps: Two) -> None:
    """AC-08: one message, one run, ten equal replies."""
    both = (room.ana, room.ana.at(apps.two))
    with ThreadPoolExecutor(10) as pool:
        replies = list(
            pool.map(lambda n: both[n % 2].send(room.chat_id, "once", message_id="one", mode=""), range(10))
        )
    assert {(reply.status_code, reply.content) for reply in replies} == {(202, b"")}
    (run_id,) = {reply.headers["x-run-id"] for reply in replies}
    events = room.ended(run_id)
    assert questions(events) == ["one"]
    assert len(of(events, "RUN_STARTED")) == 1


def test_an_answer_is_stopped_by_another_person_at_another_app(room: Room) -> None:
    run = room.ask(room.ana, LONG)
    room.begun(run)

    reply = room.ben.stop(room.chat_id, run)

    # The end was durable before the reply: whoever asks now is told who stopped it.
    assert (reply.status_code, reply.json()) == (202, {"stopped": True})
    stopped_by = room.stopped()[run]
    events = room.ended(run)
    assert [event["type"] for event in events[-3:]] == ["CUSTOM", "TEXT_MESSAGE_END", "RUN_FINISHED"]
    assert events[-3]["value"] == {"runId": run, **stopped_by}
    assert stopped_by["participantId"] != events[0]["metadata"]["participantId"]
    assert events[-1]["outcome"] == {"type": "cancelled"}
    kept = text_of(events, run)
    assert 5 < len(kept.split()) < 2000
    assert [message["parts"][0]["content"] for message in room.ana.messages(room.chat_id)] == [LONG, kept]

    before = room.ana.snapshot(room.chat_id)["offset"]
    for who in (room.ben, room.ana):
        for run_id in (run, None):
            over = who.stop(room.chat_id, run_id)
            assert (over.status_code, over.json()) == (200, {"stopped": False})
    assert room.ana.snapshot(room.chat_id)["offset"] == before


def test_a_queued_answer_is_stopped_at_another_app(room: Room) -> None:
    running = room.ask(room.ana, LONG)
    room.begun(running)
    queued = room.ask(room.ana, "never answered")

    assert room.ben.stop(room.chat_id, queued).json() == {"stopped": True}

    assert list(room.stopped()) == [queued]
    assert room.ana.snapshot(room.chat_id)["activeRuns"] == [running]
    assert room.ben.stop(room.chat_id).json() == {"stopped": True}
    events = room.ended(running, queued)
    assert text_of(events, queued) == ""
    assert signals(events, "run.stopped-by") == [queued, running]


def test_both_stop_at_once(room: Room) -> None:
    runs = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            runs.append(run := room.ask(room.ana, LONG))
            room.begun(run)
            told = list(pool.map(lambda who, run=run: who.stop(room.chat_id, run), (room.ana, room.ben)))
            assert sorted(reply.json()["stopped"] for reply in told) == [False, True]
    events = room.ended(*runs)
    assert signals(events, "run.stopped-by") == runs
    asked_for = signals(events, "run.stop-requested")
    assert len(set(asked_for)) == len(asked_for)


def test_who_may_not_write_may_not_stop(room: Room, apps: Two) -> None:
    viewer = room.ana.invited(room.chat_id, "view").at(apps.two)
    run = room.ask(room.ana, LONG)
    room.begun(run)
    assert viewer.stop(room.chat_id, run).status_code == 403
    assert viewer.stop(room.chat_id).status_code == 403
    assert Chatter(apps.two).stop(room.chat_id, run).status_code == 404
    assert signals(room.seen.events, "run.stop-requested") == []
    assert room.ana.stop(room.chat_id, run).json() == {"stopped": True}
    room.ended(run)


def test_one_agent_answers_in_order_wherever_it_is_asked(room: Room) -> None:
    runs = [room.ask((room.ana, room.ben)[number % 2], f"/long {10 + number}") for number in range(6)]
    events = room.ended(*runs)
    assert [event["runId"] for event in events if event["type"].startswith("RUN_")] == [
        run for run in runs for _ in ("start", "end")
    ]
    assert [len(text_of(events, run).split()) >= 10 for run in runs] == [True] * 6


@pytest.fixture
def mortal(start_server: Callable[..., ServerProcess], tmp_path: Path) -> tuple[ServerProcess, ServerProcess]:
    """Two apps of which the first may be killed; its lease is short."""
    database_url = f"sqlite:///{tmp_path / 'catalog.db'}"
    env = settings(start_server("streams", command="streams"), database_url) | {"DURABLE_CHAT_LEASE": "1"}
    return start_server("doomed", env=env), start_server("heir", env=env)


def test_an_app_that_dies_leaves_its_runs_to_the_other(mortal: tuple[ServerProcess, ServerProcess]) -> None:
    doomed, heir = mortal
    ana = Chatter(heir)
    chat_id = ana.create_chat()
    onlooker = Onlooker(ana, chat_id)
    assert ana.at(doomed).send(chat_id, LONG, mode="").status_code == 202
    eventually(lambda: len(onlooker.text.split()) > 10)
    doomed.kill9()
    eventually(lambda: onlooker.events[-1]["type"] == "RUN_ERROR")
    onlooker.leave()
    assert onlooker.events[-1]["code"] == "interrupted"
    check_runs(onlooker.events)


def test_an_app_that_dies_with_a_request_to_stop(mortal: tuple[ServerProcess, ServerProcess]) -> None:
    """It cannot have heard the request, and what it leaves is stopped all the same, and not interrupted."""
    doomed, heir = mortal
    ana = Chatter(heir)
    chat_id = ana.create_chat()
    room = Room(ana.at(doomed), ana, chat_id, Onlooker(ana, chat_id))
    running = room.ask(room.ana, LONG)
    room.begun(running)
    queued = room.ask(room.ana, "never answered")
    doomed.freeze()
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda run: ana.stop(chat_id, run), (running, queued)))
    assert [(reply.status_code, reply.json()) for reply in told] == [(202, {"stopped": True})] * 2
    doomed.kill9()

    events = room.ended(running, queued)
    room.seen.leave()
    assert set(signals(events, "run.stopped-by")) == {running, queued}
    assert [event["outcome"] for event in ends(events)] == [{"type": "cancelled"}] * 2
    assert text_of(events, queued) == ""


@pytest.mark.parametrize("run_id", [None, "r-two-agents"])
def test_twenty_requests_for_two_agents_are_one_message_and_two_runs(
    room: Room, apps: Two, run_id: str | None
) -> None:
    """G10."""
    people = (room.ana, room.ana.at(apps.two))
    text, named = "@Demo and @Critic, what is this?", {"runId": run_id} if run_id else {}

    def send(number: int) -> str:
        reply = people[number % 2].send(room.chat_id, text, message_id=f"m-{run_id}", **named)
        assert reply.status_code == 200, reply.text
        return str(reply.headers["x-run-id"])

    with ThreadPoolExecutor(20) as pool:
        runs = set(pool.map(send, range(20)))

    assert len(runs) == 1
    (first,) = runs
    events = room.ended(first, f"{first}~critic")
    began = [(each["runId"], each["metadata"]["agentId"]) for each in of(events, "RUN_STARTED")]
    assert sorted(began) == [(first, "demo"), (f"{first}~critic", "critic")]
    assert [each["messageId"] for each in of(events, "TEXT_MESSAGE_START")].count(f"m-{run_id}") == 1
    assert room.ana.messages(room.chat_id) == room.ben.messages(room.chat_id)


def test_what_is_taken_away_at_one_app_ends_at_the_other(room: Room) -> None:
    live = {"id": room.chat_id, "offset": "now", "live": "sse"}
    (link,) = room.ana.http.get(f"/api/chats/{room.chat_id}/shares").json()["links"]
    room.ask(room.ana, LONG)
    assert room.ana.http.delete(f"/api/chats/{room.chat_id}/shares/{link['id']}").status_code == 200
    eventually(lambda: room.ben.http.get("/api/chat-stream", params=live).status_code == 404)
    assert room.ben.send(room.chat_id, "too late").status_code == 404
