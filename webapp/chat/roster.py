"""Which agents are in a chat, and whom of them a message is for.

Owns those two answers, and the events that let an agent in or send it away. A chat begins with the agents
the cast says; what has changed since is in its snapshot. Must not know runs or HTTP.
"""

from __future__ import annotations

from webapp.agents.cast import Cast, Member
from webapp.chat import events
from webapp.chat.errors import Conflict, InvalidMessage
from webapp.chat.mentions import mentioned
from webapp.chat.messages import Participant
from webapp.chat.reducer.snapshot import Snapshot
from webapp.chat.sessions import Sessions
from webapp.chat.telling import Telling


class Presence:
    """Pure answers about one cast."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast

    def present(self, snapshot: Snapshot) -> list[Member]:
        """Who is in the chat; never nobody."""
        here = [each for each in self.cast if snapshot.roster.get(each.id, each.present)]
        return here or [self.cast.default]

    def shown(self, snapshot: Snapshot) -> list[tuple[Member, bool]]:
        """Every agent of the server, and whether it is in the chat."""
        here = self.present(snapshot)
        return [(member, member in here) for member in self.cast]

    def named(self, text: str, snapshot: Snapshot, *, but: str = "") -> list[str]:
        """The ids of present agents that ``text`` mentions, without the one that says it."""
        others = [each for each in self.present(snapshot) if each.id != but]
        return mentioned(text, {name: each.id for each in others for name in (each.id, each.name)})

    def addressed(self, text: str, snapshot: Snapshot) -> list[str]:
        """The ids of those that answer a person's message: who is mentioned, else whose trigger is in it,
        else the default.
        """
        if named := self.named(text, snapshot):
            return named
        here = self.present(snapshot)
        triggered = [each.id for each in here if any(one.search(text) for one in each.triggers)]
        default = self.cast.default if self.cast.default in here else here[0]
        return triggered or [default.id]


class Roster(Presence):
    """Changes who is in a chat."""

    def __init__(self, *, cast: Cast, telling: Telling, sessions: Sessions) -> None:
        super().__init__(cast)
        self._telling = telling
        self._sessions = sessions

    async def change(self, chat_id: str, agent_id: str, *, present: bool, by: Participant) -> bool:
        """Let an agent in, or send it away; whether that was news. Raises InvalidMessage for one that there
        is not, Conflict for the last one, ChatNotFound and Unavailable.
        """
        member = self.cast.get(agent_id)
        if member is None:
            raise InvalidMessage("There is no such agent here.", code="unknown-agent")
        here = self.present((await self._sessions.snapshot(chat_id)).snapshot)
        if (member in here) == present:
            return False
        if not present and len(here) == 1:
            raise Conflict("Somebody has to answer: let another agent in first.", code="last-agent")
        event = events.agent_moved(member.id, member.name, joined=present, participant_id=by.id, by=by.name)
        await self._telling.tell(chat_id, [event])
        return True
