"""Which versions are on a path. The cases are also run by ``tests/js/branches.test.js``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.chat.branches import Branches, place
from webapp.chat.prompt import prompt

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "golden" / "branches" / "cases.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    branches = Branches(case["messages"])
    assert [message["id"] for message in branches.path(case["choices"])] == case["path"]
    assert branches.tip(case["choices"]) == case["tip"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_message_is_on_the_path_that_leads_to_it(case: dict[str, Any]) -> None:
    branches = Branches(case["messages"])
    for message in case["messages"]:
        path = branches.path(branches.choices_of(message["id"]))
        assert message in path


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Any log: people and agents who follow, edit and answer whatever came before, or what never did."""
    messages: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 12))):
        ids = st.sampled_from([*(message["id"] for message in messages), "nowhere", None])
        role = draw(st.sampled_from(["user", "assistant", "system"]))
        metadata = {
            "parentId": draw(ids),
            "editOf": draw(ids) if role == "user" else None,
            "runId": draw(st.sampled_from(["r1", "r2", "r3"])),
            "agentId": draw(st.sampled_from(["demo", "critic"])),
        }
        told = {key: value for key, value in metadata.items() if value is not None}
        messages.append({"id": f"m{number}", "role": role, "parts": [], "metadata": told})
    return messages


@given(logs(), st.dictionaries(st.sampled_from(["m0", "m1", "m0/demo"]), st.sampled_from(["m0", "m2", "r1"])))
def test_a_path_has_one_version_of_each_thing_and_what_it_follows(
    messages: list[dict[str, Any]], choices: dict[str, str]
) -> None:
    branches = Branches(messages)
    path = [message["id"] for message in branches.path(choices)]
    versions: dict[str, str] = {}
    for message_id in path:
        placed = branches.placement(message_id)
        assert placed.parent is None or placed.parent in path
        assert versions.setdefault(placed.group, placed.version) == placed.version
    assert branches.tip(choices) in {*path, None}


@given(logs())
def test_every_message_of_a_log_can_be_reached(messages: list[dict[str, Any]]) -> None:
    branches = Branches(messages)
    for message in messages:
        assert message in branches.path(branches.choices_of(message["id"]))


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [message["id"] for message in messages]


def case(name: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = next(each["messages"] for each in CASES if each["name"] == name)
    return messages


def test_an_agent_is_told_the_path_to_what_it_answers() -> None:
    messages = case("what is written on the old branch meanwhile stays there")
    assert ids(prompt(messages, "3")) == ["1", "a1", "2", "a2", "3"]
    assert ids(prompt(messages, "1b")) == ["1b"]


def test_an_agent_is_told_the_answer_that_the_sender_saw() -> None:
    messages = case("another answer takes the place of the first, and of what followed that")
    assert ids(prompt(messages, "2")) == ["1", "a1", "2"]
    later = {"id": "3", "role": "user", "parts": [], "metadata": {"parentId": "a1b"}}
    assert ids(prompt([*messages, later], "3")) == ["1", "a1b", "3"]


def test_what_else_the_sender_had_chosen_stays_with_the_message() -> None:
    messages = case("two agents answer side by side")
    placed = place({"parentId": "a1"}, Branches(messages), {"1/critic": "r2"})
    assert placed == {"parentId": "a1", "choices": {"1/critic": "r2"}}
    later = {"id": "2", "role": "user", "parts": [], "metadata": placed}
    assert ids(prompt([*messages, later], "2")) == ["1", "a1", "b1", "2"]


def test_a_message_is_placed_where_its_sender_was() -> None:
    branches = Branches(case("of an edited message the newest version and what follows it"))
    assert place({}, branches, {}) == {"parentId": "a1b"}
    assert place({}, branches, {"1": "1"}) == {"parentId": "a2", "choices": {"1": "1"}}
    assert place({"parentId": "a1"}, branches, {}) == {"parentId": "a1"}
    assert place({"parentId": "nowhere"}, branches, {}) == {"parentId": "a1b"}
    assert place({"editOf": "2", "parentId": "a1b"}, branches, {}) == {"editOf": "2", "parentId": "a1"}
    assert place({"editOf": "1"}, branches, {}) == {"editOf": "1"}
    assert place({"editOf": 7, "parentId": ["a1"]}, branches, {}) == {"parentId": "a1b"}
