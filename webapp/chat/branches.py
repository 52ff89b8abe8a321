"""Which of several versions of a message or an answer somebody has before them.

A person's message says what it follows (``metadata.parentId``) and, if it is another version of an earlier
one, of which (``editOf``). An answer says its question (``parentId``) and its run; attempts of one agent at
one question are versions of one answer. Versions of the same thing are a *group*: a path through the
conversation has one of them, and of what follows the others nothing. The newest counts unless a choice says
otherwise.

Pure. ``static/js/branches.js`` is the same in JavaScript. Must not know who chose, nor what a reader sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from webapp.agents.base import UIMessage

Choices: TypeAlias = Mapping[str, str]
"""The version that is looked at, by group."""

_NONE: Choices = {}


class Placement(NamedTuple):
    """Where one message is: what it follows, and of what group it is which version."""

    parent: str | None
    group: str
    version: str


class Branches:
    """The tree that the messages of a chat make. ``messages`` are in the order of the log."""

    def __init__(self, messages: Sequence[UIMessage]) -> None:
        self._messages = messages
        self._roles = {message["id"]: message["role"] for message in messages}
        self._placed: dict[str, Placement] = {}
        self._versions: dict[str, dict[str, str]] = {}
        previous: str | None = None
        for message in messages:
            message_id = message["id"]
            self._placed[message_id] = placement = self._place(message, previous)
            _, group, version = placement
            versions = self._versions.get(group)
            if versions is None:
                self._versions[group] = {version: message_id}
            else:
                versions[version] = message_id
            previous = message_id

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._placed

    @property
    def forked(self) -> bool:
        """Whether there is anything to choose."""
        return any(len(versions) > 1 for versions in self._versions.values())

    def placement(self, message_id: str) -> Placement:
        return self._placed[message_id]

    def versions(self, group: str) -> list[str]:
        """The versions of the group, the oldest first."""
        return list(self._versions.get(group, ()))

    def last_of(self, message_id: str) -> str:
        """The last message of the version that the message belongs to."""
        placed = self._placed[message_id]
        return self._versions[placed.group][placed.version]

    def chosen(self, group: str, choices: Choices = _NONE) -> str:
        """The version of the group that counts."""
        versions = self._versions[group]
        wanted = choices.get(group, "")
        return wanted if wanted in versions else next(reversed(versions))

    def path(self, choices: Choices = _NONE) -> list[UIMessage]:
        """The messages on the path, in the order of the log."""
        shown: set[str] = set()
        path: list[UIMessage] = []
        for message in self._messages:
            parent, group, version = self._placed[message["id"]]
            alone = len(self._versions[group]) == 1
            if (parent is None or parent in shown) and (alone or version == self.chosen(group, choices)):
                shown.add(message["id"])
                path.append(message)
        return path

    def choices_of(self, message_id: str) -> dict[str, str]:
        """The choices that lead to the message, for every group that it or what it follows belongs to."""
        choices: dict[str, str] = {}
        current: str | None = message_id
        while current is not None:
            placed = self._placed[current]
            choices[placed.group] = placed.version
            current = placed.parent
        return choices

    def tip(self, choices: Choices = _NONE) -> str | None:
        """What a new message follows: the last answer to the last question on the path, or that question."""
        path = self.path(choices)
        asked = next((each["id"] for each in reversed(path) if each["role"] == "user"), None)
        if asked is None:
            return path[-1]["id"] if path else None
        return next((each["id"] for each in reversed(path) if self._turn(each["id"]) == asked), None)

    def _turn(self, message_id: str) -> str | None:
        """The person's message that it answers in the end, or is."""
        current: str | None = message_id
        while current is not None and self._roles[current] != "user":
            current = self._placed[current].parent
        return current

    def _place(self, message: UIMessage, previous: str | None) -> Placement:
        message_id, metadata = message["id"], _metadata(message)
        if message["role"] == "assistant":
            asked = self.known(metadata.get("parentId"))
            run = metadata.get("continues") or metadata.get("runId")
            if asked is not None and isinstance(run, str):
                return Placement(asked, f"{asked}/{metadata.get('agentId', '')}", run)
            return Placement(asked or previous, message_id, message_id)
        edited = self.known(metadata.get("editOf"))
        if edited is not None:
            original = self._placed[edited]
            return Placement(original.parent, original.group, message_id)
        follows = self.known(metadata.get("parentId")) or previous
        return Placement(follows, message_id, message_id)

    def known(self, message_id: object) -> str | None:
        """The id, if it is the id of a message so far."""
        return message_id if isinstance(message_id, str) and message_id in self._placed else None


def place(metadata: Mapping[str, Any], branches: Branches, choices: Choices) -> dict[str, Any]:
    """``parentId``, ``editOf`` (the first version) and ``choices`` of a new message, as far as they apply.

    ``metadata`` is what its client says of them. A client that does not say what was on its screen has seen
    the path of ``choices``; those that are not the default stay with the message, so that the path to it can
    be told later.
    """
    placed: dict[str, Any] = {}
    edited = branches.known(metadata.get("editOf"))
    if edited is not None:
        parent, placed["editOf"], _ = branches.placement(edited)
    else:
        parent = branches.known(metadata.get("parentId")) or branches.tip(choices)
    if parent is not None:
        placed["parentId"] = parent
    unusual = {group: version for group, version in choices.items() if _is_unusual(branches, group, version)}
    return {**placed, "choices": unusual} if unusual else placed


def _is_unusual(branches: Branches, group: str, version: str) -> bool:
    versions = branches.versions(group)
    return version in versions[:-1]


def _metadata(message: UIMessage) -> Mapping[str, Any]:
    found = message.get("metadata")
    return found if isinstance(found, dict) else {}
