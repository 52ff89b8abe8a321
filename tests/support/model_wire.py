"""What models say, and how OpenAI's two interfaces and Anthropic's spell it.

Owns the wire formats, as server-sent events. Must not know sockets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

INPUT_TOKENS = 11
OUTPUT_TOKENS = 7


@dataclass(frozen=True, slots=True)
class Text:
    delta: str


@dataclass(frozen=True, slots=True)
class Thought:
    delta: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call, its arguments in the pieces in which they come."""

    name: str
    arguments: tuple[str, ...]
    id: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that are no part of the format."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing more comes, and the connection stays open until the other side has enough of it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends here."""


@dataclass(frozen=True, slots=True)
class End:
    """The answer ends here as if it were whole, as behind a proxy that has lost the model."""


Spoken: TypeAlias = Text | Thought | Call
Piece: TypeAlias = Spoken | Raw | Hang | Cut | End
Step: TypeAlias = bytes | Hang | Cut | End


def openai_chat(pieces: Sequence[Piece], finish: str) -> Iterator[Step]:
    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return _data({**head, "choices": choices})

    head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    calls = 0
    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces:
        match piece:
            case Text(delta):
                yield chunk({"content": delta})
            case Thought(delta):
                yield chunk({"reasoning_content": delta})
            case Call(name, arguments, id):
                named = {"id": id, "type": "function", "function": {"name": name, "arguments": ""}}
                yield chunk({"tool_calls": [{"index": calls, **named}]})
                for each in arguments:
                    yield chunk({"tool_calls": [{"index": calls, "function": {"arguments": each}}]})
                calls += 1
            case _:
                yield _step(piece)
    yield chunk({}, "tool_calls" if calls else finish)
    usage = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": 18}
    yield _data({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def anthropic(pieces: Sequence[Piece], finish: str) -> Iterator[Step]:
    index = -1
    block = ""
    calls = False
    message: dict[str, Any] = {
        "id": "msg-1",
        "type": "message",
        "role": "assistant",
        "model": "fake",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1},
    }
    yield _typed("message_start", message=message)

    def begin(kind: str, **fields: Any) -> Iterator[bytes]:
        nonlocal index, block
        if kind == block and kind != "tool_use":
            return
        yield from end()
        index, block = index + 1, kind
        yield _typed("content_block_start", index=index, content_block={"type": kind, **fields})

    def end() -> Iterator[bytes]:
        nonlocal block
        if block == "thinking":
            signed = {"type": "signature_delta", "signature": "c2lnbmVk"}
            yield _typed("content_block_delta", index=index, delta=signed)
        if block:
            yield _typed("content_block_stop", index=index)
        block = ""

    for piece in pieces:
        match piece:
            case Text(delta):
                yield from begin("text", text="")
                said = {"type": "text_delta", "text": delta}
                yield _typed("content_block_delta", index=index, delta=said)
            case Thought(delta):
                yield from begin("thinking", thinking="", signature="")
                thought = {"type": "thinking_delta", "thinking": delta}
                yield _typed("content_block_delta", index=index, delta=thought)
            case Call(name, arguments, id):
                calls = True
                yield from begin("tool_use", id=id, name=name, input={})
                for each in arguments:
                    part = {"type": "input_json_delta", "partial_json": each}
                    yield _typed("content_block_delta", index=index, delta=part)
            case _:
                yield _step(piece)
    yield from end()
    reason = "tool_use" if calls else {"stop": "end_turn", "length": "max_tokens"}[finish]
    stopped = {"stop_reason": reason, "stop_sequence": None}
    yield _typed("message_delta", delta=stopped, usage={"output_tokens": OUTPUT_TOKENS})
    yield _typed("message_stop")


def openai_responses(pieces: Sequence[Piece], finish: str) -> Iterator[Step]:
    """Text and tool calls; each piece of text is a message of its own."""
    output: list[dict[str, Any]] = []
    response = {
        "id": "resp-1",
        "object": "response",
        "created_at": 1,
        "model": "fake",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    yield _typed("response.created", response={**response, "status": "in_progress"})
    for index, piece in enumerate(pieces):
        at = {"output_index": index, "item_id": f"item-{index}"}
        item: dict[str, Any] = {"id": at["item_id"]}
        match piece:
            case Text(delta):
                item |= {"type": "message", "role": "assistant", "content": []}
                yield _typed("response.output_item.added", **at, item={**item, "status": "in_progress"})
                part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": []}
                yield _typed("response.content_part.added", **at, content_index=0, part=part)
                yield _typed("response.output_text.delta", **at, content_index=0, delta=delta, logprobs=[])
                item["content"] = [{**part, "text": delta}]
            case Call(name, arguments, id):
                item |= {"type": "function_call", "call_id": id, "name": name, "arguments": ""}
                yield _typed("response.output_item.added", **at, item={**item, "status": "in_progress"})
                for each in arguments:
                    yield _typed("response.function_call_arguments.delta", **at, delta=each)
                item["arguments"] = "".join(arguments)
            case Thought():
                raise AssertionError("this wire is not asked for thoughts: OpenAI keeps them to itself")
            case _:
                yield _step(piece)
                continue
        output.append({**item, "status": "completed"})
        yield _typed("response.output_item.done", **at, item=output[-1])
    usage = {
        "input_tokens": INPUT_TOKENS,
        "output_tokens": OUTPUT_TOKENS,
        "total_tokens": 18,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    yield _typed("response.completed", response={**response, "status": "completed", "usage": usage})


DIALECTS: Mapping[str, Callable[[Sequence[Piece], str], Iterator[Step]]] = {
    "/v1/chat/completions": openai_chat,
    "/v1/messages": anthropic,
    "/v1/responses": openai_responses,
}
"""By the path they are asked at."""


def _step(piece: Piece) -> Step:
    assert isinstance(piece, Raw | Hang | Cut | End)
    return piece.data if isinstance(piece, Raw) else piece


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _typed(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\n".encode() + _data({"type": kind, **fields})
