"""A chat's title, from what was said first."""

from __future__ import annotations

import json

import pytest

from tests.support.agents import GOLDEN
from webapp.chat.titles import unmarked

CASES: list[tuple[str, str]] = [tuple(case) for case in json.loads((GOLDEN / "titles.json").read_text())]


@pytest.mark.parametrize(("text", "title"), CASES)
def test_a_title_has_no_marks(text: str, title: str) -> None:
    assert unmarked(text) == title


def test_a_long_text_is_not_looked_through() -> None:
    assert unmarked("word " * 200_000) == ("word " * 80).strip()
