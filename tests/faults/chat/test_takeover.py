"""A process that hangs past its lease, and a stream server that dies: nothing is said twice (AC-18 to 20)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.chats import check_runs, of, questions, text_of
from tests.support.live_app import Chatter
from tests.support.onlooker import Onlooker
from tests.support.server import ServerProcess
from tests.support.waiting import eventually
from webapp.agents.scripted_texts import long_text

pytestmark = pytest.mark.slow

Apps = tuple[ServerProcess, ServerProcess, ServerProcess]


@pytest.fixture
def apps(start_server: Callable[..., ServerProcess], tmp_path: Path) -> Apps:
    """A stream server, and two apps on it with a short lease."""
    streams = start_server("streams", command="streams")
    env = {
        "DURABLE_CHAT_STREAMS_URL": streams.streams_url,
        "DURABLE_CHAT_DATABASE_URL": f"sqlite:///{tmp_path / 'catalog.db'}",
        "DURABLE_CHAT_SECRET_KEY": "one-secret-for-both-of-them",
        "DURABLE_CHAT_LEASE": "1",
        "DURABLE_CHAT_SSE_LIFETIME": "1",
        "DURABLE_CHAT_DEMO_WORD_DELAY": "0.02",
    }
    return streams, start_server("one", env=env), start_server("two", env=env)


def whole(who: Chatter, chat_id: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = who.http.get(
        "/api/chat-stream", params={"id": chat_id, "offset": "-1"}
    ).json()
    return events


def test_a_process_that_hangs_past_its_lease_writes_nothing_more(apps: Apps) -> None:
    """Its run has been taken over when it goes on: the stream refuses the tokens it has in hand."""
    _, frozen, heir = apps
    ana = Chatter(heir)
    chat_id = ana.create_chat()
    with Onlooker(ana, chat_id) as onlooker:
        run_id = ana.at(frozen).send(chat_id, "/long 2000", mode="").headers["x-run-id"]
        eventually(lambda: len(text_of(onlooker.events, run_id).split()) > 10)
        frozen.freeze()
        eventually(lambda: onlooker.count("RUN_ERROR") == 1, what="the heir to take over")
        taken_over = whole(ana, chat_id)
        assert taken_over[-1]["code"] == "interrupted"
        frozen.thaw()

        # It is itself again, and answers what comes after; the words it was about to write are nowhere.
        late = ana.at(frozen).send(chat_id, "/long 5", message_id="m-late").headers["x-run-id"]
        eventually(lambda: "has another owner" in frozen.log or onlooker.count("RUN_FINISHED") == 1)
        assert text_of(whole(ana, chat_id), late) == long_text(5)
        eventually(lambda: onlooker.count("RUN_FINISHED") == 1)
    events = whole(ana, chat_id)
    assert events[: len(taken_over)] == taken_over
    assert text_of(events, run_id) == text_of(taken_over, run_id)
    assert [event["runId"] for event in of(events, "RUN_ERROR")] == [run_id]
    assert onlooker.events == events
    check_runs(events)


def test_the_stream_server_dies_while_an_answer_is_being_written(apps: Apps) -> None:
    """The answer goes on where it was, as one producer: whole, and nothing of it twice."""
    streams, app, other = apps
    ana = Chatter(app)
    chat_id = ana.create_chat()
    with Onlooker(ana.at(other), chat_id) as onlooker:
        run_id = ana.send(chat_id, "/long 200", message_id="m-1", mode="").headers["x-run-id"]
        for words in (20, 60, 100):
            eventually(lambda words=words: len(text_of(onlooker.events, run_id).split()) > words)  # type: ignore[misc]
            streams.restart()
        eventually(lambda: onlooker.count("RUN_FINISHED") == 1, what="the end of the answer", timeout=60)
    events = whole(ana, chat_id)
    assert text_of(events, run_id) == long_text(200)
    assert questions(events) == ["m-1"]
    assert onlooker.events == events
    check_runs(events)


def test_everything_dies_at_once(apps: Apps) -> None:
    """Stream server and both apps; whichever comes back first settles what was left."""
    ana = Chatter(apps[1])
    chat_id = ana.create_chat()
    sent = {
        f"m-{number}": ana.at(app)
        .send(chat_id, "/long 500", message_id=f"m-{number}", mode="")
        .headers["x-run-id"]
        for number, app in enumerate(apps[1:])
    }
    eventually(lambda: text_of(whole(ana, chat_id), sent["m-0"]))
    for process in apps:
        process.kill9()
    for process in (apps[0], apps[2]):
        process.start()
    heir = ana.at(apps[2])
    # The second one had not begun, and is answered now; nobody needs so long an answer.
    eventually(lambda: text_of(whole(heir, chat_id), sent["m-1"]), timeout=30)
    heir.stop(chat_id, sent["m-1"])
    eventually(lambda: not heir.snapshot(chat_id)["activeRuns"])
    events = whole(heir, chat_id)
    assert questions(events) == list(sent)
    assert [event["code"] for event in of(events, "RUN_ERROR")] == ["interrupted"]
    assert [event["outcome"] for event in of(events, "RUN_FINISHED")] == [{"type": "cancelled"}]
    check_runs(events)
