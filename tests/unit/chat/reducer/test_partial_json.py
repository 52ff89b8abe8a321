"""Any prefix of a document reads as a prefix of its value, and nothing makes the reader raise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.chat.reducer.partial_json import MAX_DEPTH, MISSING, parse_partial, parse_whole

characters = st.characters(codec="utf-8")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(characters, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_a_whole_document_is_its_value(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert parse_partial(text) == value
    assert parse_whole(f" {text}\n") == value


@given(values, st.booleans(), st.data())
def test_a_prefix_is_a_prefix_of_the_value(value: Any, ascii_only: bool, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    cut = data.draw(st.integers(0, len(text)))
    assert begins(parse_partial(text[:cut]), value)


def begins(part: Any, whole: Any) -> bool:
    """Whether ``part`` may have been read on the way to ``whole``."""
    if part is MISSING:
        return True
    if isinstance(whole, str):
        return isinstance(part, str) and whole.startswith(part)
    if isinstance(whole, list):
        *done, last = part or [MISSING]
        return (
            len(part) <= len(whole)
            and done == whole[: len(done)]
            and begins(last, (whole or [None])[len(done)])
        )
    if isinstance(whole, dict):
        return (
            all(begins(value, whole[key]) for key, value in part.items())
            and list(part) == list(whole)[: len(part)]
        )
    # A number may have digits to come.
    return part == whole or isinstance(whole, int | float)


@given(st.text(characters) | st.text('{}[]",:\\u0123dD8etrufalsn-+.E \n'))
def test_it_is_total(text: str) -> None:
    json.dumps(None if (value := parse_partial(text)) is MISSING else value).encode()
    try:
        strict = json.loads(text, parse_constant=pytest.fail)
    except (ValueError, pytest.fail.Exception):
        return
    if "\\u" not in text:
        assert parse_whole(text) == strict


@pytest.mark.parametrize(
    ("text", "partial"),
    [
        ("", MISSING),
        (" ", MISSING),
        ("null", None),
        ("nul", MISSING),
        ("-", MISSING),
        ("-1.", -1),
        ("01", 0),
        ("NaN", MISSING),
        ('"a', "a"),
        ('"a\\', "a"),
        ('"a\\u00e', "a"),
        ('"\\ud83d', ""),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\ude00"', ""),
        ('"a\nb"', "a"),
        ("[", []),
        ("[1,", [1]),
        ("[1 2]", [1]),
        ("[,1]", []),
        ('{"a', {}),
        ('{"a":', {}),
        ('{"a":tru', {}),
        ('{"a":{"b":"c', {"a": {"b": "c"}}),
        ('{"a":1,}', {"a": 1}),
        ('{"a":1,"a":2}', {"a": 2}),
        ("[1]]", [1]),
    ],
)
def test_beginnings(text: str, partial: Any) -> None:
    assert parse_partial(text) == partial


@pytest.mark.parametrize("text", ["", "[1", '{"a":1', "[1]]", "[1,]", "tru", "NaN", '"\\ud800"', "{1:2}"])
def test_what_is_not_whole_is_missing(text: str) -> None:
    assert parse_whole(text) is MISSING


def test_what_is_too_deep_ends_there() -> None:
    assert parse_whole("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not MISSING
    assert parse_whole("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) is MISSING
    assert isinstance(parse_partial("[" * 100_000), list)
