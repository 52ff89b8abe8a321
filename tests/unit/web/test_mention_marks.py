"""Whom a message names is marked, in text and nowhere else."""

from __future__ import annotations

import pytest

from webapp.web.markdown import render_markdown
from webapp.web.mention_marks import MentionMarks

MARKS = MentionMarks(["demo", "Second Critic", "Tom & <b>"], me="Ana Otter")


def marked(text: str) -> str:
    return MARKS.mark(render_markdown(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@Demo, hello", ["@Demo"]),
        ("**@demo** and @second  critic.", ["@demo", "@second critic"]),
        ("(@demo)", ["@demo"]),
        ("@Tom & <b>!", ["@Tom &amp; &lt;b&gt;"]),
        ("me@demo.org, @demos, @demo-bot, @@demo", []),
        ("`@demo` and [@demo](https://demo.org)", []),
        ("> @demo\n\n```\n@demo\n```", []),
        ("> quoted\n\n@demo", ["@demo"]),
        ("nobody", []),
    ],
)
def test_marks(text: str, found: list[str]) -> None:
    html = marked(text)
    pieces = [piece.partition("</span>")[0] for piece in html.split('<span class="mention">')[1:]]
    assert [" ".join(piece.split()) for piece in pieces] == found
    assert html.replace('<span class="mention">', "").count("<span") == html.count('class="lang"')


def test_the_reader_is_marked_as_such() -> None:
    assert marked("Well, @ana otter?") == '<p>Well, <span class="mention me">@ana otter</span>?</p>'


def test_without_names_nothing_is_marked() -> None:
    html = render_markdown("@ @demo")
    assert MentionMarks([]).mark(html) == html
