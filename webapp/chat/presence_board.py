"""Who is in one chat, as its signs of life tell: a pure fold of beats.

Owns what a beat and a person are, and when somebody is away, gone or no longer typing. Time is an argument,
in seconds, by the clock of whoever serves; no browser's clock is ever asked. Must not know streams or HTTP.

A beat says all there is to say of one tab, and beats of a tab are numbered by it. So the board is the same in
whatever order they arrive and however often, and a late one raises nobody from the dead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["active", "away", "gone"]
Device: TypeAlias = Literal["computer", "phone", "tablet"]

MAX_TABS = 20
"""Tabs of one person that are counted."""

TYPING = 5.5
"""Seconds for which a beat that says "typing" is believed. A tab repeats it every two or three."""

LINGER = 3.0
"""Seconds for which somebody who has left is still shown: a reload is no leave."""


class Beat(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A sign of life of one tab. ``at`` is when it was heard, in ms since the epoch; ``hue`` and ``role`` are
    the person's as of then.
    """

    participant_id: str
    name: str
    hue: int
    guest: bool
    role: str
    tab: str
    seq: int
    state: State
    at: int
    typing: bool = False
    device: Device = "computer"


class Person(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Somebody who is here. ``on`` has what each of their tabs runs on, ``devices`` how many that are."""

    participant_id: str
    name: str
    hue: int
    guest: bool
    role: str
    state: State
    typing: bool
    devices: int
    on: tuple[Device, ...]


class _Tab:
    __slots__ = ("at", "beat")

    def __init__(self, beat: Beat, at: float) -> None:
        self.beat = beat
        self.at = at


class Board:
    """The tabs of one chat. Somebody who gave no sign of life for ``ttl`` seconds is gone."""

    def __init__(self, *, ttl: float, linger: float = LINGER, typing: float = TYPING) -> None:
        self._ttl = ttl
        self._linger = min(linger, ttl)
        self._typing = min(typing, ttl)
        self._tabs: dict[tuple[str, str], _Tab] = {}

    def apply(self, beat: Beat, *, now: float) -> None:
        """Take in what a tab has said, unless it has said something since."""
        key = (beat.participant_id, beat.tab)
        known = self._tabs.get(key)
        # Another process's clock may be ahead of ours.
        at = min(beat.at / 1000, now)
        said_since = known is not None and (known.beat.seq, known.beat.at) >= (beat.seq, beat.at)
        if said_since or at + self._ttl <= now:
            return
        self._tabs[key] = _Tab(beat, at)
        if known is None:
            self._bound(beat.participant_id)

    def people(self, now: float) -> tuple[Person, ...]:
        """Who is here, by name. The same beats give the same list everywhere."""
        self._tabs = {key: tab for key, tab in self._tabs.items() if tab.at + self._ttl > now}
        here: dict[str, list[_Tab]] = {}
        for (participant_id, _), tab in self._tabs.items():
            if self._ends(tab) > now:
                here.setdefault(participant_id, []).append(tab)
        found = [self._person(tabs, now) for tabs in here.values()]
        return tuple(sorted(found, key=lambda one: (one.name.casefold(), one.participant_id)))

    def next_change(self, now: float) -> float | None:
        """When ``people`` changes by itself, if nothing more is heard."""
        times = (time for tab in self._tabs.values() for time in (self._ends(tab), self._stops_typing(tab)))
        return min((time for time in times if time > now), default=None)

    def beats(self) -> Iterator[Beat]:
        """What the board is made of: another that takes it in is the same."""
        return (tab.beat for tab in self._tabs.values())

    def _ends(self, tab: _Tab) -> float:
        return tab.at + (self._linger if tab.beat.state == "gone" else self._ttl)

    def _stops_typing(self, tab: _Tab) -> float:
        return tab.at + self._typing if tab.beat.typing else 0.0

    def _person(self, tabs: list[_Tab], now: float) -> Person:
        # Of somebody who has just left the last tab nothing is to change yet.
        tabs = [tab for tab in tabs if tab.beat.state != "gone"] or tabs
        tabs.sort(key=lambda tab: (tab.at, tab.beat.tab))
        latest = tabs[-1].beat
        active = any(tab.beat.state != "away" for tab in tabs)
        return Person(
            participant_id=latest.participant_id,
            name=latest.name,
            hue=latest.hue,
            guest=latest.guest,
            role=latest.role,
            state="active" if active else "away",
            typing=any(self._stops_typing(tab) > now for tab in tabs),
            devices=len(tabs),
            on=tuple(sorted(tab.beat.device for tab in tabs)),
        )

    def _bound(self, participant_id: str) -> None:
        """Nobody fills the board: of very many tabs of one person the oldest are forgotten."""
        mine = [key for key in self._tabs if key[0] == participant_id]
        if len(mine) > MAX_TABS:
            del self._tabs[min(mine, key=lambda key: (self._tabs[key].at, key))]
