"""Every file of ``examples/`` is run as a process and does what it says."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.chats import check_runs, of, questions
from tests.support.example import Example
from tests.support.server import ROOT, ServerProcess
from tests.support.sse import SseEvent, SseReader
from tests.support.waiting import eventually
from webapp.chat.reducer import Reducer, Snapshot, materialize

Run = Callable[..., Example]
LONG = " ".join(["word"] * 500)


@pytest.fixture
def run(tmp_path: Path, start_server: Callable[..., ServerProcess]) -> Iterator[Run]:
    """Start an example by its name, with whatever it needs."""
    with ExitStack() as stack:

        def start(name: str) -> Example:
            if name == "fastapi_app":
                streams = start_server("streams", command="streams")
                arguments = ["--streams", f"{streams.url}/v1/stream"]
            else:
                arguments = ["--data-dir", str(tmp_path / "data")]
            return stack.enter_context(Example(name, *arguments, log=tmp_path / f"{name}.log"))

        yield start


NAMES = ["plain_asgi", "fastapi_app", "own_database"]


def test_these_are_all() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(NAMES)


def is_answered(app: Example, chat_id: str, count: int = 1) -> bool:
    return len(of(app.events(chat_id), "RUN_FINISHED")) == count


@pytest.mark.parametrize("name", NAMES)
def test_a_conversation(run: Run, name: str) -> None:
    app = run(name)
    for count, text in enumerate(("one", "two"), start=1):
        assert app.send("c", text, runId=f"r-{text}").status_code == 202
        # Sent again, it is the same message and the same run.
        assert app.send("c", text, runId=f"r-{text}").status_code == 202
        eventually(lambda count=count: is_answered(app, "c", count))  # type: ignore[misc]
    events = app.events("c")
    check_runs(events)
    assert questions(events) == ["m-one", "m-two"]
    eventually(lambda: app.snapshot("c")["messages"] == materialize(events).messages)
    snapshot = app.snapshot("c")
    assert [message["role"] for message in snapshot["messages"]] == ["user", "assistant"] * 2
    assert snapshot["activeRuns"] == []
    assert app.events("c", snapshot["offset"]) == []
    assert "Traceback" not in app.log


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_before_the_first_message_sees_it_come(run: Run, name: str) -> None:
    app = run(name)
    reader, frames = SseReader(), list[SseEvent]()
    query = {"id": "c", "offset": "-1", "live": "sse"}
    with app.http.stream("GET", "/api/chat-stream", params=query) as reply:
        for piece in reply.iter_raw():
            if not frames:
                assert app.send("c", "hello").status_code == 202
            frames += reader.feed(piece)
            events = [event for frame in frames if frame.event == "data" for event in frame.json()]
            if of(events, "RUN_FINISHED"):
                break
    assert frames[0].event == "control"
    assert questions(events) == ["m-hello"]
    check_runs(events)


@pytest.mark.parametrize("name", ["plain_asgi", "own_database"])
def test_stopped_in_the_middle_of_an_answer_it_says_so(run: Run, name: str) -> None:
    app = run(name)
    app.send("c", LONG)
    eventually(lambda: of(app.events("c"), "TEXT_MESSAGE_CONTENT")[2:])
    app.sigterm()
    app.start()
    events = app.events("c")
    check_runs(events)
    assert events[-1]["code"] == "interrupted"
    assert "Traceback" not in app.log


@pytest.mark.parametrize("name", ["plain_asgi", "own_database"])
def test_killed_in_the_middle_of_an_answer_the_next_start_says_so(run: Run, name: str) -> None:
    app = run(name)
    app.send("c", LONG)
    eventually(lambda: of(app.events("c"), "TEXT_MESSAGE_CONTENT")[2:])
    said = materialize(app.events("c")).messages[1]["parts"][0]["content"]
    app.kill9()
    app.start()
    snapshot = app.snapshot("c")
    check_runs(app.events("c"))
    assert snapshot["activeRuns"] == []
    assert snapshot["runs"][app.events("c")[-1]["runId"]]["status"] == "interrupted"
    assert snapshot["messages"][1]["parts"][0]["content"].startswith(said)
    # And the conversation goes on.
    app.send("c", "hello")
    eventually(lambda: is_answered(app, "c"))


@pytest.mark.parametrize(
    ("name", "path"), [("plain_asgi", "/api/sse"), ("plain_asgi", "/api/ndjson"), ("fastapi_app", "/api/sse")]
)
def test_the_answer_as_the_response(run: Run, name: str, path: str) -> None:
    app = run(name)
    body = {"messages": [{"id": "m", "role": "user", "content": "hello you"}], "runId": "r"}
    reply = app.http.post(path, json=body)
    if reply.headers["content-type"].startswith("text/event-stream"):
        chunks = [event.json() for event in SseReader().feed(reply.content)]
    else:
        chunks = [json.loads(line) for line in reply.content.splitlines()]
    check_runs(chunks)
    assert {chunk["runId"] for chunk in chunks if "runId" in chunk} == {"r"}
    assert of(chunks, "TEXT_MESSAGE_CONTENT")


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("id=c", "no json"),
        ("id=c", "{}"),
        ("id=c", '{"messages": []}'),
        ("id=c", '{"messages": [7]}'),
        ("id=../x", '{"messages": [{"role": "user", "content": "x"}]}'),
        ("", '{"messages": [{"role": "user", "content": "x"}]}'),
    ],
)
def test_nonsense_is_refused(plain: Example, query: str, body: str) -> None:
    reply = plain.http.post(f"/api/chat?{query}", content=body)
    assert reply.status_code == 400
    assert "error" in reply.json()
    assert "Traceback" not in plain.log


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """``plain_asgi``, for those who only ask it something."""
    folder = tmp_path_factory.mktemp("plain")
    with Example("plain_asgi", "--data-dir", str(folder / "data"), log=folder / "log") as app:
        yield app


# A database of one's own


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "data" / "history.sqlite3")) as db:
        return db.execute(query).fetchall()


def test_the_rows_and_the_stream_from_their_offset_are_the_conversation(run: Run, tmp_path: Path) -> None:
    """At any moment, also while an answer is written and after a process was killed."""
    app = run("own_database")

    def check() -> None:
        stored = app.snapshot("c")
        reducer = Reducer(Snapshot.from_json(stored))
        for event in app.events("c", stored["offset"]):
            reducer.apply(event)
        shown = reducer.snapshot().messages
        # More may have come since, behind what was shown and at the end of its last message.
        now = materialize(app.events("c")).messages[: len(shown)]
        assert now[:-1] == shown[:-1]
        assert json.dumps(now[-1]["parts"]).startswith(json.dumps(shown[-1]["parts"])[:-3])

    app.send("c", "one")
    eventually(lambda: is_answered(app, "c"))
    eventually(lambda: len(app.snapshot("c")["messages"]) == 2)
    check()
    app.send("c", LONG)
    for _ in range(5):
        check()
    app.kill9()
    app.start()
    check()
    assert app.events("c", app.snapshot("c")["offset"]) == []
    stored = [
        json.loads(message) for (message,) in rows(tmp_path, "SELECT message FROM messages ORDER BY position")
    ]
    assert stored == materialize(app.events("c")).messages


def test_what_was_said_can_be_searched(run: Run) -> None:
    app = run("own_database")
    for chat_id, text in (("a", "apples"), ("b", "pears")):
        app.send(chat_id, text)
    eventually(lambda: len(app.http.get("/api/search", params={"text": "pears"}).json()) == 2)
    found = app.http.get("/api/search", params={"text": "apples"}).json()
    assert {each["chat"] for each in found} == {"a"}
    assert [each["message"]["role"] for each in found] == ["user", "assistant"]
