"""A real server is killed around an approval: the decision counts, and what was approved ran at most once.

How often it ran is counted in a file, which no restart forgets.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter

from tests.support.chats import check_runs, of
from tests.support.live_app import Chatter
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

EVENT: TypeAdapter[Any] = TypeAdapter(AgUiEvent)


class Post:
    """A chat with the postman, and what he has posted."""

    def __init__(self, start_server: Callable[..., ServerProcess], directory: Path) -> None:
        self.log, self.go = directory / "posted", directory / "go"
        env = {
            "DURABLE_CHAT_AGENT": "tests.support.agents:postman",
            "POSTMAN_LOG": str(self.log),
            "POSTMAN_GO": str(self.go),
        }
        self.server = start_server(env=env)
        self.ana = Chatter(self.server)
        self.chat_id = self.ana.create_chat()

    @property
    def posted(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def pending(self) -> list[dict[str, Any]]:
        runs = self.ana.snapshot(self.chat_id)["runs"].values()
        waiting = [run for run in runs if run["status"] == "awaiting-approval" and "supersededBy" not in run]
        return [each for run in waiting for each in run["interrupts"]]

    def decide(self, interrupt: dict[str, Any], approved: bool = True, **options: Any) -> httpx.Response:
        answer = {"interruptId": interrupt["id"], "status": "resolved", "payload": {"approved": approved}}
        body = {"messages": [], "resume": [answer]}
        return self.ana.http.post("/api/chat", params={"id": self.chat_id, **options}, json=body)

    def events(self) -> list[dict[str, Any]]:
        reply = self.ana.http.get("/api/chat-stream", params={"id": self.chat_id, "offset": "-1"})
        events: list[dict[str, Any]] = reply.json()
        for event in events:
            EVENT.validate_python(event)
        return events

    def decisions(self) -> list[dict[str, Any]]:
        return [each["value"] for each in self.events() if each.get("name") == "approval.decided"]

    def idle(self) -> bool:
        snapshot = self.ana.snapshot(self.chat_id)
        waiting = [
            run for run in snapshot["runs"].values() if "decisions" in run and "continuedBy" not in run
        ]
        return not snapshot["activeRuns"] and not waiting


@pytest.fixture
def post(start_server: Callable[..., ServerProcess], tmp_path: Path) -> Post:
    return Post(start_server, tmp_path)


def test_killed_between_deciding_and_going_on(post: Post) -> None:
    post.ana.send(post.chat_id, "send letter")
    (asked,) = post.pending()
    post.ana.send(post.chat_id, "wait", mode="")  # the postman is busy, so the decision has to wait
    eventually(lambda: post.ana.snapshot(post.chat_id)["activeRuns"])
    assert post.decide(asked).status_code == 202
    assert post.posted == []
    post.server.kill9()
    post.server.restart()
    eventually(lambda: post.posted == ["letter"])
    eventually(post.idle)
    assert post.decide(asked).status_code == 202
    assert post.decide(asked, approved=False).status_code == 409
    assert len(post.decisions()) == 1
    assert post.posted == ["letter"]
    check_runs(post.events())


def test_killed_while_what_was_approved_is_done(post: Post) -> None:
    asking = post.ana.send(post.chat_id, "hold parcel", message_id="m-1")
    (asked,) = post.pending()
    post.decide(asked)
    eventually(lambda: post.posted == ["parcel"])
    post.server.kill9()
    post.server.restart()
    events = post.events()
    check_runs(events)
    (ended,) = of(events, "RUN_ERROR")
    assert ended["code"] == "interrupted"
    assert post.posted == ["parcel"]
    page = post.ana.http.get(f"/chat/{post.chat_id}").text
    assert 'data-state="unknown"' in page
    assert "It is not known whether this ran." in page
    assert 'data-action="retry"' in page

    # Another try asks again, and runs only if that is allowed.
    again = post.ana.send(post.chat_id, "hold parcel", message_id="m-1", runId="again")
    assert again.headers["x-run-id"] != asking.headers["x-run-id"]
    (asked,) = post.pending()
    assert post.posted == ["parcel"]
    post.decide(asked, approved=False, mode="await")
    assert post.posted == ["parcel"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_killed_while_it_is_being_decided(post: Post, rng: random.Random) -> None:
    """Wherever it is cut: one decision, and what was approved is done at most once."""
    for number in range(3):
        thing = f"card-{number}"
        post.ana.send(post.chat_id, f"send {thing}")
        (asked,) = post.pending()

        def press(asked: dict[str, Any] = asked) -> None:
            with suppress(httpx.TransportError):
                post.decide(asked)

        pressing = threading.Thread(target=press)
        pressing.start()
        time.sleep(rng.uniform(0, 0.03))  # anywhere will do
        post.server.kill9()
        pressing.join()
        post.server.restart()
        assert post.decide(asked).status_code == 202
        eventually(post.idle)
        (run,) = [
            run
            for run in post.ana.snapshot(post.chat_id)["runs"].values()
            if any(each["id"] == asked["id"] for each in run.get("interrupts", ()))
        ]
        assert len(run["decisions"]) == 1
        went_on = post.ana.snapshot(post.chat_id)["runs"].get(run["continuedBy"])
        times = post.posted.count(thing)
        assert times == 1 or (times == 0 and went_on and went_on["status"] == "interrupted")
    assert len(post.decisions()) == 3
    check_runs(post.events())


def test_a_pending_approval_outlives_the_server(post: Post) -> None:
    post.ana.send(post.chat_id, "send letter parcel")
    letter, parcel = post.pending()
    assert post.decide(letter).status_code == 202
    post.server.kill9()
    post.server.restart()
    page = post.ana.http.get(f"/chat/{post.chat_id}").text
    assert "1 approval waiting" in page
    assert page.count("data-open") == 1
    # The card is a plain form.
    form = {
        "runId": parcel["id"].removesuffix("-parcel"),
        "interruptId": parcel["id"],
        "arguments": '{"what": "parcel"}',
        "decision": "edit",
        "editedArgs": '{"what": "box"}',
    }
    reply = post.ana.http.post(f"/chat/{post.chat_id}/decisions", data=form)
    assert reply.status_code == 303, reply.text
    eventually(lambda: post.posted == ["letter", "box"])
    eventually(post.idle)
    page = post.ana.http.get(f"/chat/{post.chat_id}").text
    name = post.ana.messages(post.chat_id)[0]["name"]
    assert f"Approved by {name}" in page
    assert f"Approved with changes by {name}" in page
    check_runs(post.events())
