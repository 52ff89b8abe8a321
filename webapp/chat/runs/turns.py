"""Makes the turn that a run hands to its agent, out of the conversation and the run's row.

Must not know agents, lanes or writers.
"""

from __future__ import annotations

from collections.abc import Sequence

from webapp.agents.base import AgentError, AgentTurn, text_of
from webapp.chat.catalog.run_row import RunRow
from webapp.chat.endings import APPROVAL_VOID
from webapp.chat.prompt import prompt
from webapp.chat.roster import Presence
from webapp.chat.runs.limits import RunLimits
from webapp.chat.runs.pauses import is_void
from webapp.chat.sessions import Sessions


class Turns:
    """Turns of every chat."""

    def __init__(self, *, sessions: Sessions, presence: Presence, limits: RunLimits) -> None:
        self._sessions = sessions
        self._presence = presence
        self._limits = limits

    async def of(self, row: RunRow, continues: Sequence[str]) -> AgentTurn:
        """What the agent of ``row`` is asked, as the chat stands now. ``continues`` are the runs that it goes
        on with.

        Raises StreamErrors, and AgentError if what was approved is no longer what would be done.
        """
        current = await self._sessions.snapshot(row.chat_id)
        if row.continues is not None and is_void(current.snapshot, row.resume, run_id=row.continues):
            code, sentence = APPROVAL_VOID
            raise AgentError(sentence, code=code)
        messages = prompt(current.snapshot.messages, row.message_id, continues=continues)
        trigger = next(each for each in messages if each["id"] == row.message_id)
        goes_on = () if row.resume else continues
        begun = [each for each in messages if (each.get("metadata") or {}).get("runId") in goes_on]
        others = [each for each in self._presence.present(current.snapshot) if each.id != row.agent_id]
        return AgentTurn(
            chat_id=row.chat_id,
            run_id=row.run_id,
            messages=messages,
            text=text_of(trigger),
            speaker=trigger.get("name") or "you",
            others=[each.name for each in others],
            data=row.data,
            tools=row.tools,
            resume=[{key: each[key] for key in each if key != "argumentsHash"} for each in row.resume],
            begun="".join(map(text_of, begun)),
            max_output_tokens=self._limits.max_output_tokens,
        )
