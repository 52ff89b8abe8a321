"""The agents that need no model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ag_ui.core import Event as AgUiEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from webapp.agents.base import Agent, AgentError, AgentTurn, Event
from webapp.agents.scripted import CriticAgent, DemoAgent, EchoAgent, words
from webapp.agents.scripted_texts import COMMANDS, long_text

NOON = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)


async def no_time(_: float) -> None:
    return None


def demo() -> DemoAgent:
    return DemoAgent(sleep=no_time, now=lambda: NOON)


def turn(text: str, *, earlier: int = 0) -> AgentTurn:
    messages = [{"id": str(n), "role": "user", "parts": []} for n in range(earlier + 1)]
    return AgentTurn(chat_id="c", run_id="r", messages=messages, text=text, speaker="Ana")


async def answer(agent: Agent, text: str, **options: int) -> list[Event]:
    return [event async for event in agent.run(turn(text, **options))]


def text_of(events: list[Event]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT")


def kinds(events: list[Event]) -> list[str]:
    found = [event["type"] for event in events]
    return [kind for kind, before in zip(found, [None, *found], strict=False) if kind != before]


@given(st.text())
async def test_echo_answers_exactly(text: str) -> None:
    assert text_of(await answer(EchoAgent(sleep=no_time), text)) == f"Echo: {text}"


@given(st.text())
def test_words_are_the_text(text: str) -> None:
    assert "".join(words(text)) == text


async def test_echo_comes_word_by_word() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    events = await answer(EchoAgent(word_delay=0.5, sleep=sleep), "one two")
    assert [event["delta"] for event in events[1:-1]] == ["Echo: ", "one ", "two"]
    assert waits == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("count", [1, 9, 10, 11, 59, 60, 61, 400, 5000])
async def test_long_has_so_many_numbered_words(count: int) -> None:
    text = text_of(await answer(demo(), f"/long {count}"))
    found = text.split()
    assert text == long_text(count)
    assert len(found) == count
    assert found[9::10] == [f"{number}." for number in range(10, count + 1, 10)]


@pytest.mark.parametrize("count", ["", "0", "-1", "5001", "many", "٣", "1e3"])
async def test_long_asks_back(count: str) -> None:
    assert "How many words, Ana?" in text_of(await answer(demo(), f"/long {count}"))


async def test_tool() -> None:
    events = await answer(demo(), "/tool")
    assert kinds(events) == [
        "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END",
        "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT",
        "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END",
    ]  # fmt: skip
    arguments = "".join(event["delta"] for event in events if event["type"] == "TOOL_CALL_ARGS")
    assert json.loads(arguments) == {"timezone": "UTC"}
    [result] = [event for event in events if event["type"] == "TOOL_CALL_RESULT"]
    assert json.loads(result["content"])["time"] == NOON.isoformat()
    assert "12:30 UTC" in text_of(events)


async def test_approve() -> None:
    events = await answer(demo(), "/approve")
    [start] = [event for event in events if event["type"] == "TOOL_CALL_START"]
    [interrupt] = events[-1]["outcome"]["interrupts"]
    assert events[-1]["outcome"]["type"] == "interrupt"
    assert interrupt["toolCallId"] == start["toolCallId"]


async def test_fail() -> None:
    events: list[Event] = []

    async def listen() -> None:
        async for event in demo().run(turn("/fail")):
            events.append(event)

    with pytest.raises(AgentError) as failed:
        await listen()
    assert text_of(events)
    assert failed.value.sentence.endswith(".")


async def test_think() -> None:
    events = await answer(demo(), "/think")
    assert kinds(events)[:5] == [
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
    ]
    assert "Ana" in text_of(events)


async def test_silent() -> None:
    assert await answer(demo(), "/silent") == []


async def test_help_and_unknown_commands() -> None:
    for text in ("/help", "/nonsense", "/"):
        said = text_of(await answer(demo(), text))
        assert "Ana" in said
        assert all(command.split()[0] in said for command, _ in COMMANDS)


@pytest.mark.parametrize("text", ["who are you?", "What are you", "are you a robot", "are you real?"])
async def test_it_says_what_it_is(text: str) -> None:
    assert "scripted demo" in text_of(await answer(demo(), text))


async def test_it_does_not_repeat_itself_and_knows_the_speaker() -> None:
    said = [text_of(await answer(demo(), "tell me {more}", earlier=n)) for n in range(4)]
    assert len(set(said)) == 4
    assert all("Ana" in each and "tell me {more}" in each for each in said)


@pytest.mark.parametrize("text", ["hi", "/tool", "/approve", "/think", "/long 20", "/help"])
async def test_it_speaks_ag_ui(text: str) -> None:
    adapter: TypeAdapter[AgUiEvent] = TypeAdapter(AgUiEvent)
    for event in await answer(demo(), text):
        adapter.validate_python({"threadId": "c", "runId": "r", **event})


@pytest.mark.parametrize("question", ["/help", "help", "Hello, what can you do?", "What can I try here?"])
async def test_a_newcomers_first_question_gets_the_commands(question: str) -> None:
    text = text_of(await answer(demo(), question))
    assert all(command in text for command, _ in COMMANDS)


async def test_what_broke_off_goes_on_where_it_did() -> None:
    earlier = [
        {"id": "1", "role": "user", "name": "Ana", "parts": [{"type": "text", "content": "One two three"}]},
        {"id": "2", "role": "user", "name": "Ana", "parts": [{"type": "text", "content": "@Critic?"}]},
    ]

    async def said(messages: list[dict[str, Any]], begun: str = "") -> str:
        turn = AgentTurn(
            chat_id="c", run_id="r", messages=messages, text="@Critic?", speaker="Ana", begun=begun
        )
        told = CriticAgent(word_delay=0).run(turn)
        return "".join([event["delta"] async for event in told if "delta" in event])

    whole = await said(earlier)
    begun = whole[: len(whole) // 2]
    answer = {
        "id": "3",
        "role": "assistant",
        "name": "Critic",
        "parts": [{"type": "text", "content": begun}],
        "metadata": {"agentId": "critic"},
    }
    assert begun + await said([*earlier, answer], begun) == whole
