"""Forks: a chat of one's own that begins as another did, with nothing open in it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.support.chats import check_runs
from tests.support.live_app import Chatter, LiveApp
from tests.support.server import ServerProcess
from tests.support.waiting import eventually
from webapp.agents.scripted import DemoAgent
from webapp.chat.runs.failpoints import VARIABLE, Step

DEMO = {"DURABLE_CHAT_AGENT": "demo"}


def texts(chatter: Chatter, chat_id: str) -> list[str]:
    return [
        "".join(part.get("content", "") for part in message["parts"] if part["type"] == "text")
        for message in chatter.messages(chat_id)
    ]


def fork(chatter: Chatter, chat_id: str, **body: Any) -> str:
    reply = chatter.http.post(f"/api/chats/{chat_id}/fork", json=body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def events(chatter: Chatter, chat_id: str) -> list[dict[str, Any]]:
    """The chat's whole stream."""
    found: list[dict[str, Any]] = []
    offset = "-1"
    while True:
        reply = chatter.http.get(f"/api/chat-stream?id={chat_id}&offset={offset}")
        assert reply.status_code == 200, reply.text
        found += reply.json()
        offset = reply.headers["stream-next-offset"]
        if "stream-up-to-date" in reply.headers:
            return found


@pytest.fixture
def talk(ana: Chatter) -> str:
    """Three questions, answered."""
    chat_id = ana.create_chat(title="Plans")
    for number in (1, 2, 3):
        ana.send(chat_id, f"question {number}", message_id=f"q-{number}")
    return chat_id


@pytest.mark.converge
def test_a_fork_has_what_was_said_up_to_its_message_and_goes_on_alone(ana: Chatter, talk: str) -> None:
    answers = [message["id"] for message in ana.messages(talk) if message["role"] == "assistant"]
    said = texts(ana, talk)
    wanted = {"q-1": 1, answers[0]: 2, "q-2": 3, answers[1]: 4, "q-3": 5, answers[2]: 6}
    for message_id, count in wanted.items():
        made = fork(ana, talk, messageId=message_id)
        assert texts(ana, made) == said[:count], message_id
        assert [m["id"] for m in ana.messages(made)] == [m["id"] for m in ana.messages(talk)][:count]
        assert ana.snapshot(made)["activeRuns"] == []
        check_runs(events(ana, made))
    whole = fork(ana, talk)
    assert texts(ana, whole) == said
    ana.send(whole, "only here")
    assert texts(ana, whole) == [*said, "only here", "Echo: only here"]
    ana.send(talk, "only there")
    assert "only here" not in texts(ana, talk)
    assert "only there" not in texts(ana, whole)
    again = fork(ana, whole, messageId=answers[0])
    assert texts(ana, again) == said[:2]


def test_a_fork_belongs_to_who_made_it_and_says_so(ana: Chatter, talk: str) -> None:
    ben = ana.invited(talk, "view")
    reply = ben.http.post(f"/api/chats/{talk}/fork", json={"messageId": "q-2"})
    made = reply.json()
    assert made["title"] == "Plans (fork)"
    assert ben.send(made["id"], "I may write here").status_code == 200
    assert ana.http.get(f"/chat/{made['id']}").status_code == 404
    assert ben.http.get(f"/api/chats/{made['id']}/forks").json()["parent"]["id"] == talk
    assert [each["id"] for each in ben.http.get(f"/api/chats/{talk}/forks").json()["forks"]] == [made["id"]]
    assert ana.http.get(f"/api/chats/{talk}/forks").json() == {"parent": None, "forks": []}
    token = {"Authorization": f"Bearer {made['token']}"}
    assert ana.app.client(headers=token).get(f"/api/chats/{made['id']}/snapshot").status_code == 200
    twice = fork(ben, made["id"])
    titles = {each["id"]: each["title"] for each in ben.http.get("/api/chats").json()["chats"]}
    assert titles[twice] == "Plans (fork)"


def test_the_same_message_id_with_other_content_is_a_conflict_in_a_fork_too(ana: Chatter, talk: str) -> None:
    made = fork(ana, talk, messageId="q-2")
    other = ana.send(made, "something else", message_id="q-1")
    assert (other.status_code, other.json()["code"]) == (409, "message-id-used")
    assert ana.send(made, "not said here yet", message_id="q-3").status_code == 200
    again = ana.send(made, "question 2", message_id="q-2")
    assert again.status_code == 200
    assert texts(ana, made)[-1] == "Echo: question 2"


def test_the_same_request_is_the_same_fork(ana: Chatter, ben: Chatter, talk: str) -> None:
    body = {"messageId": "q-2", "id": "a-fork-of-my-own"}
    first = ana.http.post(f"/api/chats/{talk}/fork", json=body)
    second = ana.http.post(f"/api/chats/{talk}/fork", json=body)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"] == "a-fork-of-my-own"
    theirs = ben.create_chat()
    taken = ben.http.post(f"/api/chats/{theirs}/fork", json={"id": "a-fork-of-my-own"})
    assert (taken.status_code, taken.json()["code"]) == (409, "chat-id-used")
    mine = ana.http.post(f"/api/chats/{ana.create_chat()}/fork", json={"id": talk})
    assert (mine.status_code, mine.json()["code"]) == (409, "chat-id-used")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"messageId": "no-such-message"}, 400, "unknown-message"),
        ({"offset": "nonsense"}, 400, "invalid-offset"),
        ({"offset": "9999999999999999_9999999999999999"}, 400, "invalid-offset"),
        ({"offset": "-1", "subOffset": 100_000}, 400, "invalid-offset"),
        ({"offset": "-1\r\nX: y"}, 400, "malformed"),
        ({"subOffset": -1}, 400, "malformed"),
        ({"id": "short"}, 422, "invalid-id"),
    ],
)
def test_what_is_no_place(ana: Chatter, talk: str, body: dict[str, Any], status: int, code: str) -> None:
    reply = ana.http.post(f"/api/chats/{talk}/fork", json=body)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_any_place_of_the_stream_will_do(ana: Chatter, talk: str) -> None:
    """Also one in the middle of a message or a run: what is open there is closed in the fork."""
    count = len(events(ana, talk))
    for number in range(0, count + 1, 3):
        made = fork(ana, talk, offset="-1", subOffset=number)
        check_runs(events(ana, made))
        snapshot = ana.snapshot(made)
        assert snapshot["activeRuns"] == []
        assert all(run["status"] != "running" for run in snapshot["runs"].values())


@pytest.fixture(scope="module")
def dora(tmp_path_factory: pytest.TempPathFactory, upstream: Mapping[str, str]) -> Iterator[Chatter]:
    """Somebody whose agent takes its time, and asks for consent."""
    agent = DemoAgent(word_delay=0.01, long_word_delay=0.03)
    with LiveApp(tmp_path_factory.mktemp("demo"), env=upstream, agent=agent) as live:
        yield Chatter(live)


@pytest.mark.converge
def test_what_is_being_written_is_stopped_in_the_fork_and_goes_on_in_the_source(dora: Chatter) -> None:
    ana, chat_id = dora, dora.create_chat()
    ana.send(chat_id, "/long 60", message_id="q-1", mode="")
    eventually(lambda: len(texts(ana, chat_id)) == 2 and len(texts(ana, chat_id)[1]) > 20, what="an answer")
    ana.send(chat_id, "wait for your turn", message_id="q-2", mode="")
    eventually(lambda: len(ana.messages(chat_id)) == 3)
    made = fork(ana, chat_id, messageId=ana.messages(chat_id)[1]["id"])
    stopped = texts(ana, made)
    assert len(stopped) == 2, "what waits for its turn was not said here"
    (run,) = ana.snapshot(made)["runs"].values()
    assert (run["status"], run["messageIds"]) == ("stopped", [ana.messages(made)[1]["id"]])
    check_runs(events(ana, made))
    eventually(lambda: not ana.snapshot(chat_id)["activeRuns"] and len(ana.messages(chat_id)) == 4)
    assert texts(ana, chat_id)[1].startswith(stopped[1])
    assert len(texts(ana, chat_id)[1]) > len(stopped[1])
    assert texts(ana, made) == stopped
    reply = ana.http.post("/api/chat/continue", json={"id": made, "runId": run["runId"]})
    assert reply.status_code == 202
    eventually(lambda: not ana.snapshot(made)["activeRuns"] and len(ana.messages(made)) == 3)


def test_what_is_asked_is_asked_no_longer(dora: Chatter) -> None:
    ana, chat_id = dora, dora.create_chat()
    ana.send(chat_id, "/approve", message_id="q-1")
    (asked,) = ana.snapshot(chat_id)["runs"].values()
    assert asked["status"] == "awaiting-approval"
    made = fork(ana, chat_id)
    runs = ana.snapshot(made)["runs"]
    assert runs[asked["runId"]]["supersededBy"] in runs
    assert "No longer asked" in ana.http.get(f"/chat/{made}").text
    assert 'data-action="decide"' not in ana.http.get(f"/chat/{made}").text
    check_runs(events(ana, made))
    form = {"interruptId": asked["interrupts"][0]["id"], "decision": "approve"}
    assert ana.http.post(f"/chat/{made}/decisions", data=form).status_code == 409
    assert ana.http.post(f"/chat/{chat_id}/decisions", data=form).status_code == 303


def test_a_fork_outlives_its_source(app: LiveApp, ana: Chatter, talk: str) -> None:
    said = texts(ana, talk)
    made = fork(ana, talk, messageId="q-2")
    app.run(lambda services: services.streams.delete(services.sessions.path(talk)))
    assert texts(ana, made) == said[:3]
    ana.send(made, "and on")
    assert texts(ana, made)[-1] == "Echo: and on"


@pytest.mark.long
@pytest.mark.parametrize("step", [Step.FORKED, Step.FORK_CLOSED])
def test_a_fork_that_a_crash_cut_off_is_made_once_more(
    step: str, start_server: Callable[..., ServerProcess]
) -> None:
    """Nobody sees half of it, and the same request makes it whole, with one end for each run."""
    env = {
        "DURABLE_CHAT_AGENT": "demo",
        "DURABLE_CHAT_DEMO_WORD_DELAY": "0.2",
        "DURABLE_CHAT_SECRET_KEY": "k" * 32,
    }
    server = start_server(env={**env, "DURABLE_CHAT_FAILPOINT": step})
    ana = Chatter(server)
    chat_id = ana.create_chat()
    ana.send(chat_id, "first", message_id="q-1", mode="")
    eventually(lambda: len(ana.messages(chat_id)) == 2)
    body = {"id": "the-fork-of-mine", "messageId": "q-1"}
    with pytest.raises(Exception):  # noqa: B017, PT011 - the server is gone in the middle of it
        ana.http.post(f"/api/chats/{chat_id}/fork", json=body)
    assert server.wait() == -signal.SIGKILL
    server.env.pop(VARIABLE)
    server.start()
    assert ana.http.get("/chat/the-fork-of-mine").status_code == 404
    assert ana.http.post(f"/api/chats/{chat_id}/fork", json=body).status_code == 201
    assert texts(ana, "the-fork-of-mine") == ["first"]
    assert ana.snapshot("the-fork-of-mine")["activeRuns"] == []
    check_runs(events(ana, "the-fork-of-mine"))
