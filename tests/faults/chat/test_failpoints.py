"""A real server dies at every step of a run; the next one, or the other one, puts it right (AC-18, 20, 21).

After whatever happened: the message is there once, its answer is whole or *interrupted* and can be had by
another attempt, every run has one end, and who sends the same again is told the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.chats import check_runs, of, questions, text_of
from tests.support.live_app import Chatter
from tests.support.server import ServerProcess
from tests.support.waiting import eventually
from webapp.chat.runs.failpoints import VARIABLE, Step

pytestmark = pytest.mark.slow  # two or three starts of a process each

# Long enough for several batches.
TEXT = " ".join(f"word{number}" for number in range(60))
ANSWER = f"Echo: {TEXT}"

ANSWERED = [
    Step.ROW_COMMITTED,
    Step.MESSAGE_APPENDED,
    Step.MARKED_APPENDED,
    Step.MARKED_RUNNING,
    Step.ENDED,
    Step.MARKED_DONE,
]
INTERRUPTED = [Step.STARTED, f"{Step.BATCH_PUT}:3", Step.DECIDED]
CHANGING = [Step.CHANGE_COMMITTED, Step.CHANGE_TOLD]
RECOVERING = [Step.CLAIMED, Step.FENCED, Step.SETTLED]


def events_of(who: Chatter, chat_id: str) -> list[dict[str, Any]]:
    """The whole stream."""
    reply = who.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"})
    assert reply.status_code == 200, reply.text
    assert reply.headers["stream-up-to-date"] == "true"
    found: list[dict[str, Any]] = reply.json()
    return found


def send(who: Chatter, chat_id: str, *, attempt: int = 1) -> httpx.Response:
    return who.send(chat_id, TEXT, message_id="m-1", mode="", runId=f"{chat_id}.{attempt}")


def ended(who: Chatter, chat_id: str, run_id: str) -> list[dict[str, Any]]:
    """Wait for the run's end; everything that was said."""

    def over() -> list[dict[str, Any]]:
        events = events_of(who, chat_id)
        ends = [*of(events, "RUN_FINISHED"), *of(events, "RUN_ERROR")]
        return events if any(event["runId"] == run_id for event in ends) else []

    return eventually(over, what=f"the end of {run_id}")


def check_one_answer(who: Chatter, chat_id: str, *, interrupted: bool) -> None:
    """The same request is the same run; it was answered once, or interrupted and another attempt is whole."""
    first, second = f"{chat_id}.1", f"{chat_id}.2"
    repeated = send(who, chat_id)
    assert (repeated.status_code, repeated.headers["x-run-id"]) == (202, first)
    events = ended(who, chat_id, first)
    if interrupted:
        [error] = of(events, "RUN_ERROR")
        assert (error["runId"], error["code"]) == (first, "interrupted")
        assert ANSWER.startswith(text_of(events, first))
        assert send(who, chat_id, attempt=2).status_code == 202
        events = ended(who, chat_id, second)
    assert text_of(events, second if interrupted else first) == ANSWER
    assert questions(events) == ["m-1"]
    assert len(of(events, "RUN_STARTED")) == 1 + interrupted
    check_runs(events)
    assert who.snapshot(chat_id)["activeRuns"] == []


def test_every_step_is_tried() -> None:
    steps = (*ANSWERED, *INTERRUPTED, *RECOVERING, *CHANGING)
    tried = {Step(str(step).partition(":")[0]) for step in steps}
    # A stop takes two processes, below; how a fork is cut off is in the tests of forks.
    assert tried == set(Step) - {Step.STOP_REQUESTED, Step.FORKED, Step.FORK_CLOSED}


@pytest.mark.parametrize("step", [*ANSWERED, *INTERRUPTED])
def test_killed_at_a_step_and_started_again(start_server: Callable[..., ServerProcess], step: str) -> None:
    server = start_server(env={"DURABLE_CHAT_AGENT": "echo", VARIABLE: step})
    ana = Chatter(server)
    chat_id = ana.create_chat()
    with suppress(httpx.TransportError):
        assert send(ana, chat_id).status_code == 202
    server.wait()

    del server.env[VARIABLE]
    server.start()
    check_one_answer(ana, chat_id, interrupted=step in INTERRUPTED)


@pytest.mark.parametrize("step", RECOVERING)
def test_killed_again_while_recovering(start_server: Callable[..., ServerProcess], step: str) -> None:
    server = start_server(env={"DURABLE_CHAT_AGENT": "echo", VARIABLE: f"{Step.BATCH_PUT}:2"})
    ana = Chatter(server)
    chat_id = ana.create_chat()
    with suppress(httpx.TransportError):
        send(ana, chat_id)
    server.wait()

    server.env[VARIABLE] = step
    server.start(wait=False)  # it recovers before it is ready
    server.wait()
    del server.env[VARIABLE]
    server.start()
    check_one_answer(ana, chat_id, interrupted=True)


def test_killed_when_a_person_has_stopped_the_run(start_server: Callable[..., ServerProcess]) -> None:
    """Whoever asked was not told that it stopped, and it did not: it was interrupted."""
    server = start_server(env={"DURABLE_CHAT_AGENT": "demo", VARIABLE: Step.DECIDED})
    ana = Chatter(server)
    chat_id = ana.create_chat()
    run_id = ana.send(chat_id, "/long 2000", mode="").headers["x-run-id"]
    eventually(lambda: text_of(events_of(ana, chat_id), run_id))
    with pytest.raises(httpx.TransportError):
        ana.stop(chat_id, run_id)
    server.wait()
    del server.env[VARIABLE]
    server.start()
    events = ended(ana, chat_id, run_id)
    assert events[-1]["code"] == "interrupted"
    check_runs(events)


@pytest.mark.parametrize("step", CHANGING)
def test_killed_while_the_queue_is_changed(start_server: Callable[..., ServerProcess], step: str) -> None:
    """One of two messages that wait is edited, the other is dropped; each time the server dies over it."""
    server = start_server(env={"DURABLE_CHAT_AGENT": "demo", VARIABLE: step})
    ana = Chatter(server)
    chat_id = ana.create_chat()
    for number, text in enumerate(("/long 2000", "/long 7", "/long 8"), 1):
        assert ana.send(chat_id, text, message_id=f"m-{number}", mode="").status_code == 202
    changes = [
        {"messageId": "m-2", "action": "edit", "text": "/long 9"},
        {"messageId": "m-3", "action": "drop"},
    ]
    eventually(lambda: of(events_of(ana, chat_id), "RUN_STARTED"))
    with pytest.raises(httpx.TransportError):
        ana.http.post("/api/chat/queue", json={"id": chat_id, **changes[0]})
    server.wait()
    # The first answer is interrupted, the second begins as soon as the server is back, and is short: another
    # long one keeps the third waiting.
    server.env["DURABLE_CHAT_DEMO_WORD_DELAY"] = "1"
    if step == Step.CHANGE_TOLD:
        server.env[VARIABLE] = f"{step}:2"  # the recoverer comes there first
    server.start()
    with pytest.raises(httpx.TransportError):
        ana.http.post("/api/chat/queue", json={"id": chat_id, **changes[1]})
    server.wait()
    del server.env[VARIABLE]
    server.start()

    eventually(lambda: not ana.snapshot(chat_id)["activeRuns"])
    events = events_of(ana, chat_id)
    check_runs(events)
    assert questions(events) == ["m-1", "m-2", "m-3"]
    said = [message for message in ana.messages(chat_id) if message["role"] == "user"]
    assert [(each["id"], each["parts"][0]["content"]) for each in said] == [
        ("m-1", "/long 2000"),
        ("m-2", "/long 9"),
    ]
    for name in ("message.edited", "message.dropped"):
        assert [event["name"] for event in of(events, "CUSTOM")].count(name) == 1
    assert len(of(events, "RUN_STARTED")) == 2
    # Whoever did not hear that it was dropped sends it again, and it stays dropped.
    assert ana.send(chat_id, "/long 8", message_id="m-3", mode="").status_code == 202
    assert len(ana.messages(chat_id)) == len(said) + sum(
        m["role"] == "assistant" for m in ana.messages(chat_id)
    )


# Two processes on one catalog and one stream server: what one leaves, the other takes when the lease ends.
# All steps are in the long run; one process has died at each of them above.


def a_few(steps: Iterable[str], *kept: str) -> list[Any]:
    """Those that are kept as they are, the others for the long run."""
    return [step if step in kept else pytest.param(step, marks=pytest.mark.long) for step in steps]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of apps that share everything."""
    directory = tmp_path_factory.mktemp("shared")
    with ServerProcess(directory / "streams", command="streams") as streams:
        yield {
            "DURABLE_CHAT_STREAMS_URL": streams.streams_url,
            "DURABLE_CHAT_DATABASE_URL": f"sqlite:///{directory / 'catalog.db'}",
            "DURABLE_CHAT_SECRET_KEY": "one-secret-for-both-of-them",
            "DURABLE_CHAT_LEASE": "1",
        }


@pytest.fixture(scope="module")
def heir(shared: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    env = shared | {"DURABLE_CHAT_AGENT": "echo"}
    with ServerProcess(tmp_path_factory.mktemp("heir") / "data", env=env) as heir:
        yield heir


@pytest.mark.parametrize(
    "step",
    a_few([*ANSWERED, *INTERRUPTED], Step.MESSAGE_APPENDED, Step.MARKED_RUNNING, Step.ENDED, Step.STARTED),
)
def test_killed_at_a_step_and_the_other_takes_over(
    start_server: Callable[..., ServerProcess], shared: dict[str, str], heir: ServerProcess, step: str
) -> None:
    doomed = start_server(env=shared | {"DURABLE_CHAT_AGENT": "echo", VARIABLE: step})
    ana = Chatter(heir)
    chat_id = ana.create_chat()
    with suppress(httpx.TransportError):
        assert send(ana.at(doomed), chat_id).status_code == 202
    doomed.wait()
    check_one_answer(ana, chat_id, interrupted=step in INTERRUPTED)


@pytest.mark.parametrize("step", a_few(RECOVERING, Step.FENCED))
def test_the_heir_dies_too(tmp_path: Path, shared: dict[str, str], step: str) -> None:
    env = shared | {"DURABLE_CHAT_DATABASE_URL": f"sqlite:///{tmp_path / 'catalog.db'}"}
    with ExitStack() as stack:
        first = stack.enter_context(
            ServerProcess(
                tmp_path / "first",
                env=env | {"DURABLE_CHAT_AGENT": "echo", VARIABLE: f"{Step.BATCH_PUT}:2"},
            )
        )
        second = stack.enter_context(
            ServerProcess(tmp_path / "second", env=env | {"DURABLE_CHAT_AGENT": "echo", VARIABLE: step})
        )
        ana = Chatter(first)
        chat_id = ana.create_chat()
        with suppress(httpx.TransportError):
            send(ana, chat_id)
        first.wait()
        second.wait()
        del first.env[VARIABLE]
        first.start()
        check_one_answer(ana, chat_id, interrupted=True)


def test_killed_after_asking_the_other_to_stop(
    start_server: Callable[..., ServerProcess], shared: dict[str, str]
) -> None:
    owner = start_server("owner", env=shared | {"DURABLE_CHAT_AGENT": "demo"})
    doomed = start_server("doomed", env=shared | {VARIABLE: Step.STOP_REQUESTED})
    ana = Chatter(owner)
    chat_id = ana.create_chat()
    run_id = ana.send(chat_id, "/long 2000", mode="").headers["x-run-id"]
    eventually(lambda: text_of(events_of(ana, chat_id), run_id))
    with pytest.raises(httpx.TransportError):
        ana.at(doomed).stop(chat_id, run_id)
    events = ended(ana, chat_id, run_id)
    assert events[-1]["outcome"] == {"type": "cancelled"}
    check_runs(events)
