"""What is fit to be stored."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.chat.storing import DELTA_LIMIT, EVENT_LIMIT, Intake, NotAnEvent, size, split


def chunk(**fields: Any) -> dict[str, Any]:
    return {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", **fields}


@given(st.lists(st.text(max_size=3), min_size=1, max_size=6), st.data())
def test_the_text_is_the_same_whether_it_comes_as_deltas_or_as_the_whole_so_far(
    deltas: list[str], data: st.DataObject
) -> None:
    intake, text, taken = Intake(), "", ""
    for delta in deltas:
        text += delta
        both = {"delta": delta, "content": text}
        fields = data.draw(st.sampled_from([both, {"content": text}]))
        taken += intake.take(chunk(**fields))["delta"]
    assert taken == text


def test_content_of_one_message_is_not_that_of_another() -> None:
    intake = Intake()
    assert intake.take(chunk(content="He"))["delta"] == "He"
    assert intake.take(chunk(content="Hello", messageId="n"))["delta"] == "Hello"
    assert intake.take(chunk(content="Hell"))["delta"] == "ll"


def test_content_that_does_not_go_on_is_a_piece_of_its_own() -> None:
    intake = Intake()
    assert [intake.take(chunk(content=text))["delta"] for text in ("Hel", "lo")] == ["Hel", "lo"]


@pytest.mark.parametrize("given", [None, 7, "x", [], {}, {"type": None}])
def test_what_has_no_type_is_no_event(given: object) -> None:
    with pytest.raises(NotAnEvent):
        Intake().take(given)


@given(st.integers(0, 3 * DELTA_LIMIT))
def test_pieces_add_up(length: int) -> None:
    pieces = split(chunk(delta="x" * length, more=1))
    assert "".join(piece["delta"] for piece in pieces) == "x" * length
    assert all(len(piece["delta"]) <= DELTA_LIMIT and piece["more"] == 1 for piece in pieces)


def test_an_event_is_json_and_not_too_large() -> None:
    assert size({"type": "CUSTOM"}) == 17
    for value in (object(), "x" * EVENT_LIMIT, {1.5: object()}):
        with pytest.raises(NotAnEvent):
            size({"type": "CUSTOM", "value": value})
