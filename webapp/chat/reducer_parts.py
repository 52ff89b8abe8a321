"""The parts of one message: what each kind of event does to them.

Parts are TanStack AI's: ``text``, ``thinking``, ``tool-call``, ``tool-result``, ``structured-output``, media and
``ui-resource``. Functions change the message they are given; whose it is, is the reducer's affair. Must not know
runs or other messages. ``static/js/chat-reducer-parts.js`` is the same in JavaScript.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from webapp.chat.partial_json import MISSING, parse_partial, parse_whole

Record = dict[str, Any]

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_WAITING: Final = ("awaiting-input", "input-streaming")


def string(record: Record, key: str) -> str:
    """The string at ``key``; empty if there is none."""
    value = record.get(key)
    return value if isinstance(value, str) else ""


def record(value: Any) -> Record:
    """The JSON object ``value``; empty if it is none."""
    return value if isinstance(value, dict) else {}


def tanstack(event: Record) -> Record:
    """What TanStack servers put into ``metadata.tanstack`` because AG-UI has no field for it."""
    return record(record(event.get("metadata")).get("tanstack"))


def find(message: Record, kind: str, key: str, value: str) -> Record | None:
    """The last part of this kind whose ``key`` is ``value``."""
    for part in reversed(message["parts"]):
        if part.get("type") == kind and part.get(key) == value:
            return part  # type: ignore[no-any-return]
    return None


def merge_metadata(message: Record, incoming: Any) -> None:
    """Lay ``incoming`` over the message's metadata; ``tanstack`` is merged one level deeper.

    Its ``content`` and ``args`` repeat what the event itself says; its ``createdAt`` is a field of TanStack's
    messages and not of ours.
    """
    if not isinstance(incoming, dict):
        return
    before = record(message.get("metadata"))
    merged = {**before, **incoming}
    if isinstance(incoming.get("tanstack"), dict):
        kept = {k: v for k, v in incoming["tanstack"].items() if k not in ("content", "args", "createdAt")}
        merged["tanstack"] = {**record(before.get("tanstack")), **kept}
    message["metadata"] = merged


def is_blank(message: Record) -> bool:
    """Whether there is nothing in it but white space. A message without parts is not blank but unbegun."""
    return bool(message["parts"]) and all(
        part.get("type") == "text" and _BLANK.fullmatch(string(part, "content")) for part in message["parts"]
    )


def append_text(message: Record, delta: str) -> None:
    last = message["parts"][-1] if message["parts"] else None
    if last and last.get("type") == "text":
        _extend(last, "content", delta)
    else:
        message["parts"].append({"type": "text", "content": delta})


def think(message: Record, step: str, delta: str, signature: str = "") -> None:
    """Add to the thinking of one step, beginning it if need be."""
    part = find(message, "thinking", "stepId", step)
    if part is None:
        part = {"type": "thinking", "content": "", "stepId": step}
        message["parts"].append(part)
    _extend(part, "content", delta)
    if signature:
        part["signature"] = signature


def call_tool(message: Record, call: str, name: str, metadata: Any = None) -> None:
    part = {"type": "tool-call", "id": call, "name": name, "arguments": "", "state": "awaiting-input"}
    if metadata is not None:
        part["metadata"] = metadata
    message["parts"].append(part)


def add_arguments(part: Record, delta: str) -> None:
    _extend(part, "arguments", delta)
    if delta and part.get("state") == "awaiting-input":
        part["state"] = "input-streaming"


def awaits_arguments(part: Record) -> bool:
    return part.get("type") == "tool-call" and part.get("state") in _WAITING


def end_arguments(part: Record, given: Any = MISSING) -> None:
    """No more arguments will come. ``given`` is the producer's own reading of them and outranks ours.

    Ours is a strict one: half an argument would look like a whole one.
    """
    if given is not MISSING and not string(part, "arguments"):
        part["arguments"] = stringify(given)
    if part.get("state") in _WAITING:
        part["state"] = "input-complete"
    value = parse_whole(string(part, "arguments")) if given is MISSING else given
    if value is not MISSING:
        part["input"] = value


def request_approval(part: Record, approval: str) -> None:
    part["state"] = "approval-requested"
    part["approval"] = {"id": approval, "needsApproval": True}


def give_result(message: Record, call: str, content: Any, *, failed: bool) -> None:
    """A tool has answered: its call gets the output, and a ``tool-result`` part says it for the model."""
    output = read_output(content)
    part = find(message, "tool-call", "id", call)
    if part is not None:
        part["output"] = output
        part["state"] = "error" if failed else "complete"
    result = {"type": "tool-result", "toolCallId": call, "content": content}
    result |= {"state": "error", "error": error_of(output)} if failed else {"state": "complete"}
    old = find(message, "tool-result", "toolCallId", call)
    if old is None:
        message["parts"].append(result)
    else:
        old.clear()
        old.update(result)


def read_output(content: Any) -> Any:
    """What a tool's content means: the JSON it spells, else the content itself."""
    value = parse_whole(content) if isinstance(content, str) else MISSING
    return content if value is MISSING else value


def error_of(output: Any) -> str:
    return (output if isinstance(output, str) else string(record(output), "error")) or "Tool execution failed"


def structured(message: Record) -> Record | None:
    return next((part for part in message["parts"] if part.get("type") == "structured-output"), None)


def append_structured(message: Record, delta: str) -> None:
    part = structured(message)
    if part is None:
        part = {"type": "structured-output", "status": "streaming", "raw": ""}
        message["parts"].append(part)
    part["status"] = "streaming"
    _extend(part, "raw", delta)


def read_structured(message: Record) -> None:
    """Bring ``partial`` up to date. Done when somebody looks, not at each delta: that would be quadratic."""
    part = structured(message)
    value = MISSING if part is None else parse_partial(string(part, "raw"))
    if part is not None and value is not MISSING and value is not None:
        part["partial"] = value


def complete_structured(message: Record, value: Record) -> None:
    """``value`` is ``{object, raw?, reasoning?}``."""
    part = structured(message)
    if part is None:
        part = {"type": "structured-output"}
        message["parts"].append(part)
    raw = string(value, "raw") or string(part, "raw")
    part.clear()
    part |= {"type": "structured-output", "status": "complete", "raw": raw}
    if "object" in value:
        part |= {"data": value["object"], "partial": value["object"]}
        part["raw"] = raw or stringify(value["object"])
    if string(value, "reasoning"):
        part["reasoning"] = value["reasoning"]


def fail_structured(message: Record, sentence: str) -> None:
    """It will not be completed. One that is complete stays so."""
    part = structured(message)
    if part is None:
        part = {"type": "structured-output", "raw": ""}
        message["parts"].append(part)
    if part.get("status") != "complete":
        part |= {"status": "error", "errorMessage": sentence}


def stringify(value: Any) -> str:
    """``value`` as JavaScript's JSON.stringify writes it: ``1.0`` is ``1``."""
    return msgspec.json.encode(_whole_numbers(value)).decode()


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return value


def _extend(part: Record, key: str, delta: str) -> None:
    # With no second reference to it, CPython grows a string in place; two would make every delta copy it.
    text = string(part, key)
    part[key] = ""
    text += delta
    part[key] = text
