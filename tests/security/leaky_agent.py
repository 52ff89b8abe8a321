"""An agent whose failure says more than people should read."""

from __future__ import annotations

from collections.abc import AsyncIterator

from webapp.agents.base import AgentTurn


async def leaky(turn: AgentTurn) -> AsyncIterator[str]:
    yield "half an answer"
    raise RuntimeError("401 from https://provider.example: key canary-from-an-exception is not valid")
