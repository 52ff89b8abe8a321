"""The agents of a server, and what is settled about each of them beforehand.

Owns who there is, in which order, and who answers when nobody else is meant. Must not know where agents come
from, nor any chat: who is in one is ``webapp.chat.roster``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from webapp.agents.base import Agent

HUES = 24
"""So many colours there are for people and agents."""

COLORS = {
    "rose": 0, "red": 2, "orange": 4, "yellow": 6, "lime": 8, "green": 10, "teal": 12, "cyan": 14, "blue": 17,
    "indigo": 18, "violet": 20, "pink": 22,
}  # fmt: skip
"""Names of some of them."""


class BadCast(ValueError):
    """Agents that cannot be in one chat. The text is one line for whoever put them together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One agent. ``hue`` is its colour, 0 to 23; None: one that follows from its id. ``triggers`` pick it
    without an ``@``. ``present``: it is in a chat from the start.
    """

    agent: Agent
    hue: int | None = None
    triggers: tuple[re.Pattern[str], ...] = ()
    present: bool = True

    @property
    def id(self) -> str:
        return self.agent.id

    @property
    def name(self) -> str:
        return self.agent.name

    @property
    def scripted(self) -> bool:
        """Whether it answers from a script, which the page says plainly."""
        return bool(getattr(self.agent, "scripted", False))


class Cast:
    """Members in the order they are shown. ``default`` answers where nobody else is meant or present."""

    def __init__(self, members: Iterable[Member], *, default: str | None = None) -> None:
        """``default``: the id of one that is present from the start; the first such unless given. Raises
        BadCast.
        """
        given = tuple(members)
        _check_names(given)
        self._members = {member.id: member for member in given}
        chosen = [each for each in given if each.present and default in (None, each.id)]
        if not chosen:
            what = "no agent is present from the start" if default is None else f"{default} is not present"
            raise BadCast(f"{what}, so nobody would answer")
        self.default = chosen[0]

    @classmethod
    def of(cls, agents: Cast | Mapping[str, Agent | Member] | Iterable[Agent | Member]) -> Cast:
        """A cast of agents as people hand them over, all present unless they say otherwise."""
        if isinstance(agents, Cast):
            return agents
        given = agents.values() if isinstance(agents, Mapping) else agents
        return cls(each if isinstance(each, Member) else Member(agent=each) for each in given)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __len__(self) -> int:
        return len(self._members)

    def get(self, agent_id: str) -> Member | None:
        return self._members.get(agent_id)


def trigger(text: str) -> re.Pattern[str]:
    """``/…/`` is a regular expression, anything else words that are looked for as such. Raises re.error."""
    regex = len(text) > 2 and text[0] == text[-1] == "/"
    words = r"\s+".join(map(re.escape, text.split()))
    return re.compile(text[1:-1] if regex else rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _check_names(members: Iterable[Member]) -> None:
    """Whoever is addressed must be one and the same, by id and by name."""
    owners: dict[str, str] = {}
    for member in members:
        for name in {member.id.casefold(), member.name.casefold()}:
            if name in owners:
                raise BadCast(f"two agents are called {name}: {owners[name]} and {member.id}")
            owners[name] = member.id
