"""Which messages a page shows: the latest that fit, and always one."""

from __future__ import annotations

from typing import Any

from webapp.web.windows import VISIBLE_CHARS, VISIBLE_MESSAGES, Window, opening, window


def messages(count: int, *, size: int = 10) -> list[dict[str, Any]]:
    return [{"id": f"m{n}", "parts": [{"type": "text", "content": "x" * size}]} for n in range(count)]


def ids(shown: Window | None) -> list[str]:
    assert shown is not None
    return [message["id"] for message in shown.messages]


def test_the_latest_are_shown() -> None:
    everything = messages(VISIBLE_MESSAGES + 2)
    shown = window(everything)
    assert ids(shown) == [message["id"] for message in everything[2:]]
    assert shown is not None
    assert shown.above is everything[1]


def test_windows_cover_everything_once() -> None:
    everything = messages(VISIBLE_MESSAGES * 2 + 7)
    seen: list[str] = []
    shown = window(everything)
    while shown is not None and shown.above is not None:
        seen = ids(shown) + seen
        shown = window(everything, before=seen[0])
    assert ids(shown) + seen == [message["id"] for message in everything]


def test_long_messages_make_a_short_page() -> None:
    assert len(ids(window(messages(50, size=VISIBLE_CHARS // 10)))) <= 10
    assert len(ids(window(messages(50, size=VISIBLE_CHARS * 2)))) == 1


def test_a_short_chat_is_shown_whole() -> None:
    shown = window(messages(3))
    assert ids(shown) == ["m0", "m1", "m2"]
    assert shown is not None
    assert shown.above is None
    assert ids(window([])) == []


def test_a_message_that_is_not_there() -> None:
    assert window(messages(3), before="m9") is None
    assert ids(window(messages(3), before="m0")) == []


def test_a_window_may_begin_at_a_message() -> None:
    everything = messages(VISIBLE_MESSAGES * 2)
    shown = window(everything, at="m3")
    assert ids(shown) == [message["id"] for message in everything[3 : VISIBLE_MESSAGES + 3]]
    assert shown is not None
    assert (shown.above, shown.below) == (everything[2], everything[VISIBLE_MESSAGES + 3])
    last = window(everything, at=f"m{VISIBLE_MESSAGES * 2 - 1}")
    assert len(ids(last)) == 1
    assert last is not None
    assert last.below is None
    assert window(everything, at="m-none") is None


def test_a_page_opens_at_what_was_read_last_if_what_is_new_begins_above_the_latest() -> None:
    everything = messages(VISIBLE_MESSAGES + 10)
    latest = ids(window(everything))
    assert ids(opening(everything, read_to="m5", me_id="p-ana"))[:2] == ["m5", "m6"]
    assert ids(opening(everything, read_to="m9", me_id="p-ana"))[0] == "m9", "the line is above the first"
    for read_to in (None, "m10", "m69", "unknown"):
        assert ids(opening(everything, read_to=read_to, me_id="p-ana")) == latest
    assert ids(opening([], read_to="m1", me_id="p-ana")) == []


def test_what_one_said_oneself_is_not_new() -> None:
    mine = [{**one, "metadata": {"participantId": "p-ana"}} for one in messages(VISIBLE_MESSAGES + 10)]
    assert ids(opening(mine, read_to="m5", me_id="p-ana")) == ids(window(mine))
    assert ids(opening(mine, read_to="m5", me_id="p-ben"))[0] == "m5"
