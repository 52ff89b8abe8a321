"""Makes what an agent yields fit to be stored as its run's.

Owns which message ids a run may use and what an agent may not say. Must not know streams or time limits. An
agent is other people's code: it can neither speak as somebody else nor end, replace or rename anything but
its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.storing import Intake, size, split

# The supervisor's own, and one that would replace the whole conversation.
_REFUSED = frozenset({events.RUN_STARTED, events.MESSAGES_SNAPSHOT})
# How long a tool takes is the difference of two.
_TIMED = frozenset({events.TOOL_CALL_START, events.TOOL_CALL_END, events.TOOL_CALL_RESULT})
_RESERVED_NAMES = ("agent.", "approval.", "branch.", "chat.", "message.", "run.")


class Stamper:
    """Turns one agent's events into one run's events. ``written`` counts their bytes as JSON;
    ``continues`` is the run that began the answer, if it was another.
    """

    def __init__(
        self, *, run_id: str, agent_id: str, agent_name: str, trigger_id: str, clock: Callable[[], float]
    ) -> None:
        self._run_id = run_id
        self._agent_id = agent_id
        self._agent_name = agent_name
        self._trigger_id = trigger_id
        self._clock = clock
        self._message_ids: dict[str, str] = {}
        self._intake = Intake()
        self.written = 0
        self.continues: str | None = None

    def stamp(self, event: object) -> list[Event]:
        """The events to store for ``event``: none, one, or several if its text is long. Raises NotAnEvent."""
        taken = self._intake.take(event)
        if taken["type"] in _REFUSED or _is_reserved(taken):
            return []
        pieces = split(self._identify(taken))
        self.written += sum(size(piece) for piece in pieces)
        return pieces

    def _identify(self, event: Event) -> Event:
        event = dict(event)
        for key in ("messageId", "parentMessageId"):
            if isinstance(event.get(key), str):
                event[key] = self._own_id(event[key])
        event = events.attribute(
            event,
            run_id=self._run_id,
            agent_id=self._agent_id,
            agent_name=self._agent_name,
            now_ms=int(self._clock() * 1000),
        )
        if event["type"] in _TIMED and not isinstance(event.get("timestamp"), int):
            event["timestamp"] = int(self._clock() * 1000)
        if event["type"] == events.TEXT_MESSAGE_START:
            event["metadata"] = {**event["metadata"], "parentId": self._trigger_id}
            if self.continues is not None:
                event["metadata"]["continues"] = self.continues
        return event

    def _own_id(self, given: str) -> str:
        # Agents number their messages as they like; two runs that both begin with "1" must not meet. Nor may
        # a message of a person, whose id has no "~".
        return self._message_ids.setdefault(given, f"{self._run_id}~{len(self._message_ids) + 1}")


def _is_reserved(event: dict[str, Any]) -> bool:
    return event["type"] == events.CUSTOM and str(event.get("name")).startswith(_RESERVED_NAMES)
