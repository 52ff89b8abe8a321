"""Asks a model what a conversation should be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic_ai import Agent, ModelSettings
from pydantic_ai.models import KnownModelName, Model

from webapp.agents.base import UIMessage, text_of

_ASKED: Final = (
    "Name the conversation between the lines in at most six words, in its own language. Answer with the name "
    "alone: no quotation marks, no full stop."
)
_SHOWN: Final = 2000
_LONGEST: Final = 80


async def title_of(model: Model | KnownModelName | str, messages: Sequence[UIMessage]) -> str | None:
    """The model's name for a conversation; None if it is no name. Raises what pydantic-ai does."""
    said = "\n".join(f"{each.get('name') or each['role']}: {text_of(each)}" for each in messages)
    namer = Agent(model, instructions=_ASKED)
    settings = ModelSettings(max_retries=0)
    async with namer.run_stream(f"---\n{said[:_SHOWN]}\n---", model_settings=settings) as reply:
        title = " ".join((await reply.get_output()).split()).strip("\"'“”.")
    return title if 0 < len(title) <= _LONGEST else None
