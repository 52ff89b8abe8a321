"""What the published durable sessions lose or get wrong, and this app does not: a test for each.

Found by reading and trying ``@durable-streams/tanstack-ai-transport`` and ``@tanstack/ai``. The same through
their own clients: ``tests/conformance/test_session_clients.py``. The same for apps made with our helpers: the
table in ``docs/session-helpers.md`` names the tests. That every event is AG-UI, and what is wrong with a
RunAgentInput is named: ``test_run_transports.py``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import Door, log_of, run_in
from tests.support.waiting import eventually
from webapp.agents.base import AgentTurn
from webapp.agents.pieces import Piece
from webapp.agents.registry import OwnAgent
from webapp.chat.reducer import Reducer, Snapshot

PICTURE = {
    "type": "image",
    "source": {
        "type": "data",
        "mimeType": "image/gif",
        "value": "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
    },
}
TOOL = "weather"
FIRST_HALF, SECOND_HALF = '{"city": "Zü', 'rich", "days": 3}'
ARGUMENTS = FIRST_HALF + SECOND_HALF
PAUSE = asyncio.Event()
"""Until it is set, the arguments of a tool stay half-way."""


async def script(turn: AgentTurn) -> AsyncIterator[Piece]:
    """Thinks, speaks, calls a tool, speaks again, in parts that must not run into one another."""
    match turn.text:
        case "throw":
            yield "Half of"
            raise RuntimeError("postgres://admin:hunter2@db is away")
        case "content":
            yield {"type": "TEXT_MESSAGE_START", "messageId": "1"}
            yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": "1", "content": "All of it"}
        case "approve" if turn.resume:
            yield "Sent." if turn.resume[0]["payload"]["approved"] else "Then not."
        case "approve":
            call = {"toolCallId": f"{turn.run_id}-send"}
            yield "May I?"
            yield {"type": "TOOL_CALL_START", "toolCallName": "send", **call}
            yield {"type": "TOOL_CALL_END", **call}
            asked = {"id": f"{turn.run_id}-asks", "reason": "tool_call", "message": "Send it?", **call}
            yield {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": [asked]}}
        case _:
            yield {"type": "REASONING_START", "messageId": "r"}
            yield {"type": "REASONING_MESSAGE_START", "messageId": "r", "role": "reasoning"}
            yield {"type": "REASONING_MESSAGE_CONTENT", "messageId": "r", "delta": "Let me think."}
            yield {"type": "REASONING_MESSAGE_END", "messageId": "r"}
            yield {"type": "REASONING_END", "messageId": "r"}
            yield "I look outside."
            call = {"toolCallId": f"{turn.run_id}-call"}
            yield {"type": "TOOL_CALL_START", "toolCallName": TOOL, **call}
            yield {"type": "TOOL_CALL_ARGS", "delta": FIRST_HALF, **call}
            if turn.text == "pause":
                await PAUSE.wait()
            yield {"type": "TOOL_CALL_ARGS", "delta": SECOND_HALF, **call}
            yield {"type": "TOOL_CALL_END", **call}
            yield {"type": "TOOL_CALL_RESULT", "messageId": "t", "content": '{"sun": true}', **call}
            yield "The sun shines."


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    agent = OwnAgent(id="scripted", name="Scripted", run=script)
    with LiveApp(tmp_path_factory.mktemp("scripted"), agent=agent) as app:
        yield app


@pytest.fixture
def eva(scripted: LiveApp) -> Chatter:
    return Chatter(scripted)


def answer_of(chatter: Chatter, chat_id: str) -> list[dict[str, Any]]:
    """The parts of what the agent has said in the chat."""
    answers = [each for each in chatter.messages(chat_id) if each["role"] == "assistant"]
    return [part for answer in answers for part in answer["parts"]]


def test_a_snapshot_keeps_thinking_tool_calls_results_and_the_boundaries_of_parts(eva: Chatter) -> None:
    chat_id = eva.create_chat()
    eva.send(chat_id, "what is it like?")
    thinking, first, call, result, second = answer_of(eva, chat_id)
    assert (thinking["type"], thinking["content"]) == ("thinking", "Let me think.")
    assert (first["type"], first["content"]) == ("text", "I look outside.")
    assert (call["type"], call["name"], call["arguments"]) == ("tool-call", TOOL, ARGUMENTS)
    assert (result["type"], result["toolCallId"], result["content"]) == (
        "tool-result",
        call["id"],
        '{"sun": true}',
    )
    assert (second["type"], second["content"]) == ("text", "The sun shines.")


def test_a_throwing_agent_yields_run_error_and_nobody_hangs(eva: Chatter) -> None:
    chat_id = eva.create_chat()
    reply = eva.send(chat_id, "throw")
    assert reply.status_code == 200
    last = log_of(eva.http, chat_id)[-1]
    assert (last["type"], last["runId"]) == ("RUN_ERROR", reply.headers["x-run-id"])
    assert "hunter2" not in str(log_of(eva.http, chat_id))
    assert eva.snapshot(chat_id)["activeRuns"] == []
    assert eva.send(chat_id, "and now?").status_code == 200
    assert answer_of(eva, chat_id)[-1]["content"] == "The sun shines."


def test_stop_stops(gated: LiveApp, dora: Chatter) -> None:
    chat_id = dora.create_chat()
    run_id = dora.send(chat_id, "stop me", mode="").headers["x-run-id"]
    eventually(lambda: len(dora.messages(chat_id)) == 2)
    assert dora.stop(chat_id, run_id).json() == {"stopped": True}
    run = run_in(log_of(dora.http, chat_id), run_id)
    assert (run[-1]["type"], run[-1]["outcome"]["type"]) == ("RUN_FINISHED", "cancelled")
    gated.run(lambda services: services.supervisor.wait(run_id))
    assert run_in(log_of(dora.http, chat_id), run_id) == run, "not a word after its end"


def test_reload_and_retried_posts_never_double_the_user_message(eva: Chatter) -> None:
    chat_id = eva.create_chat()
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: eva.send(chat_id, "once", message_id="m-1", runId="r-1"), range(8)))
    assert {reply.status_code for reply in replies} == {200}
    # Reload: the same message is to be answered anew.
    assert eva.send(chat_id, "once", message_id="m-1", runId="r-2").headers["x-run-id"] == "r-2"
    assert [each["id"] for each in eva.messages(chat_id) if each["role"] == "user"] == ["m-1"]
    starts = [each for each in log_of(eva.http, chat_id) if each.get("role") == "user"]
    assert len(starts) == 1
    ended = [each["runId"] for each in log_of(eva.http, chat_id) if each["type"] == "RUN_FINISHED"]
    assert ended == ["r-1", "r-2"]


def test_images_survive(eva: Chatter) -> None:
    chat_id = eva.create_chat()
    parts = [{"type": "text", "content": "Nice?"}, PICTURE]
    body = {"messages": [{"id": "m-1", "role": "user", "parts": parts}]}
    assert eva.http.post("/api/chat", params={"id": chat_id, "mode": "await"}, json=body).status_code == 200
    assert eva.messages(chat_id)[0]["parts"] == parts


def test_a_chunk_with_only_content_is_not_stored_empty(eva: Chatter) -> None:
    chat_id = eva.create_chat()
    eva.send(chat_id, "content")
    (part,) = answer_of(eva, chat_id)
    assert part["content"] == "All of it"


def test_joining_or_resuming_in_the_middle_of_a_run_shows_it_being_written(
    gated: LiveApp, door: Door, dora: Chatter
) -> None:
    chat_id = dora.create_chat()
    run_id = dora.send(chat_id, "join me", mode="").headers["x-run-id"]
    eventually(lambda: len(dora.messages(chat_id)) == 2)
    joiner = dora.invited(chat_id, "view")
    assert joiner.snapshot(chat_id)["activeRuns"] == [run_id]
    page = joiner.http.get(f"/chat/{chat_id}").text
    assert run_id in page, "the page that is rendered meanwhile knows it too"
    door.open(gated, "join me")
    gated.run(lambda services: services.supervisor.wait(run_id))
    assert joiner.snapshot(chat_id)["activeRuns"] == []


def test_an_offset_inside_tool_arguments_loses_nothing(scripted: LiveApp, eva: Chatter) -> None:
    chat_id = eva.create_chat()
    run_id = eva.send(chat_id, "pause", mode="").headers["x-run-id"]

    def arguments() -> list[str]:
        return [part["arguments"] for part in answer_of(eva, chat_id) if part["type"] == "tool-call"]

    eventually(lambda: arguments() == [FIRST_HALF])
    page = eva.snapshot(chat_id)
    scripted.loop.call_soon_threadsafe(PAUSE.set)
    scripted.run(lambda services: services.supervisor.wait(run_id))
    # A reader goes on from the offset of its page.
    reader = Reducer(Snapshot.from_json(page))
    query = {"id": chat_id, "offset": page["offset"]}
    for event in eva.http.get("/api/chat-stream", params=query).json():
        reader.apply(event)
    assert arguments() == [ARGUMENTS]
    assert reader.snapshot().messages == eva.messages(chat_id)


def test_reading_before_the_first_write_waits_instead_of_failing(eva: Chatter) -> None:
    chat_id = eva.create_chat()
    reader = eva.invited(chat_id, "view")
    read: list[int] = []

    def follow() -> None:
        query = {"id": chat_id, "offset": "-1", "live": "sse"}
        with reader.http.stream("GET", "/api/chat-stream", params=query) as reply:
            read.append(reply.status_code)
            for line in reply.iter_lines():
                if "The sun shines." in line:
                    read.append(len(line))
                    return

    reading = threading.Thread(target=follow)
    reading.start()
    eventually(lambda: read == [200])
    eva.send(chat_id, "what is it like?")
    reading.join(15)
    assert len(read) == 2


def test_approvals_resume(eva: Chatter) -> None:
    chat_id = eva.create_chat()
    asking = eva.send(chat_id, "approve", message_id="m-1").headers["x-run-id"]
    page = eva.snapshot(chat_id)
    assert page["runs"][asking]["status"] == "awaiting-approval"
    _, call = answer_of(eva, chat_id)
    assert call["state"] == "approval-requested"
    # Whoever has loaded the page anew answers; sent again, it is one answer.
    decision = {"interruptId": call["approval"]["id"], "status": "resolved", "payload": {"approved": True}}
    for _ in range(2):
        reply = eva.send(chat_id, "approve", message_id="m-1", runId="goes-on", resume=[decision])
        assert (reply.status_code, reply.headers["x-run-id"]) == (200, "goes-on")
    refused = eva.send(chat_id, "approve", message_id="m-1", runId="another", resume=[decision])
    assert refused.status_code == 409
    assert answer_of(eva, chat_id)[-1]["content"] == "Sent."
    ended = [each["runId"] for each in log_of(eva.http, chat_id) if each["type"] == "RUN_FINISHED"]
    assert ended == [asking, "goes-on"]
    assert len([each for each in eva.messages(chat_id) if each["role"] == "user"]) == 1
