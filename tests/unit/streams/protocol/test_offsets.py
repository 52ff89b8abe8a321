"""Offsets: their wire form, their order, and what is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.streams.protocol import offsets
from webapp.streams.protocol.errors import InvalidRequest
from webapp.streams.protocol.offsets import START, Offset, Tail

numbers = st.integers(0, 10**16 - 1)
any_offset = st.builds(Offset, numbers, numbers)


@given(any_offset)
def test_the_wire_form_reads_back(offset: Offset) -> None:
    assert offsets.parse(str(offset)) == offset


@given(any_offset, any_offset)
def test_string_order_is_stream_order(one: Offset, other: Offset) -> None:
    assert (one < other) == (str(one) < str(other))


def test_the_sentinels() -> None:
    assert offsets.parse("-1") == START
    assert offsets.parse("now") is Tail.NOW
    assert str(START) == "0000000000000000_0000000000000000"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "1", "-2", "NOW", "0_0", "a" * 33, "0000000000000001_000000000000000",
        "0000000000000001_0000000000000001\n", "0000000000000001_0000000000000001,", "../x",
        "0000000000000001_000000000000000\u0661", "+000000000000001_0000000000000001",
        "0000000000000001\x000",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        offsets.parse(text)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        where = offsets.parse(text)
    except InvalidRequest:
        return
    assert where in (START, Tail.NOW) or str(where) == text
