"""Whom a text names."""

from __future__ import annotations

import time
import unicodedata

import pytest

from webapp.chat.mentions import mentioned

NAMES = {
    name: who
    for who, called in {
        "demo": ("demo", "Demo"),
        "critic": ("critic", "Critic"),
        "two": ("critic-2", "Critic Two"),
        "zoe": ("zoe", "Zoë"),
    }.items()
    for name in called
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@Demo hello", ["demo"]),
        ("hello, @demo.", ["demo"]),
        ("@DEMO", ["demo"]),
        ("(@demo)", ["demo"]),
        ("**@Demo**: go", ["demo"]),
        ("@demo’s answer", ["demo"]),
        ("What do you say, @Critic?", ["critic"]),
        ("@critic @demo @critic", ["critic", "demo"]),
        ("@Critic Two, please", ["two"]),
        ("@critic\ttwo", ["two"]),
        ("@critic-2!", ["two"]),
        ("@Critic Twofold", ["critic"]),
        ("@Zoë", ["zoe"]),
        (unicodedata.normalize("NFD", "@Zoë"), ["zoe"]),
        ("line\n@demo", ["demo"]),
        ("demo, critic", []),
        ("@demos", []),
        ("@demo_1", []),
        ("@demo-bot", []),
        ("me@demo and me@critic.org", []),
        ("a@demo", []),
        ("see @demo.org", []),
        ("https://site.org/@demo", []),
        ("@@demo", []),
        ("`@demo`", []),
        ("``a ` @demo``, @critic", ["critic"]),
        ("` @demo", ["demo"]),
        ("`` @demo `", ["demo"]),
        ("one `a\n\n@demo ` b", ["demo"]),
        ("```\n@demo\n```\n@critic", ["critic"]),
        ("~~~py\n@demo\n```\n~~~\n@critic", ["critic"]),
        ("```\n@demo", []),
        ("``` @demo ```", []),
        ("> @demo said\n\n@critic", ["critic"]),
        ("", []),
        ("@", []),
    ],
)
def test_mentions(text: str, found: list[str]) -> None:
    assert mentioned(text, NAMES) == found


def test_a_name_is_no_pattern() -> None:
    assert mentioned("@a.b and @axb", {"a.b": 1, "(": 2}) == [1]  # type: ignore[dict-item, comparison-overlap]
    assert mentioned("@demo", {}) == []
    assert mentioned("@ ", {" ": "blank"}) == []


@pytest.mark.parametrize(
    "text",
    [
        "`" * 250_000,
        "".join("`" * n + " " for n in range(700)),
        "` " * 120_000,
        "@" * 250_000,
        "@critic " * 30_000,
        "> " * 120_000,
        "```\n" * 60_000,
        ("a" * 10 + "\n") * 20_000,
    ],
    ids=len,
)
def test_the_largest_message_takes_no_time(text: str) -> None:
    start = time.process_time()
    mentioned(text + " @demo", NAMES)
    assert time.process_time() - start < 2
