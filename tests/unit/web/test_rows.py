"""From messages to rows: states, notices, parts, grouping, and that no stream content can break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from webapp.chat.messages import hue
from webapp.web.rows import (
    Notice,
    Row,
    RowBuilder,
    StructuredPart,
    TextPart,
    ThinkingPart,
    UnsupportedPart,
    initials,
)
from webapp.web.tool_lines import ToolPart, ToolReader

MINUTE = 60_000


def builder(
    runs: dict[str, Any] | None = None, active: tuple[str, ...] = (), can_chat: bool = True
) -> RowBuilder:
    known, running = runs or {}, frozenset(active)
    return RowBuilder(
        runs=known,
        active=running,
        me_id="ana",
        can_chat=can_chat,
        html=Markup.escape,
        tools=ToolReader(runs=known, active=running, can_approve=True, decide_url="/decide"),
    )


def said(text: str, *, by: str = "ana", at: int = 0, id: str = "m") -> dict[str, Any]:
    return {
        "id": id,
        "role": "user",
        "name": by.title(),
        "parts": [{"type": "text", "content": text}],
        "metadata": {"participantId": by, "createdAt": at},
    }


def answered(*parts: dict[str, Any], run: str = "run", id: str = "a", at: int = 0) -> dict[str, Any]:
    metadata = {"agentId": "kermit", "runId": run, "createdAt": at}
    return {"id": id, "role": "assistant", "name": "Kermit", "parts": list(parts), "metadata": metadata}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


def test_a_message_of_mine() -> None:
    (row,) = builder().rows([said("a < b", at=1795219200000)])
    assert (row.kind, row.role, row.mine, row.state, row.grouped) == ("message", "user", True, "done", False)
    assert (row.name, row.initials) == ("Ana", "A")
    assert row.created_iso == "2026-11-21T00:00:00+00:00"
    assert row.time_label == "00:00"
    assert row.parts == (TextPart("a < b", Markup("a &lt; b")),)
    assert not builder().rows([said("x", by="ben")])[0].mine


def test_one_speaker_is_grouped_for_five_minutes() -> None:
    rows = builder().rows(
        [
            said("1", at=0),
            said("2", at=4 * MINUTE),
            said("3", at=10 * MINUTE),
            said("4", by="ben", at=10 * MINUTE),
            answered(text("5"), at=10 * MINUTE),
            answered(text("6"), at=10 * MINUTE),
            answered(text("to another question"), run="other", at=10 * MINUTE),
        ]
    )
    assert [row.grouped for row in rows] == [False, True, False, False, False, True, False]
    assert builder().rows([said("2", at=1)], before=said("1", at=0))[0].grouped


def test_an_answer_that_is_being_written() -> None:
    runs = {"run": {"runId": "run", "status": "running", "messageIds": ["a", "b"]}}
    rows = builder(runs, active=("run",)).rows([answered(text("x"), id="a"), answered(text("y"), id="b")])
    assert [row.state for row in rows] == ["done", "streaming"]


def ended(**info: Any) -> tuple[Row, RowBuilder]:
    runs = {"run": {"runId": "run", "messageIds": ["a"], "triggerId": "m", "agentName": "Kermit"} | info}
    rows = builder(runs)
    return rows.rows([answered(text("so far"))])[0], rows


def test_each_ending_has_its_own_words() -> None:
    row, _ = ended(status="stopped", stoppedBy={"participantId": "ben", "name": "Ben"})
    assert (row.state, row.notice) == ("stopped", Notice("stopped", "Stopped by Ben.", True, "m", True))
    assert ended(status="stopped")[0].notice == Notice("stopped", "Stopped.", True, "m", True)
    interrupted, _ = ended(status="interrupted", error="internal words")
    assert interrupted.notice is not None
    assert "kept" in interrupted.notice.text
    failed, _ = ended(status="failed", error="The provider is busy.")
    assert failed.notice == Notice("failed", "The provider is busy.", True, "m", True)
    waiting, _ = ended(status="awaiting-approval")
    assert (waiting.state, waiting.notice) == ("awaiting-approval", None)
    assert ended(status="awaiting-approval", supersededBy="run-2")[0].state == "done"
    assert ended(status="unheard-of")[0].state == "done"


def test_only_who_may_chat_and_only_the_newest_attempt_can_be_retried() -> None:
    runs = {"run": {"status": "failed", "messageIds": ["a"], "triggerId": "m"}}
    notice = builder(runs, can_chat=False).rows([answered(text("x"))])[0].notice
    assert notice is not None
    assert not notice.retry
    superseded, _ = ended(status="failed", supersededBy="run-2")
    assert superseded.notice is not None
    assert not superseded.notice.retry


def test_a_run_that_wrote_nothing_is_a_row_below_its_question() -> None:
    runs = {
        "quiet": {
            "status": "silent",
            "messageIds": [],
            "triggerId": "m",
            "agentName": "Kermit",
            "agentId": "kermit",
        },
        "old": {"status": "failed", "messageIds": [], "triggerId": "m", "supersededBy": "quiet"},
        "busy": {"status": "running", "messageIds": [], "triggerId": "m"},
    }
    rows = builder(runs, active=("busy",)).rows([said("hello"), said("again", id="n")])
    assert [row.kind for row in rows] == ["message", "notice", "message"]
    assert rows[1].run_id == "quiet"
    assert rows[1].notice == Notice("silent", "Kermit chose not to answer.", False, "m")
    assert not rows[2].grouped


def parts_of(*parts: dict[str, Any], status: str = "", **run: Any) -> tuple[Any, ...]:
    runs = {"run": {"runId": "run", "status": status, "messageIds": ["a"], **run}} if status else {}
    active = ("run",) if status == "running" else ()
    return builder(runs, active=active).rows([answered(*parts)])[0].parts


def call(**changes: Any) -> dict[str, Any]:
    return {
        "type": "tool-call",
        "id": "t",
        "name": "weather",
        "arguments": '{"city":"Berlin","days":[1,2]}',
        **changes,
    }


def test_a_tool_call_with_its_result() -> None:
    result = {"type": "tool-result", "toolCallId": "t", "content": '{"temp":7}', "state": "complete"}
    (tool,) = parts_of(call(state="input-complete"), result)
    assert isinstance(tool, ToolPart)
    assert (tool.state, tool.name, tool.summary) == ("done", "weather", "city: Berlin, days: [1,2]")
    assert tool.arguments.startswith('{\n  "city": "Berlin",')
    assert tool.result == '{\n  "temp": 7\n}'


def test_tool_states() -> None:
    error = {"type": "tool-result", "toolCallId": "t", "content": "no", "state": "error"}
    assert parts_of(call(), error)[0].state == "failed"
    assert parts_of(call(state="complete", output={"temp": 7}))[0].result == '{\n  "temp": 7\n}'
    assert parts_of(call(), status="running")[0].state == "running"
    assert parts_of(call())[0].state == "unanswered"
    assert parts_of(call(arguments='{"half'))[0].arguments == '{"half'
    assert len(parts_of(call(arguments="x" * 500))[0].summary) == 80
    assert parts_of({"type": "tool-result", "toolCallId": "lost", "content": "7"})[0].state == "done"


def test_other_parts() -> None:
    parts = parts_of(
        {"type": "thinking", "content": "hm"},
        {"type": "structured-output", "status": "complete", "data": {"a": 1}, "raw": ""},
        {"type": "hologram"},
        text(""),
    )
    assert parts == (
        ThinkingPart("hm"),
        StructuredPart('{\n  "a": 1\n}'),
        UnsupportedPart("This message has a part that cannot be shown here (hologram)."),
    )


def test_initials() -> None:
    assert [initials(name) for name in ("Amber Otter", "Ana", "", "  ", "a b c")] == [
        "AO",
        "A",
        "?",
        "?",
        "AB",
    ]


_ANY = st.sampled_from(
    [
        None,
        True,
        -1,
        1e300,
        float("nan"),
        "",
        "x",
        "user",
        "run",
        "tool-call",
        "tool-result",
        "text",
        "failed",
        '{"a"',
    ]
)
_VALUES = (
    _ANY
    | st.lists(_ANY, max_size=2)
    | st.dictionaries(_ANY.filter(lambda key: isinstance(key, str)), _ANY, max_size=2)
)


def _records(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, _VALUES))


_PARTS = st.lists(
    _records("type", "id", "toolCallId", "name", "content", "arguments", "state", "data"), max_size=3
)
_METADATA = _records("runId", "createdAt", "agentId", "participantId")
_MESSAGES = st.tuples(_records("id", "role", "name", "parts", "metadata"), _PARTS, _METADATA).map(
    lambda drawn: {"parts": drawn[1], "metadata": drawn[2]} | drawn[0]
)
_RUNS = _records(
    "status", "messageIds", "triggerId", "interrupts", "stoppedBy", "error", "agentId", "agentName"
)


@settings(max_examples=100)
@given(st.lists(_MESSAGES, max_size=3), st.dictionaries(st.sampled_from(["", "x", "run"]), _RUNS, max_size=2))
def test_whatever_is_in_a_stream_gives_rows(messages: list[dict[str, Any]], runs: dict[str, Any]) -> None:
    rows = builder(runs).rows(messages)
    assert sum(row.kind == "message" for row in rows) == len(messages)


def test_notes_stand_behind_their_message_and_end_a_group() -> None:
    notes = [
        {"id": "note~1", "kind": "agent.joined", "after": "", "agentId": "c", "name": "Critic", "by": "Ana"},
        {"id": "note~2", "kind": "agent.left", "after": "b", "agentId": "c", "name": "", "by": None},
        {
            "id": "note~3",
            "kind": "chat.waiting-for-person",
            "after": "b",
            "agents": ["A", "B", "C"],
            "turns": 6,
        },
        {"id": "note~4", "kind": "chat.waiting-for-person", "after": "b", "agents": ["A"], "turns": 6},
        {"id": "note~5", "kind": "agent.left", "after": "gone"},
    ]
    messages = [said("1", id="a"), said("2", id="b"), said("3", id="c")]
    rows = replace(builder(), notes=notes).rows(messages)
    assert [(row.kind, row.id, row.grouped) for row in rows] == [
        ("note", "note~1", False),
        ("message", "a", False),
        ("message", "b", True),
        ("note", "note~2", False),
        ("note", "note~3", False),
        ("note", "note~4", False),
        ("message", "c", False),
    ]
    assert [row.note[1] for row in rows if row.kind == "note"] == [
        "Ana let Critic in",
        "Somebody sent an agent away",
        "A, B and C have talked 6 times. Waiting for a person.",
        "Waiting for a person.",
    ]
    assert replace(builder(), notes=notes).rows(messages[1:], before=messages[0])[0].kind == "message"


def test_an_agents_colour_is_the_servers_choice() -> None:
    answer = {"id": "m", "role": "assistant", "parts": [], "metadata": {"agentId": "demo"}}
    (plain,) = builder().rows([answer])
    (chosen,) = replace(builder(), hues={"demo": (plain.hue + 1) % 24}).rows([answer])
    assert chosen.hue != plain.hue
    person = {**said("x"), "metadata": {"participantId": "demo"}}
    (same,) = replace(builder(), hues={"demo": (plain.hue + 1) % 24}).rows([person])
    assert same.hue == plain.hue


def test_initials_are_those_that_the_page_gives() -> None:
    """As in ``tests/js/page/people.test.js``."""
    names = ["Amber Otter", "ana", "  Ana  Lena Banana ", "", "ßeta", "🦦 otter", "Élan é"]
    assert [initials(name) for name in names] == ["AO", "A", "AL", "?", "SS", "🦦O", "ÉÉ"]


@pytest.mark.parametrize("odd", [24, -1, 1.5, "7", True, None])
def test_a_colour_counts_if_it_is_one_that_there_is(odd: object) -> None:
    (row,) = builder().rows([{**said("x"), "metadata": {"participantId": "ana", "hue": odd}}])
    assert row.hue == hue("ana")
    (row,) = builder().rows([{**said("x"), "metadata": {"participantId": "ana", "hue": 7}}])
    assert row.hue == 7


def test_another_name_is_said_at_once() -> None:
    rows = builder().rows(
        [said("1"), {**said("2", at=1000), "name": "Anna"}, {**said("3", at=2000), "name": "Anna"}]
    )
    assert [row.grouped for row in rows] == [False, False, True]
