"""Merging makes fewer events that say the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from webapp.chat.coalesce import merge
from webapp.chat.events import TOOL_CALL_ARGS, text_content, text_end

deltas = st.builds(text_content, st.sampled_from(["m1", "m2"]), st.text(max_size=5))
streams = st.lists(deltas | st.just(text_end("m1")))


def test_neighbours_are_joined_and_nothing_else() -> None:
    told = [
        text_content("m1", "a"),
        text_content("m1", "b"),
        text_content("m2", "c"),
        text_end("m1"),
        text_content("m2", "d"),
    ]
    assert merge(told) == [text_content("m1", "ab"), *told[2:]]


def test_arguments_and_reasoning_too() -> None:
    told = [
        {"type": TOOL_CALL_ARGS, "toolCallId": "t", "delta": delta, "timestamp": i}
        for i, delta in enumerate("ab")
    ]
    assert merge(told) == [{"type": TOOL_CALL_ARGS, "toolCallId": "t", "delta": "ab", "timestamp": 0}]


def test_what_says_more_than_its_delta_stays_apart() -> None:
    told = [
        text_content("m1", "a"),
        text_content("m1", "b") | {"metadata": {"x": 1}},
        text_content("m1", "c"),
    ]
    assert merge(told) == told


def test_a_long_delta_passes_as_it_is() -> None:
    told = [text_content("m1", "x" * 5000), text_content("m1", "y")]
    assert merge(told) == told


@given(streams, st.integers(1, 12))
def test_the_text_is_the_same_and_bounded(told: list[dict[str, Any]], limit: int) -> None:
    before = [dict(event) for event in told]
    merged = merge(told, limit=limit)
    assert told == before
    assert spelt(merged) == spelt(told)
    longest = max((len(event["delta"].encode()) for event in told if "delta" in event), default=0)
    for event in merged:
        assert len(event.get("delta", "").encode()) <= max(limit, longest)
    assert merge(merged, limit=limit) == merged


def spelt(told: list[dict[str, Any]]) -> list[Any]:
    """Character by character, with the ends in between."""
    return [(event["messageId"], part) for event in told for part in event.get("delta", ["end"])]
