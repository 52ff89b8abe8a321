"""Whatever a source says, it becomes one whole run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from ag_ui.core import Event as AgUiEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from webapp.agents.base import Event
from webapp.chat.storing import DELTA_LIMIT, NotAnEvent
from webapp.session.whole_run import PassedOn, WholeRun

AG_UI: TypeAdapter[Any] = TypeAdapter(AgUiEvent)
TERMINAL = ("RUN_FINISHED", "RUN_ERROR")


def whole_run(**options: Any) -> WholeRun:
    return WholeRun(clock=lambda: 1.5, new_run_id=lambda: "new", **options)


def told(run: WholeRun, *chunks: object) -> list[Event]:
    """What is written for chunks of a source that then ends."""
    return [event for chunk in chunks for event in run.take(chunk)] + run.end()


def types(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


START = {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}
HELLO = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Hello"}
CALL = {"type": "TOOL_CALL_START", "toolCallId": "t", "toolCallName": "roll", "parentMessageId": "m"}

ids = st.sampled_from(["a", "b"])
chunks = st.one_of(
    st.builds(lambda id: {**START, "messageId": id}, ids),
    st.builds(lambda id, text: {**HELLO, "messageId": id, "delta": text}, ids, st.text(max_size=3)),
    st.builds(lambda id: {"type": "TEXT_MESSAGE_END", "messageId": id}, ids),
    st.builds(lambda id: {**CALL, "toolCallId": id}, ids),
    st.builds(lambda id: {"type": "TOOL_CALL_END", "toolCallId": id}, ids),
    st.builds(lambda id: {"type": "REASONING_START", "messageId": id}, ids),
    st.builds(lambda id: {"type": "STEP_STARTED", "stepName": id}, ids),
    st.builds(lambda id: {"type": "RUN_STARTED", "threadId": "its", "runId": id}, ids),
    st.builds(
        lambda id, why: {"type": "RUN_FINISHED", "threadId": "its", "runId": id, "finishReason": why},
        ids,
        st.sampled_from(["stop", "tool_calls"]),
    ),
    st.just({"type": "RUN_ERROR", "message": "a secret"}),
    st.just({"type": "MESSAGES_SNAPSHOT", "messages": []}),
)
ends: st.SearchStrategy[Callable[[WholeRun], list[Event]]] = st.sampled_from(
    [WholeRun.end, WholeRun.stop, lambda run: run.fail("why", "So.")]
)


@given(st.lists(chunks, max_size=12), ends, st.booleans(), st.sampled_from([None, "given"]))
def test_one_begin_one_end_and_nothing_open(
    said: list[Event], end: Callable[[WholeRun], list[Event]], announced: bool, run_id: str | None
) -> None:
    run = whole_run(run_id=run_id, default_thread_id="thread")
    written = run.begin() if announced else []
    written += [event for chunk in said for event in run.take(chunk)]
    written += end(run)
    assert run.ended
    # The first end counts, and nothing comes after it.
    assert [*run.take(HELLO), *run.end(), *run.stop(), *run.fail("x", "y")] == []

    assert types(written)[0] == "RUN_STARTED"
    assert [kind for kind in types(written) if kind in TERMINAL] == [types(written)[-1]]
    assert types(written).count("RUN_STARTED") == 1
    assert {event["runId"] for event in written if "runId" in event} == {run.run_id}
    for event in written:
        AG_UI.validate_python(event)
    opened = {(e["type"], e["messageId"]) for e in written if e["type"] == "TEXT_MESSAGE_START"}
    last = {
        e["messageId"]: e["type"] for e in written if e["type"] in ("TEXT_MESSAGE_START", "TEXT_MESSAGE_END")
    }
    assert all(last[message_id] == "TEXT_MESSAGE_END" for _, message_id in opened)
    assert "a secret" not in str(written)


def test_a_source_that_says_only_text_gets_the_rest() -> None:
    run = whole_run(default_thread_id="chats/1")
    assert told(run, START, HELLO) == [
        {"type": "RUN_STARTED", "threadId": "chats/1", "runId": "new", "timestamp": 1500},
        {**START, "metadata": {"runId": "new"}},
        HELLO,
        {"type": "TEXT_MESSAGE_END", "messageId": "m"},
        {"type": "RUN_FINISHED", "threadId": "chats/1", "runId": "new", "timestamp": 1500},
    ]
    assert run.outcome == "success"


def test_what_the_source_says_of_its_run_is_kept() -> None:
    started = {"type": "RUN_STARTED", "threadId": "t", "runId": "r", "parentRunId": "p", "timestamp": 3.7}
    finished = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "result": 4, "timestamp": 5}
    written = told(whole_run(metadata={"by": "us"}), started, finished)
    assert written == [{**started, "timestamp": 3, "metadata": {"by": "us"}}, finished]


def test_the_given_ids_outrank_those_of_the_source() -> None:
    run = whole_run(run_id="given", thread_id="ours")
    assert run.begin() == [{"type": "RUN_STARTED", "threadId": "ours", "runId": "given", "timestamp": 1500}]
    written = told(
        run,
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
        {**CALL, "runId": "r"},
        {**START, "metadata": {"runId": "r"}},
    )
    assert types(written)[0] == "TOOL_CALL_START"
    assert {event["runId"] for event in written if "runId" in event} == {"given"}
    assert written[1]["metadata"] == {"runId": "given"}
    assert written[-1]["threadId"] == "ours"


def test_events_that_name_no_message_say_whose_they_are() -> None:
    [_, call, *_] = told(whole_run(), CALL)
    assert call == {**CALL, "runId": "new"}


def test_a_round_of_tool_calls_is_no_end() -> None:
    """Some sources finish once per round; exactly the last of it is the run's end."""
    plain = {"type": "RUN_FINISHED", "runId": "r", "threadId": "t", "finishReason": "tool_calls"}
    nested = {
        "type": "RUN_FINISHED",
        "runId": "r",
        "threadId": "t",
        "metadata": {"tanstack": {"finishReason": "tool_calls"}},
    }
    for finished in (plain, nested):
        run = whole_run()
        written = told(run, CALL, finished, {"type": "RUN_STARTED", "runId": "r", "threadId": "t"}, HELLO)
        assert types(written) == [
            "RUN_STARTED",
            "TOOL_CALL_START",
            "TEXT_MESSAGE_CONTENT",
            "TOOL_CALL_END",
            "RUN_FINISHED",
        ]


def test_an_interrupt_is_an_end_of_its_own() -> None:
    outcome = {"type": "interrupt", "interrupts": [{"id": "i", "reason": "tool_call", "toolCallId": "t"}]}
    run = whole_run()
    finished = {"type": "RUN_FINISHED", "outcome": outcome, "finishReason": "tool_calls"}
    written = told(run, CALL, finished, HELLO)
    assert written[-1]["outcome"] == outcome
    assert run.outcome == "interrupt"


def test_a_run_error_of_the_source_is_told_in_our_words() -> None:
    run = whole_run()
    written = told(run, START, {"type": "RUN_ERROR", "message": "sk-123 is no key", "code": "sk-123"})
    assert types(written) == ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_END", "RUN_ERROR"]
    assert "sk-123" not in str(written)
    assert run.outcome == written[-1]["code"] == "agent-failed"


def test_what_a_run_may_not_say_is_left_out() -> None:
    written = told(whole_run(refused=frozenset({"MESSAGES_SNAPSHOT"})), {"type": "MESSAGES_SNAPSHOT"}, HELLO)
    assert types(written) == ["RUN_STARTED", "TEXT_MESSAGE_CONTENT", "RUN_FINISHED"]


def test_a_long_delta_is_cut() -> None:
    written = told(whole_run(), {**HELLO, "delta": "x" * (2 * DELTA_LIMIT + 1)})
    assert [len(event["delta"]) for event in written[1:-1]] == [DELTA_LIMIT, DELTA_LIMIT, 1]


@pytest.mark.parametrize(
    "chunk", [7, {}, {"type": 1}, {**HELLO, "x": object()}, {"type": "RUN_FINISHED", "result": object()}]
)
def test_what_is_no_event_is_refused_and_the_run_can_still_fail(chunk: object) -> None:
    run = whole_run()
    with pytest.raises(NotAnEvent):
        run.take(chunk)
    written = run.fail("why", "So.")
    assert types(written)[-1] == "RUN_ERROR"


def test_an_end_that_could_not_be_stored_is_told_as_another() -> None:
    run = whole_run()
    told(run, HELLO)
    [error] = run.lose()
    assert (error["type"], error["code"], error["runId"]) == ("RUN_ERROR", "not-stored", "new")
    assert run.outcome == "not-stored"


@given(st.lists(st.recursive(st.none() | st.integers(-9, 9) | st.text(), lambda x: st.lists(x, max_size=2))))
def test_chunks_of_any_kind_pass_as_they_are(said: list[Any]) -> None:
    passed = PassedOn(clock=lambda: 1.5)
    written = [raw for chunk in said for raw in passed.take(chunk)]
    assert [msgspec.json.decode(raw) for raw in written] == said
    assert passed.end() == passed.fail("x", "y") == passed.take(1) == []


def test_chunks_of_any_kind_end_with_the_failure() -> None:
    passed = PassedOn(clock=lambda: 1.5)
    with pytest.raises(NotAnEvent):
        passed.take(object())
    assert passed.fail("why", "So.") == [
        {"type": "RUN_ERROR", "code": "why", "message": "So.", "timestamp": 1500}
    ]
    assert passed.ended
