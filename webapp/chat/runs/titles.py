"""Names a chat after its first answer, if the agent that gave it can.

Owns when a title is asked for. Must not know how one is made. A chat that a person has named keeps its name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from webapp.agents.base import Agent
from webapp.chat.catalog.run_row import RunRow
from webapp.chat.errors import ChatError
from webapp.chat.marks import Marks
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import StreamError

logger = logging.getLogger(__name__)

_PATIENCE = 30.0

# A title that did not come after the first question is tried once more, and then the chat goes without.
_QUESTIONS = 2


class Titles:
    """Asks ``agents`` for titles."""

    def __init__(self, *, marks: Marks, sessions: Sessions, agents: Mapping[str, Agent]) -> None:
        self._marks = marks
        self._sessions = sessions
        self._agents = agents

    async def after(self, row: RunRow) -> None:
        """Name the chat whose run ``row`` has answered, unless it has a name. Never raises."""
        make = getattr(self._agents.get(row.agent_id), "title", None)
        if make is None:
            return
        try:
            at = await self._sessions.snapshot(row.chat_id)
            asked = sum(message["role"] == "user" for message in at.snapshot.messages)
            if at.snapshot.title or asked > _QUESTIONS:
                return
            async with asyncio.timeout(_PATIENCE):
                title = await make(at.branches.path(at.snapshot.pins))
            if isinstance(title, str) and title.strip():
                await self._marks.name(row.chat_id, title)
        except (ChatError, StreamError, TimeoutError) as error:
            logger.info("chat %s has no title yet: %s", row.chat_id, type(error).__name__)
        except Exception as error:
            # An agent's own exception: its text may be a provider's.
            logger.warning("agent %s found no title: %s", row.agent_id, type(error).__name__)
