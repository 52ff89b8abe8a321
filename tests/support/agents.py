"""Agents for tests, to be named as ``DURABLE_CHAT_AGENT=tests.support.agents:<name>``."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from webapp.agents.base import AgentTurn, Event
from webapp.agents.pieces import Piece
from webapp.agents.scripted import DemoAgent, EchoAgent

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def odd_pieces(text: str, rng: random.Random) -> Iterator[str]:
    """Cut ``text`` at arbitrary places: single characters, halves of words, whole lines."""
    start = 0
    while start < len(text):
        size = rng.choice((1, 2, 3, 5, 8, 13, 40))
        yield text[start : start + size]
        start += size


class Recite:
    """Answers ``recite FOLDER/FILE SEED [PAUSE]`` with that file of ``tests/golden``, in odd pieces.

    Any other text is recited itself. ``PAUSE`` is in milliseconds per piece.
    """

    id = "recite"
    name = "Recite"

    async def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        words = turn.text.split()
        text, seed, pause = turn.text, "0", 0.0
        if words and words[0] == "recite":
            text, seed = (GOLDEN / words[1]).read_text(), words[2]
            pause = float(words[3]) / 1000 if len(words) > 3 else 0.0
        message_id = f"{turn.run_id}-answer"
        yield {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"}
        for piece in odd_pieces(text, random.Random(seed)):
            yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": piece}
            await asyncio.sleep(pause)
        yield {"type": "TEXT_MESSAGE_END", "messageId": message_id}


class Postman:
    """``send A B`` asks whether it may post each, and writes into the file ``POSTMAN_LOG`` what it posts.

    ``hold A`` does too, and never comes back from posting it. ``wait`` answers once there is a file
    ``POSTMAN_GO``; ``tools N`` calls so many tools in a row.
    """

    id = "postman"
    name = "Postman"

    async def run(self, turn: AgentTurn) -> AsyncIterator[Piece]:
        command, *things = turn.text.split()
        match command:
            case "tools":
                for number in range(int(things[0])):
                    for event in _call(f"{turn.run_id}-{number}", "look", {"at": number}):
                        yield event
                    yield _result(f"{turn.run_id}-{number}", "nothing")
                yield "I looked."
            case "wait":
                while not os.path.exists(os.environ["POSTMAN_GO"]):  # noqa: ASYNC110, ASYNC240
                    await asyncio.sleep(0.02)
                yield "Here I am."
            case _ if turn.resume:
                for thing, answer in zip(things, turn.resume, strict=True):
                    payload = answer["payload"]
                    if not payload["approved"]:
                        continue
                    posted = (payload.get("editedArgs") or {"what": thing})["what"]
                    _write_down(posted)
                    if command == "hold":
                        await asyncio.Event().wait()
                    yield _result(answer["interruptId"], f"posted {posted}")
                yield "That is that."
            case _:
                yield "May I?"
                asks = []
                for thing in things:
                    call_id = f"{turn.run_id}-{thing}"
                    for event in _call(call_id, "post", {"what": thing}):
                        yield event
                    asks.append({"id": call_id, "reason": "tool_call", "toolCallId": call_id})
                yield {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": asks}}


class Broken:
    """An agent that cannot be opened."""

    async def __aenter__(self) -> None:
        raise ConnectionError("the tool server\nis not there")

    async def __aexit__(self, *_: object) -> None: ...

    async def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        yield {}


def _write_down(posted: str) -> None:
    with Path(os.environ["POSTMAN_LOG"]).open("a") as log:
        log.write(f"{posted}\n")


def _call(call_id: str, name: str, arguments: dict[str, Any]) -> list[Event]:
    call = {"toolCallId": call_id}
    return [
        {"type": "TOOL_CALL_START", "toolCallName": name, **call},
        {"type": "TOOL_CALL_ARGS", "delta": json.dumps(arguments), **call},
        {"type": "TOOL_CALL_END", **call},
    ]


def _result(call_id: str, content: str) -> Event:
    about = {"messageId": f"{call_id}-result", "toolCallId": call_id, "role": "tool"}
    return {"type": "TOOL_CALL_RESULT", "content": content, **about}


postman = Postman()
recite = Recite()
slow_demo = DemoAgent(word_delay=0.1)  # so that every state is there long enough to be seen
slow_echo = EchoAgent(word_delay=0.03)  # slow enough to be stopped
