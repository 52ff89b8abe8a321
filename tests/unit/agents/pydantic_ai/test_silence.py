"""A model that says nothing."""

from __future__ import annotations

import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")

from webapp.agents.base import Event
from webapp.agents.pydantic_ai.silence import Hush


def message(*deltas: str) -> list[Event]:
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": "m"},
        *({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": delta} for delta in deltas),
        {"type": "TEXT_MESSAGE_END", "messageId": "m"},
    ]


def heard(events: list[Event]) -> list[Event]:
    hush = Hush()
    return [told for event in events for told in hush.take(event)]


@pytest.mark.parametrize(
    "deltas",
    [("[nothing]",), tuple("[nothing]"), (" [no", "thing]\n"), (" ", "\n")],
    ids=repr,
)
def test_nothing_is_told_of_it(deltas: tuple[str, ...]) -> None:
    tool: Event = {"type": "TOOL_CALL_START", "toolCallId": "c"}
    assert heard([tool, *message(*deltas), tool]) == [tool, tool]


@pytest.mark.parametrize(
    "deltas",
    [("[nothing] to see",), ("[not", "e]"), ("[nothing].",), ("Hm. [nothing]",), ("[",), ()],
    ids=repr,
)
def test_anything_else_is_told_as_it_is(deltas: tuple[str, ...]) -> None:
    assert heard(message(*deltas)) == message(*deltas)


def test_what_is_no_silence_any_more_is_told_at_once() -> None:
    hush, events = Hush(), message("[n", "o]", "more")
    assert [len(hush.take(event)) for event in events] == [0, 0, 3, 1, 1]
