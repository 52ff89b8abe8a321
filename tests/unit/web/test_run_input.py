"""RunAgentInput as it may come: what is missing is missing, what is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest
from ag_ui.core import RunAgentInput, Tool, UserMessage

from webapp.chat.errors import InvalidMessage
from webapp.web.errors import MalformedBody
from webapp.web.run_input import parse_run_input

HI = {"id": "m1", "role": "user", "content": "Hi"}


def test_ag_uis_own_body() -> None:
    sent = RunAgentInput(
        thread_id="c",
        run_id="r1",
        parent_run_id="r0",
        state={"a": 1},
        messages=[UserMessage(id="m1", role="user", content="Hi")],
        tools=[Tool(name="roll", description="Rolls.", parameters={"type": "object"})],
        context=[],
        forwarded_props={"mood": "good"},
    ).model_dump(by_alias=True, mode="json")
    found = parse_run_input(sent)
    assert (found.thread_id, found.run_id, found.parent_run_id) == ("c", "r1", "r0")
    assert found.message is not None
    assert (found.message.id, found.message.text) == ("m1", "Hi")
    assert found.data == {"mood": "good"}
    assert [tool["name"] for tool in found.tools] == ["roll"]


def test_almost_everything_may_be_missing() -> None:
    found = parse_run_input({"messages": [HI]})
    assert (found.thread_id, found.run_id, found.data, found.tools) == (None, None, {}, ())
    assert parse_run_input({"messages": [HI]}, run_id="r9").run_id == "r9"
    assert parse_run_input({"messages": [HI], "runId": "r1"}, run_id="r9").run_id == "r1"


def test_data_goes_before_its_older_name_and_tools_stay_whole() -> None:
    tool = {"name": "roll", "description": "", "parameters": {"x": [1]}, "metadata": {"y": 2}}
    body = {"messages": [HI], "data": {"a": 1}, "forwardedProps": {"b": 2}, "tools": [tool]}
    found = parse_run_input(body)
    assert (found.data, found.tools) == ({"a": 1}, (tool,))


def test_answers_need_no_message_of_the_user() -> None:
    given = {"interruptId": "i", "status": "resolved", "payload": {"x": 1}}
    found = parse_run_input({"messages": [], "resume": [given], "parentRunId": "r1"})
    assert (found.message, found.answers, found.parent_run_id) == (None, (given,), "r1")
    result = {"role": "tool", "toolCallId": "c", "content": "noon"}
    found = parse_run_input({"messages": [HI, result]})
    assert found.answers == ({"toolCallId": "c", "status": "resolved", "payload": "noon"},)
    assert parse_run_input({"messages": [result, HI], "resume": []}).message is not None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"messages": "Hi"}, "messages"),
        ({"messages": [HI, {"id": "x"}]}, "role"),
        ({"messages": [HI, {"role": "robot"}]}, "messages[1].role"),
        ({"messages": [5]}, "messages[0]"),
        ({"threadId": 5}, "threadId"),
        ({"runId": ["r"]}, "runId"),
        ({"runId": ""}, "runId"),
        ({"parentRunId": "x" * 129}, "parentRunId"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"description": "no name"}]}, "name"),
        ({"tools": [{"name": ""}]}, "tools[0].name"),
        ({"tools": [{"name": "t"}] * 129}, "tools"),
        ({"context": ["x"]}, "context[0]"),
        ({"context": [{"description": "d", "value": 1}]}, "context[0].value"),
        ({"resume": [{"interruptId": "i", "status": "perhaps"}]}, "resume[0].status"),
        ({"forwardedProps": [1]}, "forwardedProps"),
        ({"data": "x"}, "data"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedBody) as refused:
        parse_run_input({"messages": [HI], **change})
    assert field in refused.value.sentence


def test_without_messages_there_is_nothing_to_run() -> None:
    with pytest.raises(MalformedBody, match="messages"):
        parse_run_input({})
    with pytest.raises(InvalidMessage):
        parse_run_input({"messages": [{"role": "assistant", "content": "Hi"}]})
