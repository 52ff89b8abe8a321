"""What an agent is shown."""

from __future__ import annotations

from typing import Any

from webapp.chat.prompt import prompt


def asked(id: str) -> dict[str, Any]:
    return {"id": id, "role": "user", "parts": [], "metadata": {"participantId": "ana"}}


def answered(id: str, parent: str | None) -> dict[str, Any]:
    metadata = {"parentId": parent} if parent else {}
    return {"id": id, "role": "assistant", "parts": [], "metadata": metadata}


def ids(messages: list[dict[str, Any]], trigger: str) -> list[str]:
    return [message["id"] for message in prompt(messages, trigger)]


def test_a_plain_conversation() -> None:
    talk = [asked("1"), answered("a1", "1"), asked("2")]
    assert ids(talk, "2") == ["1", "a1", "2"]


def test_an_answer_that_came_after_the_next_question_stands_with_its_own() -> None:
    talk = [asked("1"), asked("2"), asked("3"), answered("a1", "1"), answered("a2", "2")]
    assert ids(talk, "2") == ["1", "a1", "2"]
    assert ids(talk, "3") == ["1", "a1", "2", "a2", "3"]


def test_another_attempt_does_not_see_the_one_before() -> None:
    talk = [asked("1"), answered("a1", "1"), asked("2"), answered("a2", "2")]
    assert ids(talk, "1") == ["1"]
    assert ids(talk, "2") == ["1", "a1", "2"]


def test_messages_of_strangers_stay_where_they_are() -> None:
    talk = [
        {"id": "s", "role": "system", "parts": []},
        answered("a0", None),
        asked("1"),
        answered("a1", "nowhere"),
        asked("2"),
    ]
    assert ids(talk, "2") == ["s", "a0", "1", "a1", "2"]


def test_an_unknown_trigger_has_no_prompt() -> None:
    assert prompt([asked("1")], "2") == []


def test_a_run_that_goes_on_sees_what_it_had_said_after_the_question() -> None:
    begun = answered("a1", "1") | {"metadata": {"parentId": "1", "runId": "r1"}}
    talk = [asked("1"), begun, asked("2"), answered("a2", "2")]
    assert [message["id"] for message in prompt(talk, "1", continues=["r1"])] == ["1", "a1"]
