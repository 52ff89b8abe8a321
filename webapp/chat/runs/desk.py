"""Where runs are accepted: what every acceptance needs, whatever it is that is accepted.

Owns how much one may ask for, and what happens when two processes accept the same. Must not know messages or
answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from webapp.chat.catalog.answers import Answers
from webapp.chat.catalog.choices import BranchChoices
from webapp.chat.catalog.runs import RunExists, RunInbox
from webapp.chat.errors import LimitReached, Unavailable
from webapp.chat.messages import Participant
from webapp.chat.runs.limits import RunLimits
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import StreamsUnavailable

_RACES = 3
_HOUR = 3600.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """``owner`` is this process, ``clock`` gives seconds since the epoch, ``ids`` names runs."""

    sessions: Sessions
    inbox: RunInbox
    choices: BranchChoices
    answers: Answers
    limits: RunLimits
    owner: str
    clock: Callable[[], float]
    ids: Callable[[], str]

    async def settle_races(self, accept: Callable[[], Awaitable[T]]) -> T:
        """What ``accept`` gives, tried again when another process has just made the row it wanted to make."""
        for _ in range(_RACES):
            try:
                return await accept()
            except RunExists:
                continue
            except StreamsUnavailable as refusal:
                raise unavailable(refusal) from refusal
        raise Unavailable("The chat is busy. Please send the message again.")

    async def check_load(self, participant: Participant, chat_id: str, *, runs: int = 1) -> None:
        """Raises LimitReached if so many more runs would be too many."""
        own, here = await self.inbox.load(participant_id=participant.id, chat_id=chat_id)
        if own + runs > self.limits.max_active_per_participant:
            raise LimitReached("You have too many answers running. Wait for one of them.", retry_after=5.0)
        if here + runs > self.limits.max_queued_per_chat:
            raise LimitReached("Too many messages are waiting in this chat.", retry_after=5.0)
        await self._check_quota(
            self.limits.max_hourly_per_participant,
            "You have asked for too many answers within an hour.",
            participant_id=participant.id,
        )
        await self._check_quota(
            self.limits.max_hourly_per_chat,
            "Too many answers have been asked for in this chat within an hour.",
            chat_id=chat_id,
        )

    async def _check_quota(self, quota: int, sentence: str, **whose: str) -> None:
        """Raises LimitReached, until the first of the last ``quota`` runs was an hour ago."""
        first = await self.inbox.newest(quota, **whose) if quota else None
        wait = 0.0 if first is None else first + _HOUR - self.clock()
        if wait > 0:
            raise LimitReached(sentence, retry_after=wait)


def unavailable(refusal: StreamsUnavailable) -> Unavailable:
    """What a person is told when the stream server is away."""
    return Unavailable(
        "The message could not be stored. Please send it again.", retry_after=refusal.retry_after
    )
