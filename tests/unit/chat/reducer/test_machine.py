"""The reducer against recorded streams and our own, in both languages and from every split point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.reducers import Case, JsReducer, matches, own_cases, recorded_cases
from webapp.chat.reducer import Reducer, Snapshot, StaleSnapshot, materialize

RECORDED = recorded_cases()
OWN = own_cases()
named = {"ids": lambda case: case["name"]}


@pytest.fixture(scope="module")
def js() -> Iterator[JsReducer]:
    reducer = JsReducer()
    yield reducer
    reducer.close()


def reduce(case: Case) -> dict[str, Any]:
    return as_json(materialize(case["events"], final=case["finalize"]).to_json())


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


# Without the recordings there is nothing to collect, and nothing is skipped.
if RECORDED:

    @pytest.mark.parametrize("case", RECORDED, **named)
    def test_a_recorded_stream_gives_its_messages(case: Case) -> None:
        assert matches(reduce(case)["messages"], case["messages"])


@pytest.mark.parametrize("case", OWN, **named)
def test_a_stream_of_ours_gives_its_conversation(case: Case) -> None:
    result = reduce(case)
    expected = {key: case[key] for key in case if key not in ("name", "finalize", "events")}
    assert {key: result[key] for key in expected} == expected


def test_the_browser_gives_the_same(js: JsReducer) -> None:
    for case in RECORDED + OWN:
        assert js.reduce(case["events"], final=case["finalize"]) == reduce(case), case["name"]


def test_a_snapshot_continues_at_every_split_in_either_language(js: JsReducer) -> None:
    for case in RECORDED + OWN:
        whole = reduce(case)
        for split in range(len(case["events"]) + 1):
            begun, rest = case["events"][:split], case["events"][split:]
            here = as_json(materialize(begun).to_json())
            there = js.reduce(begun)
            assert continue_here(here, rest, case) == whole, (case["name"], split)
            assert continue_here(there, rest, case) == whole, (case["name"], split)
            assert js.reduce(rest, snapshot=here, final=case["finalize"]) == whole, (case["name"], split)


def continue_here(snapshot: dict[str, Any], events: list[Any], case: Case) -> dict[str, Any]:
    reducer = Reducer(Snapshot.from_json(snapshot))
    for event in events:
        reducer.apply(event)
    if case["finalize"]:
        reducer.finalize()
    return as_json(reducer.snapshot().to_json())  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", OWN, **named)
def test_a_snapshot_never_changes(case: Case) -> None:
    reducer = Reducer()
    taken = []
    for event in case["events"]:
        reducer.apply(event)
        snapshot = reducer.snapshot()
        taken.append((snapshot, as_json(snapshot.to_json())))
    reducer.finalize()
    for snapshot, before in taken:
        assert as_json(snapshot.to_json()) == before


@pytest.mark.parametrize("case", OWN, **named)
def test_events_are_left_as_they_were(case: Case) -> None:
    before = as_json(case["events"])
    reduce(case)
    assert as_json(case["events"]) == before


def test_unchanged_messages_are_shared_and_not_copied() -> None:
    reducer = Reducer()
    for event in said("m1", "a") + said("m2", "b"):
        reducer.apply(event)
    first = reducer.snapshot()
    reducer.apply({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m2", "delta": "c"})
    second = reducer.snapshot()
    assert second.messages[0] is first.messages[0]
    assert second.messages[1] is not first.messages[1]
    assert first.messages[1]["parts"][0]["content"] == "b"


def test_the_end_of_a_conversation_brings_the_runs_that_concern_it() -> None:
    reducer = Reducer()
    for number in range(3):
        reducer.apply({"type": "RUN_STARTED", "runId": f"r{number}", "metadata": {"triggerId": f"u{number}"}})
        for event in said(f"m{number}", "text"):
            reducer.apply(event)
        reducer.apply({"type": "RUN_ERROR", "runId": f"r{number}", "message": "No."})
    reducer.apply({"type": "RUN_STARTED", "runId": "r3"})
    snapshot = reducer.snapshot()
    end = snapshot.to_json(last=1)
    assert [message["id"] for message in end["messages"]] == ["m2"]
    assert list(end["runs"]) == ["r2", "r3"]
    assert end["activeRuns"] == ["r3"]
    assert snapshot.to_json(last=9) == snapshot.to_json()
    assert snapshot.to_json(last=0)["messages"] == []


@pytest.mark.parametrize("junk", [{}, {"version": 0}, {"version": 1}, {"version": None, "messages": []}])
def test_what_is_no_snapshot_is_not_read(junk: dict[str, Any]) -> None:
    with pytest.raises(StaleSnapshot):
        Snapshot.from_json(junk)


def said(message_id: str, text: str) -> list[dict[str, Any]]:
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": message_id},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": text},
    ]
