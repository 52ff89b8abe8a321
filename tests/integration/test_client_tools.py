"""A run that asked for a tool of its client goes on with what the tool gave, over every transport."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter

from tests.support.chat_socket import open_socket
from tests.support.live_app import Chatter, LiveApp
from tests.support.run_transports import TRANSPORTS, Transport, kinds_of, log_of, run_input, text_of
from webapp.agents.scripted import DemoAgent

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)


@pytest.fixture(params=TRANSPORTS, ids=lambda transport: transport.name)
def transport(request: pytest.FixtureRequest) -> Transport:
    found: Transport = request.param
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    with LiveApp(tmp_path_factory.mktemp("demo"), agent=DemoAgent(word_delay=0.001)) as live:
        yield live


def _paused(chatter: Chatter, transport: Transport, run_id: str) -> tuple[str, dict[str, Any]]:
    """A chat whose run waits for a tool of its client, and what the client sends to go on."""
    chat_id = chatter.create_chat()
    tools = [{"name": "browser_clock", "description": "", "parameters": {}}]
    asked = transport.run(chatter.http, chat_id, run_input("/browser", run_id=run_id, tools=tools))
    (interrupt,) = asked[-1][1]["outcome"]["interrupts"]
    given = {"time": "noon", "zone": "UTC", "language": "en"}
    resume = [{"interruptId": interrupt["id"], "status": "resolved", "payload": given}]
    ids = {"run_id": f"{run_id}-on", "parentRunId": run_id}
    return chat_id, run_input("/browser", resume=resume, tools=tools, **ids)


def test_a_run_goes_on_with_the_result_of_the_clients_tool(demo: LiveApp, transport: Transport) -> None:
    chatter = Chatter(demo)
    chat_id, body = _paused(chatter, transport, f"tool-{transport.name}")
    whole = transport.run(chatter.http, chat_id, body)
    for _, chunk in whole:
        AG_UI.validate_python(chunk)
    assert kinds_of(whole)[:2] == ["RUN_STARTED", "TOOL_CALL_RESULT"]
    assert "it is **noon** in UTC" in text_of(whole)
    # Sent again, or cut after any event, it is the same run.
    assert transport.run(chatter.http, chat_id, body) == whole
    for place, (seen, _) in enumerate(whole, 1):
        assert transport.run(chatter.http, chat_id, body, seen=seen) == whole[place:]
    assert [chunk["type"] for chunk in log_of(chatter.http, chat_id)].count("TOOL_CALL_RESULT") == 1
    other = chatter.http.post(transport.path, params={"id": chat_id}, json=body | {"runId": "another"})
    assert (other.status_code, other.json()["code"]) == (409, "already-answered")


def test_results_may_come_as_messages_of_the_tool(demo: LiveApp, transport: Transport) -> None:
    chatter = Chatter(demo)
    chat_id, body = _paused(chatter, transport, f"message-{transport.name}")
    (answer,) = body.pop("resume")
    call_id = answer["interruptId"].removesuffix("-input")
    body["messages"].append({"id": "t1", "role": "tool", "toolCallId": call_id, "content": "noon"})
    whole = transport.run(chatter.http, chat_id, body)
    assert kinds_of(whole)[:2] == ["RUN_STARTED", "TOOL_CALL_RESULT"]
    assert "do not understand" in text_of(whole)


def test_a_run_goes_on_over_the_socket_and_the_session(demo: LiveApp, transport: Transport) -> None:
    chatter = Chatter(demo)
    chat_id, body = _paused(chatter, transport, f"socket-{transport.name}")
    with open_socket(chatter, id=chat_id) as socket:
        socket.send(body)
        found = socket.until_end_of(body["runId"])
        socket.send(body | {"runId": "another"})
        while not socket.errors:
            socket.next()
    assert kinds_of(found)[:2] == ["RUN_STARTED", "TOOL_CALL_RESULT"]
    assert socket.errors[0]["code"] == "already-answered"
    again = chatter.http.post("/api/chat", params={"id": chat_id, "mode": "await"}, json=body)
    assert (again.status_code, again.headers["x-run-id"]) == (200, body["runId"])
    assert found == transport.join(chatter.http, body["runId"])
