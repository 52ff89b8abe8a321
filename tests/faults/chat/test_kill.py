"""A real server is killed in the middle of a crowd of messages: what it took is there once, answered once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import httpx
import pytest

from tests.support.chats import check_runs, of, questions
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

MESSAGES = 12


def send(http: httpx.Client, chat_id: str, number: int) -> str | None:
    """Send message ``number``, always as the same request; return its id if the server took it."""
    message = {"id": f"m{number}", "role": "user", "content": f"message number {number}"}
    body = {"messages": [message], "runId": f"{chat_id}.{number}"}
    try:
        reply = http.post("/api/chat", params={"id": chat_id}, json=body)
    except httpx.TransportError:
        return None
    assert reply.status_code == 202, reply.text
    return f"m{number}"


@pytest.mark.parametrize("replies", [1, 4, 8])
def test_killed_while_many_are_writing(start_server: Callable[..., ServerProcess], replies: int) -> None:
    server = start_server(env={"DURABLE_CHAT_AGENT": "echo"})
    with httpx.Client(base_url=server.url, timeout=20) as http, ThreadPoolExecutor(4) as pool:
        chat_id = http.post("/api/chats", json={}).json()["id"]
        sending = [pool.submit(send, http, chat_id, number) for number in range(MESSAGES)]
        for count, _ in enumerate(as_completed(sending), start=1):
            if count == replies:
                server.kill9()
        taken = {message_id for one in sending if (message_id := one.result()) is not None}

        server.restart()
        assert taken <= set(questions(_events(http, chat_id)))
        for number in range(MESSAGES):
            assert send(http, chat_id, number)
        eventually(lambda: len(_ends(_events(http, chat_id))) == MESSAGES)
        events = _events(http, chat_id)

    assert Counter(questions(events)) == Counter(f"m{number}" for number in range(MESSAGES))
    assert {event["runId"] for event in _ends(events)} == {
        f"{chat_id}.{number}" for number in range(MESSAGES)
    }
    check_runs(events)


def _events(http: httpx.Client, chat_id: str) -> list[dict[str, Any]]:
    reply = http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"})
    assert reply.headers["stream-up-to-date"] == "true"
    found: list[dict[str, Any]] = reply.json()
    return found


def _ends(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*of(events, "RUN_FINISHED"), *of(events, "RUN_ERROR")]
