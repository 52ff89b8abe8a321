"""What the transcript says of tool calls: states, folds, and the cards that ask for a decision."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.web.tool_lines import ToolPart, ToolReader, ToolsPart, fold

ASKED = {"id": "i", "reason": "tool_call", "toolCallId": "t", "message": "Send it?"}
TOOL_OF_CLIENT = {"id": "i", "reason": "client_tool_input", "toolCallId": "t"}
YES = {"interruptId": "i", "approved": True, "participantId": "p", "name": "Ana", "decidedAt": 1795219200000}
NO = {**YES, "approved": False, "name": "Ben"}
RESULT = {"type": "tool-result", "toolCallId": "t", "content": "sent", "state": "complete"}


def call(**changes: Any) -> dict[str, Any]:
    return {"type": "tool-call", "id": "t", "name": "send", "arguments": '{"to":"Eva"}', **changes}


def run(status: str = "awaiting-approval", *, id: str = "r1", **changes: Any) -> dict[str, Any]:
    return {"runId": id, "status": status, "messageIds": ["a"], **changes}


def read(
    part: dict[str, Any],
    *runs: dict[str, Any],
    result: dict[str, Any] | None = None,
    active: tuple[str, ...] = (),
    **reader: Any,
) -> ToolPart:
    known = {each["runId"]: each for each in runs}
    tools = ToolReader(runs=known, active=frozenset(active), decide_url="/decide", **reader)
    return tools.tool(part, result, run=runs[0] if runs else {})


@pytest.mark.parametrize(
    ("runs", "active", "state"),
    [
        ([run("running")], ("r1",), "running"),
        ([run("interrupted")], (), "unknown"),
        ([run("failed")], (), "unknown"),
        ([run("stopped")], (), "unknown"),
        ([], (), "unanswered"),
        ([run(interrupts=[TOOL_OF_CLIENT])], (), "waiting"),
        ([run(interrupts=[ASKED])], (), "waiting"),
        ([run(interrupts=[ASKED], supersededBy="r3")], (), "unanswered"),
        ([run(interrupts=[ASKED], decisions=[YES])], (), "waiting"),
        ([run(interrupts=[ASKED], decisions=[NO])], (), "denied"),
        ([run(interrupts=[ASKED], decisions=[YES], continuedBy="r2")], ("r2",), "running"),
        (
            [run(interrupts=[ASKED], decisions=[YES], continuedBy="r2"), run("interrupted", id="r2")],
            (),
            "unknown",
        ),
        (
            [
                run(interrupts=[ASKED], decisions=[YES], continuedBy="r2"),
                run("failed", id="r2", code="approval-void"),
            ],
            (),
            "void",
        ),
        ([run(interrupts=[ASKED], decisions=[YES], continuedBy="r2")], (), "unanswered"),
    ],
)
def test_the_state_of_a_call_without_a_result(
    runs: list[dict[str, Any]], active: tuple[str, ...], state: str
) -> None:
    assert read(call(), *runs, active=active).state == state


def test_a_call_that_was_denied_stays_denied_whatever_the_model_is_told() -> None:
    told = {**RESULT, "content": "The tool call was denied."}
    assert read(call(), run(interrupts=[ASKED], decisions=[NO]), result=told).state == "denied"
    assert read(call(), run(interrupts=[ASKED], decisions=[YES]), result=told).state == "done"


def test_who_may_not_decide_is_told_who_may() -> None:
    waiting = read(call(), run(interrupts=[ASKED]), deciders=("Ana", "Ben", "Eva")).question
    assert waiting is not None
    assert (waiting.open, waiting.form, waiting.who) == (True, None, "Ana, Ben or Eva can decide.")
    assert waiting.message == "Send it?"


def test_who_may_decide_sends_along_what_they_see() -> None:
    waiting = read(call(), run(interrupts=[ASKED]), can_approve=True).question
    assert waiting is not None
    assert waiting.form == {
        "runId": "r1",
        "interruptId": "i",
        "arguments": '{"to":"Eva"}',
        "action": "/decide",
    }


@pytest.mark.parametrize(
    ("decision", "title"),
    [
        (YES, "Approved by Ana"),
        ({**YES, "arguments": {"to": "Ada"}}, "Approved with changes by Ana"),
        (NO, "Denied by Ben"),
    ],
)
def test_a_decided_card_says_who_decided(decision: dict[str, Any], title: str) -> None:
    question = read(call(), run(interrupts=[ASKED], decisions=[decision]), can_approve=True).question
    assert question is not None
    assert question.verdict is not None
    assert (question.title, question.form, question.open) == (title, None, False)
    assert question.verdict.at_iso == "2026-11-21T00:00:00+00:00"


@pytest.mark.parametrize(
    ("ended", "taken"),
    [(1040, "<0.1 s"), (2500, "1.5 s"), (13_000, "12 s"), (126_000, "2 min 5 s"), (900, "")],
)
def test_how_long_a_tool_took(ended: int, taken: str) -> None:
    assert read(call(calledAt=1000, endedAt=ended), result=RESULT).taken == taken


def test_an_approved_tool_begins_when_it_is_approved() -> None:
    decided = {**YES, "decidedAt": 9000}
    part = call(calledAt=1000, endedAt=9500)
    assert read(part, run(interrupts=[ASKED], decisions=[decided]), result=RESULT).taken == "0.5 s"


def line(state: str) -> ToolPart:
    return ToolPart(id=state, name="send", state=state)  # type: ignore[arg-type]


def test_calls_in_a_row_fold() -> None:
    card = read(call(), run(interrupts=[ASKED]))
    parts = [line("done"), line("failed"), "text", line("done"), card, line("running"), line("unknown")]
    first, text, alone, asks, last = fold(parts)
    assert isinstance(first, ToolsPart)
    assert first.label == "Used 2 tools · 1 failed"
    assert (text, alone, asks) == ("text", line("done"), card)
    assert isinstance(last, ToolsPart)
    assert last.label == "Using 2 tools · 1 unknown"


def test_what_waits_is_counted() -> None:
    also = {**ASKED, "id": "j", "toolCallId": "u"}
    runs = {
        "r1": run(interrupts=[ASKED, also, {**TOOL_OF_CLIENT, "id": "k"}], decisions=[YES]),
        "r2": run(id="r2", interrupts=[ASKED], supersededBy="r3"),
        "r3": run("failed", id="r3", interrupts=[ASKED]),
    }
    assert ToolReader(runs=runs).pending({"a"}) == ["ask-r1-1"]
    assert ToolReader(runs=runs).pending({"b"}) == [], "that is on another branch"


def test_a_question_about_no_tool_is_a_card_too() -> None:
    asks = run(interrupts=[{"id": "q", "reason": "budget", "message": "Spend more?"}])
    (card,) = ToolReader(runs={"r1": asks}, can_approve=True).questions(asks)
    assert (card.name, card.state) == ("budget", "waiting")
    assert card.question is not None
    assert card.question.form is not None
