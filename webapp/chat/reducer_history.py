"""MESSAGES_SNAPSHOT: a whole conversation in one event, in AG-UI's shape, made into UIMessages.

AG-UI spreads a turn over several messages: reasoning before, tool results after the assistant's own. Here they
become parts of the one message. What we know and the event does not say (names, metadata, the outcome of a tool)
is kept. Pure: returns new messages. ``static/js/chat-reducer-history.js`` is the same in JavaScript.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webapp.chat.partial_json import MISSING, parse_whole
from webapp.chat.reducer_parts import (
    Record,
    awaits_arguments,
    error_of,
    find,
    merge_metadata,
    read_output,
    record,
    string,
)


def read_history(given: Any, *, before: list[Record], new_id: Callable[[], str]) -> list[Record]:
    """The messages of the event ``{messages: given}``; ``before`` are the ones it replaces."""
    messages: dict[str, Record] = {}
    for each in given if isinstance(given, list) else []:
        if isinstance(each, dict):
            message = _read_message(each, string(each, "id") or new_id())
            messages.setdefault(message["id"], message)
    joined = _join_results(_join_reasoning(list(messages.values())), known=_calls(before))
    _settle_calls(joined, known=_calls(before))
    old = {message["id"]: message for message in before}
    for message in joined:
        for key in ("name", "metadata"):
            if key not in message and key in old.get(message["id"], {}):
                message[key] = old[message["id"]][key]
    return joined


def _read_message(given: Record, message_id: str) -> Record:
    role = string(given, "role")
    message: Record = {
        "id": message_id,
        "role": {"user": "user", "system": "system", "developer": "system"}.get(role, "assistant"),
        "parts": [],
    }
    if isinstance(given.get("parts"), list):
        message["parts"] = [dict(part) for part in given["parts"] if _is_part(part)]
    elif role == "tool":
        message["parts"] = [_read_result(given)]
    elif role == "reasoning":
        signature = string(given, "encryptedValue")
        part = {"type": "thinking", "content": string(given, "content"), "stepId": message_id}
        message["parts"] = [part | {"signature": signature} if signature else part]
    elif role in ("user", "assistant", "system", "developer"):
        message["parts"] = _read_content(given.get("content")) + _read_calls(given.get("toolCalls"))
    if string(given, "name"):
        message["name"] = given["name"]
    merge_metadata(message, given.get("metadata"))
    return message


def _is_part(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str)


def _read_content(content: Any) -> list[Record]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}] if content else []
    parts = [part for part in content if _is_part(part)] if isinstance(content, list) else []
    return [
        {"type": "text", "content": string(part, "text") or string(part, "content")}
        if part["type"] == "text"
        else dict(part)
        for part in parts
        if part["type"] != "binary"
    ]


def _read_calls(calls: Any) -> list[Record]:
    parts = []
    for call in calls if isinstance(calls, list) else []:
        function = record(record(call).get("function"))
        if not string(record(call), "id"):
            continue
        arguments = string(function, "arguments")
        part = {
            "type": "tool-call",
            "id": call["id"],
            "name": string(function, "name"),
            "arguments": arguments,
            "state": "input-complete",
        }
        value = parse_whole(arguments)
        parts.append(part if value is MISSING else part | {"input": value})
    return parts


def _read_result(given: Record) -> Record:
    part = {
        "type": "tool-result",
        "toolCallId": string(given, "toolCallId"),
        "content": given.get("content", ""),
        "state": "error" if string(given, "error") else "complete",
    }
    if string(given, "id"):
        part["id"] = given["id"]
    if string(given, "error"):
        part["error"] = given["error"]
    return part


def _consists_of(message: Record, *kinds: str) -> bool:
    parts = message["parts"]
    return message["role"] == "assistant" and bool(parts) and all(part["type"] in kinds for part in parts)


def _join_reasoning(messages: list[Record]) -> list[Record]:
    """Reasoning comes before the answer it led to, and joins it."""
    joined: list[Record] = []
    waiting: list[Record] = []
    for message in messages:
        if _consists_of(message, "thinking"):
            waiting.append(message)
            continue
        if message["role"] == "assistant" and not _consists_of(message, "tool-result", "ui-resource"):
            message["parts"][:0] = [part for each in waiting for part in each["parts"]]
        else:
            joined += waiting
        waiting = []
        joined.append(message)
    return joined + waiting


def _join_results(messages: list[Record], *, known: dict[str, Record]) -> list[Record]:
    """A tool's result joins the message with its call, else the last answer before it."""
    joined: list[Record] = []
    told = _calls(messages)
    for message in messages:
        results = [part for part in message["parts"] if part["type"] == "tool-result"]
        if len(results) != 1 or not _consists_of(message, "tool-result", "ui-resource"):
            joined.append(message)
            continue
        call = string(results[0], "toolCallId")
        earlier = list(reversed(joined))
        target = next(
            (each for each in earlier if find(each, "tool-call", "id", call)),
            next((each for each in earlier if _can_hold(each)), None),
        )
        if target is None:
            joined.append(message)
            continue
        if call not in told and call in known:
            target["parts"].append(dict(known[call]))
            told[call] = known[call]
        target["parts"] += message["parts"]
    return joined


def _can_hold(message: Record) -> bool:
    lone_result = len(message["parts"]) == 1 and message["parts"][0]["type"] == "tool-result"
    return message["role"] == "assistant" and not lone_result


def _settle_calls(messages: list[Record], *, known: dict[str, Record]) -> None:
    """Give calls the outcome that their results, or we, know of."""
    results = {
        string(part, "toolCallId"): part
        for message in messages
        for part in message["parts"]
        if part["type"] == "tool-result"
    }
    for call_id, call in _calls(messages).items():
        old = known.get(call_id, {})
        settled = "output" in old or old.get("state") in ("complete", "error")
        open_still = call.get("state") == "input-complete" or awaits_arguments(call)
        if settled and ("output" not in call or open_still):
            call |= {key: old[key] for key in ("output", "state", "approval", "metadata") if key in old}
        if call_id in results and "output" not in call:
            output = read_output(results[call_id].get("content", ""))
            failed = results[call_id].get("state") == "error"
            call["output"] = {"error": error_of(output)} if failed else output
            call["state"] = "error" if failed else "complete"


def _calls(messages: list[Record]) -> dict[str, Record]:
    return {
        string(part, "id"): part
        for message in messages
        for part in message["parts"]
        if part.get("type") == "tool-call"
    }
