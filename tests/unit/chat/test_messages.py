"""What counts as a message, and what is refused with which sentence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.chat.errors import InvalidMessage, TooLarge
from webapp.chat.messages import HUES, MAX_MESSAGE_BYTES, NewMessage, Role, hue, newest_user_message

IMAGE = {"type": "image", "source": {"type": "url", "value": "https://example.org/a.png"}}


def read(message: Any) -> NewMessage:
    return newest_user_message({"messages": [message]}, new_id=lambda: "made")


@pytest.mark.parametrize(
    "message",
    [
        {"id": "u1", "role": "user", "parts": [{"type": "text", "content": "Hi"}]},
        {"id": "u1", "role": "user", "content": "Hi"},
        {"id": "u1", "role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"id": "u1", "role": "user", "content": [{"type": "text", "content": "Hi"}]},
        {"id": "u1", "role": "user", "content": "ignored", "parts": [{"type": "text", "content": "Hi"}]},
    ],
    ids=["UIMessage", "ModelMessage", "AG-UI parts", "TanStack parts", "parts win"],
)
def test_every_shape_is_read(message: dict[str, Any]) -> None:
    assert read(message) == NewMessage("u1", "Hi")


def test_only_the_newest_user_message_counts() -> None:
    history = [
        {"id": "u1", "role": "user", "content": "First"},
        {"id": "a1", "role": "assistant", "parts": [{"type": "nonsense"}]},
        {"id": "u2", "role": "user", "content": "Second"},
        {"id": "a2", "role": "assistant", "content": ""},
    ]
    body = {"threadId": "c", "runId": "r", "messages": history, "tools": [], "state": {}}
    assert newest_user_message(body) == NewMessage("u2", "Second")


def test_the_size_of_the_history_does_not_count() -> None:
    history = [{"id": "u1", "role": "user", "content": "x" * MAX_MESSAGE_BYTES}]
    assert newest_user_message({"messages": [*history, {"role": "user", "content": "Hi"}]}).text == "Hi"


def test_a_missing_id_is_made() -> None:
    assert read({"role": "user", "content": "Hi"}).id == "made"
    one, other = (newest_user_message({"messages": [{"role": "user", "content": "Hi"}]}).id for _ in range(2))
    assert one != other


def test_several_texts_are_lines_and_media_are_kept() -> None:
    parts = [
        {"type": "text", "content": "a"},
        IMAGE | {"metadata": {"x": 1}},
        {"type": "text", "content": "b"},
    ]
    message = read({"id": "u1", "role": "user", "parts": parts, "metadata": {"draft": True}})
    assert message == NewMessage("u1", "a\nb", parts=(IMAGE,), metadata={"draft": True})


@pytest.mark.parametrize(
    "message",
    [
        None,
        "Hi",
        {},
        {"role": "assistant", "content": "Hi"},
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "user", "content": 5},
        {"role": "user", "content": ""},
        {"role": "user", "content": " \n\t "},
        {"role": "user", "parts": []},
        {"role": "user", "parts": [IMAGE]},
        {"role": "user", "parts": ["Hi"]},
        {"role": "user", "parts": [{"type": "text"}]},
        {"role": "user", "parts": [{"type": "text", "content": 5}]},
        {"role": "user", "parts": [{"type": "tool-result", "content": "x"}]},
        {"role": "user", "parts": [{"type": ["text"], "content": "x"}]},
        {"role": "user", "parts": [{"type": "text", "content": "x"}, {"type": "image", "source": "a.png"}]},
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "value": 1}}]},
        {"role": "user", "content": "Hi", "id": 5},
        {"role": "user", "content": "Hi", "id": "a b"},
        {"role": "user", "content": "Hi", "id": "."},
        {"role": "user", "content": "Hi", "id": ".."},
        {"role": "user", "content": "Hi", "id": "auto~1"},
        {"role": "user", "content": "Hi", "id": "é"},
        {"role": "user", "content": "Hi", "id": "u1\n"},
        {"role": "user", "content": "Hi", "id": "x" * 129},
        {"role": "user", "content": "\ud800"},
    ],
)
def test_what_is_no_message_is_refused_in_a_sentence(message: Any) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        read(message)
    assert refusal.value.sentence.endswith((".", "-"))


@pytest.mark.parametrize("body", [{}, {"messages": None}, {"messages": {}}, {"messages": []}, [], None])
def test_a_body_without_messages_is_refused(body: Any) -> None:
    with pytest.raises(InvalidMessage):
        newest_user_message(body)


def test_size_is_counted_in_bytes_of_json() -> None:
    with pytest.raises(TooLarge):
        read({"role": "user", "content": "é" * (MAX_MESSAGE_BYTES // 2)})
    assert read({"role": "user", "content": "x" * (MAX_MESSAGE_BYTES - 100)})


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
near_misses = st.fixed_dictionaries(
    {"role": st.just("user")},
    optional={"id": json_values, "content": json_values, "parts": json_values, "metadata": json_values},
)


@given(json_values | st.fixed_dictionaries({"messages": st.lists(near_misses | json_values)}))
def test_any_body_is_read_or_refused(body: Any) -> None:
    try:
        message = newest_user_message(body)
    except (InvalidMessage, TooLarge):
        return
    assert message.text.strip()
    assert message.id


def test_roles_include_the_ones_below() -> None:
    assert Role.VIEW < Role.CHAT < Role.APPROVE < Role.MANAGE


# tests/js/chat-reducer.test.js has the same.
@pytest.mark.parametrize(
    ("identity", "expected"), [("", 13), ("alice", 23), ("Zoë", 12), ("😀", 8), ("demo", 6)]
)
def test_hue_is_stable(identity: str, expected: int) -> None:
    assert hue(identity) == expected


def test_hues_are_all_used() -> None:
    assert {hue(f"participant-{number}") for number in range(500)} == set(range(HUES))
