"""The log as a message history."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from webapp.agents.pydantic_ai.history import history

Part = dict[str, Any]


def told(*messages: dict[str, Any]) -> list[ModelMessage]:
    return history(messages, agent_id="model")


def person(text: str, name: str = "Ana") -> dict[str, Any]:
    return {"id": "m", "role": "user", "name": name, "parts": [{"type": "text", "content": text}]}


def answer(*parts: Part, agent: str = "model", name: str = "gpt") -> dict[str, Any]:
    return {"id": "a", "role": "assistant", "name": name, "metadata": {"agentId": agent}, "parts": [*parts]}


def text(content: str) -> Part:
    return {"type": "text", "content": content}


def call(id: str, **fields: Any) -> Part:
    return {"type": "tool-call", "id": id, "name": "look", "arguments": '{"at": 1}', **fields}


def shape(messages: list[ModelMessage]) -> list[tuple[str, list[str]]]:
    return [(message.kind, [part.part_kind for part in message.parts]) for message in messages]


def test_people_are_heard_by_name() -> None:
    heard = told(person("Hi"), person("Hello", "Ben"), {**person("Hm"), "name": None})
    assert [
        part.content for message in heard for part in message.parts if isinstance(part, UserPromptPart)
    ] == [
        "Ana: Hi",
        "Ben: Hello",
        "Somebody: Hm",
    ]


def test_its_own_answers_are_a_models() -> None:
    (said,) = told(answer(text("I am.")))
    assert isinstance(said, ModelResponse)
    assert [part for part in said.parts if isinstance(part, TextPart)] == said.parts


def test_other_agents_are_heard_by_name() -> None:
    (heard,) = told(answer(text("I am."), call("1", output=2), agent="demo", name="Demo"))
    assert isinstance(heard, ModelRequest)
    (part,) = heard.parts
    assert part.content == "Demo: I am."


def test_calls_come_with_their_results() -> None:
    said = told(answer(text("I look."), call("1", output={"x": 1}), call("2", output="y"), text("Done.")))
    assert shape(said) == [
        ("response", ["text", "tool-call", "tool-call"]),
        ("request", ["tool-return", "tool-return"]),
        ("response", ["text"]),
    ]
    parts = [part for message in said for part in message.parts]
    asked = [(part.tool_call_id, part.args) for part in parts if isinstance(part, ToolCallPart)]
    given = [(part.tool_call_id, part.content) for part in parts if isinstance(part, ToolReturnPart)]
    assert asked == [("1", '{"at": 1}'), ("2", '{"at": 1}')]
    assert given == [("1", {"x": 1}), ("2", "y")]


def test_what_was_cut_off_is_left_out() -> None:
    assert shape(told(answer(text("I look."), call("1"), call("2", output=None)))) == [
        ("response", ["text", "tool-call"]),
        ("request", ["tool-return"]),
    ]


@pytest.mark.parametrize(
    "message",
    [
        answer({"type": "thinking", "content": "Hm"}),
        answer(),
        answer({"type": "image", "source": {}}),
        answer(text("")),
        person(""),
        {"id": "x", "role": "user"},
        {"id": "x", "role": "assistant", "metadata": None, "parts": []},
    ],
    ids=str,
)
def test_what_says_nothing_is_no_message(message: dict[str, Any]) -> None:
    assert told(message) == []
