"""Makes the turn that a run hands to its agent, out of the conversation and the run's row.

Must not know agents, lanes or writers.
"""

from __future__ import annotations

from webapp.agents.base import AgentTurn, UIMessage
from webapp.chat.catalog.runs import RunInbox, RunRow
from webapp.chat.prompt import prompt
from webapp.chat.runs.limits import RunLimits
from webapp.chat.sessions import Sessions


class Turns:
    """Turns of every chat."""

    def __init__(self, *, sessions: Sessions, inbox: RunInbox, limits: RunLimits) -> None:
        self._sessions = sessions
        self._inbox = inbox
        self._limits = limits

    async def of(self, row: RunRow) -> AgentTurn:
        """What the agent of ``row`` is asked, as the chat stands now. Raises StreamErrors."""
        current = await self._sessions.snapshot(row.chat_id)
        continues = await self._inbox.lineage(row)
        messages = prompt(current.snapshot.messages, row.message_id, continues=continues)
        trigger = next(each for each in messages if each["id"] == row.message_id)
        goes_on = () if row.resume else continues
        begun = [each for each in messages if (each.get("metadata") or {}).get("runId") in goes_on]
        return AgentTurn(
            chat_id=row.chat_id,
            run_id=row.run_id,
            messages=messages,
            text=_text(trigger),
            speaker=trigger.get("name") or "you",
            data=row.data,
            tools=row.tools,
            resume=row.resume,
            begun="".join(map(_text, begun)),
            max_output_tokens=self._limits.max_output_tokens,
        )


def _text(message: UIMessage) -> str:
    parts = message.get("parts", [])
    return "".join(part.get("content", "") for part in parts if part.get("type") == "text")
