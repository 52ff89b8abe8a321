"""Agents for tests, to be named as ``DURABLE_CHAT_AGENT=tests.support.agents:<name>``."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from webapp.agents.base import AgentTurn, Event
from webapp.agents.scripted import DemoAgent

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


recite = Recite()
slow_demo = DemoAgent(word_delay=0.1)  # so that every state is there long enough to be seen
