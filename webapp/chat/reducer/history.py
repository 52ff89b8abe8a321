"""MESSAGES_SNAPSHOT: a whole conversation in one event, in AG-UI's shape, made into UIMessages.

AG-UI spreads a turn over several messages: reasoning before, tool results after the assistant's own. Here
they become parts of one message. Names and metadata that the event leaves out are kept. Pure: returns new
messages. ``static/js/chat-reducer-parts.js`` is the same in JavaScript.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from webapp.chat.reducer.parts import (
    Record,
    call_tool,
    end_arguments,
    give_result,
    merge_metadata,
    record,
    string,
)

_ROLES: Final = {"user": "user", "system": "system", "developer": "system"}


def read_history(given: list[Any], *, before: list[Record], new_id: Callable[[], str]) -> list[Record]:
    """The messages of the event ``{messages: given}``; ``before`` are the ones it replaces."""
    messages: dict[str, Record] = {}
    callers: dict[str, Record] = {}
    old = {message["id"]: message for message in before}
    for each in _records(given):
        message_id = string(each, "id") or new_id()
        if message_id in messages:
            continue
        if each.get("role") == "tool":
            holder = callers.get(string(each, "toolCallId")) or _last_answer(messages)
            if holder is not None:
                _read_result(holder, each)
                continue
        message = _read_message(message_id, each)
        if message["role"] == "assistant" and each.get("role") != "reasoning":
            message["parts"][:0] = _take_thoughts(messages)
        kept = {key: value for key, value in old.get(message_id, {}).items() if key in ("name", "metadata")}
        messages[message_id] = {**kept, **message}
        for part in message["parts"]:
            if part["type"] == "tool-call" and string(part, "id"):
                callers[part["id"]] = messages[message_id]
    return list(messages.values())


def _last_answer(messages: dict[str, Record]) -> Record | None:
    """The last message that a tool's result can join."""
    for message in reversed(messages.values()):
        lone_result = len(message["parts"]) == 1 and message["parts"][0]["type"] == "tool-result"
        if message["role"] == "assistant" and not lone_result:
            return message
    return None


def _take_thoughts(messages: dict[str, Record]) -> list[Record]:
    """The reasoning that led to the next answer: the messages at the end that are nothing but that."""
    thoughts: list[Record] = []
    while messages:
        message_id, message = messages.popitem()
        if not message["parts"] or any(part["type"] != "thinking" for part in message["parts"]):
            messages[message_id] = message
            break
        thoughts[:0] = message["parts"]
    return thoughts


def _read_message(message_id: str, given: Record) -> Record:
    said = string(given, "role")
    message: Record = {"id": message_id, "role": _ROLES.get(said, "assistant"), "parts": []}
    parts = message["parts"]
    if isinstance(given.get("parts"), list):
        parts += _parts(given["parts"])
    elif said == "tool":
        _read_result(message, given)
    elif said == "reasoning":
        parts.append({"type": "thinking", "content": string(given, "content"), "stepId": message_id})
    elif said in (message["role"], "developer"):
        if string(given, "content"):
            parts.append({"type": "text", "content": given["content"]})
        for part in _parts(given.get("content")):
            said_so = string(part, "text") or string(part, "content")
            parts.append({"type": "text", "content": said_so} if part["type"] == "text" else part)
        for call in _records(given.get("toolCalls")):
            function = record(call.get("function"))
            call_tool(message, string(call, "id"), string(function, "name"))
            parts[-1]["arguments"] = string(function, "arguments")
            end_arguments(parts[-1])
    if string(given, "name"):
        message["name"] = given["name"]
    merge_metadata(message, given.get("metadata"))
    return message


def _read_result(message: Record, given: Record) -> None:
    content = given.get("content")
    extra = {key: given[key] for key in ("id", "error") if string(given, key)}
    give_result(
        message,
        string(given, "toolCallId"),
        "" if content is None else content,
        failed="error" in extra,
        **extra,
    )


def _records(value: Any) -> list[Record]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _parts(value: Any) -> list[Record]:
    return [dict(part) for part in _records(value) if isinstance(part.get("type"), str)]
