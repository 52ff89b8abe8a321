"""The parts of one message: what each kind of event does to them.

Parts are TanStack AI's: ``text``, ``thinking``, ``tool-call``, ``tool-result``, ``structured-output``, media
and ``ui-resource``. Functions change the message they are given; whose it is, is the reducer's affair. Must
not know runs or other messages. ``static/js/chat-reducer-parts.js`` is the same in JavaScript.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from webapp.chat.reducer.partial_json import MISSING, parse_partial, parse_whole

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
    last = message["parts"][-1] if message["parts"] else {}
    _extend(last if last.get("type") == "text" else _push(message, {"type": "text"}), "content", delta)


def replace_text(message: Record, text: str) -> None:
    """All its text is now this, where the first of it was."""
    texts = [part for part in message["parts"] if part.get("type") == "text"]
    first = texts[0] if texts else _push(message, {"type": "text"})
    first["content"] = text
    message["parts"] = [part for part in message["parts"] if part is first or part.get("type") != "text"]


def think(message: Record, step: str, delta: str, signature: str = "") -> None:
    """Add to the thinking of one step, beginning it if need be."""
    part = find(message, "thinking", "stepId", step) or _push(message, {"type": "thinking", "stepId": step})
    _extend(part, "content", delta)
    if signature:
        part["signature"] = signature


def call_tool(message: Record, call: str, name: str, metadata: Any = None) -> None:
    part = {"type": "tool-call", "id": call, "name": name, "arguments": "", "state": "awaiting-input"}
    _push(message, part if metadata is None else part | {"metadata": metadata})


def add_arguments(part: Record, delta: str) -> None:
    _extend(part, "arguments", delta)
    if delta and part.get("state") == "awaiting-input":
        part["state"] = "input-streaming"


def awaits_arguments(part: Record) -> bool:
    return part.get("type") == "tool-call" and part.get("state") in _WAITING


def end_arguments(part: Record, given: Any = None) -> None:
    """No more arguments will come. ``given`` is the producer's own reading of them and outranks ours.

    Ours is a strict one: half an argument would look like a whole one.
    """
    if given is not None:
        part["arguments"] = string(part, "arguments") or stringify(given)
    if part.get("state") in _WAITING:
        part["state"] = "input-complete"
    value = parse_whole(string(part, "arguments")) if given is None else given
    if value is not MISSING:
        part["input"] = value


def request_approval(part: Record, approval: str) -> None:
    part["state"] = "approval-requested"
    part["approval"] = {"id": approval, "needsApproval": True}


def decide(part: Record, approved: bool) -> None:
    """Somebody has answered the question that the call waits for."""
    part["approval"] = {**record(part.get("approval")), "approved": approved}
    if part.get("state") == "approval-requested":
        part["state"] = "approval-responded"


def time(part: Record, key: str, event: Record) -> None:
    """Note when a call of ours was complete, or its result. An event that names no run is nobody's."""
    at = event.get("timestamp")
    if string(event, "runId") and isinstance(at, int | float) and not isinstance(at, bool):
        part[key] = at


def give_result(message: Record, call: str, content: Any, *, failed: bool, **extra: Any) -> None:
    """A tool has answered: its call gets the output, and a ``tool-result`` part says it for the model.

    The output is the JSON that the content spells, else the content itself.
    """
    value = parse_whole(content) if isinstance(content, str) else MISSING
    output = content if value is MISSING else value
    state = "error" if failed else "complete"
    part = find(message, "tool-call", "id", call)
    if part is not None:
        part |= {"output": output, "state": state}
    result = {"type": "tool-result", "toolCallId": call, "content": content, "state": state}
    if failed:
        error = output if isinstance(output, str) else string(record(output), "error")
        result["error"] = error or "Tool execution failed"
    _put(message, find(message, "tool-result", "toolCallId", call), result | extra)


def append_structured(message: Record, delta: str) -> None:
    part = _begin_structured(message)
    part["status"] = "streaming"
    _extend(part, "raw", delta)


def read_structured(message: Record) -> None:
    """Bring ``partial`` up to date. Done when somebody looks, not at each delta: that would be quadratic."""
    part = _structured(message)
    value = MISSING if part is None else parse_partial(string(part, "raw"))
    if part is not None and value is not MISSING and value is not None:
        part["partial"] = value


def complete_structured(message: Record, value: Record) -> None:
    """``value`` is ``{object, raw?, reasoning?}``."""
    old = _structured(message)
    raw = string(value, "raw") or string(old or {}, "raw")
    part = {"type": "structured-output", "status": "complete", "raw": raw}
    if "object" in value:
        part |= {"data": value["object"], "partial": value["object"]}
        part["raw"] = raw or stringify(value["object"])
    if string(value, "reasoning"):
        part["reasoning"] = value["reasoning"]
    _put(message, old, part)


def fail_structured(message: Record, sentence: str) -> None:
    """It will not be completed. One that is complete stays so."""
    part = _begin_structured(message)
    if part.get("status") != "complete":
        part |= {"status": "error", "errorMessage": sentence}


def _structured(message: Record) -> Record | None:
    return next((part for part in message["parts"] if part.get("type") == "structured-output"), None)


def _begin_structured(message: Record) -> Record:
    return _structured(message) or _push(
        message, {"type": "structured-output", "status": "streaming", "raw": ""}
    )


def stringify(value: Any) -> str:
    """``value`` as JavaScript's JSON.stringify writes it: ``1.0`` is ``1``."""
    return msgspec.json.encode(whole_numbers(value)).decode()


def whole_numbers(value: Any) -> Any:
    """``value`` with integers for floats that are whole, as JavaScript has no others."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {key: whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return value


def _push(message: Record, part: Record) -> Record:
    message["parts"].append(part)
    return part


def _put(message: Record, old: Record | None, part: Record) -> None:
    """``part`` in the place of ``old``, or at the end."""
    if old is None:
        message["parts"].append(part)
    else:
        old.clear()
        old.update(part)


def _extend(part: Record, key: str, delta: str) -> None:
    # With no second reference to it, CPython grows a string in place; two would make every delta copy it.
    text = string(part, key)
    part[key] = ""
    text += delta
    part[key] = text
