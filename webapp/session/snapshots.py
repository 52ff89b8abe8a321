"""The conversation a session's stream tells, up to an offset: what a page is made of.

Owns nothing but the fold over pages; what events mean is the reducer's (``webapp.chat.reducer``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from webapp.chat import events
from webapp.chat.reducer import Reducer, Snapshot
from webapp.chat.reducer.snapshot import UIMessage
from webapp.session.reading import pages
from webapp.session.streams import AnyStream, opened
from webapp.streams.clients.base import BEGINNING, StreamNotFound


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """A session as of ``offset``: read on from there, and nothing is missing and nothing repeated.

    Snapshots that follow one another share the messages that did not change between them.
    """

    offset: str = BEGINNING
    snapshot: Snapshot = field(default_factory=Snapshot)

    @property
    def messages(self) -> list[UIMessage]:
        """UIMessages as TanStack AI has them: ``{id, role, parts, name?, metadata?}``. Not to be changed."""
        return self.snapshot.messages

    @property
    def active_runs(self) -> list[str]:
        """The ids of the runs that have begun and not ended: while there is any, somebody is answering."""
        return self.snapshot.active_runs

    def to_json(self) -> dict[str, Any]:
        """``{offset, messages, activeRuns, runs, state, version}``: for a page, or to be stored."""
        return {"offset": self.offset, **self.snapshot.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The snapshot that ``to_json`` wrote. Raises StaleSnapshot for one of another version: then begin
        anew, with no snapshot, and read the whole stream.
        """
        return cls(str(data.get("offset", BEGINNING)), Snapshot.from_json(data))


async def materialize_snapshot_from_durable_stream(
    stream: AnyStream, *, after: SessionSnapshot | None = None
) -> SessionSnapshot:
    """The conversation as the stream has it now, with everything that was durable before the call.

    Messages keep their thinking, tool calls, results, media and the order of their parts; one that is still
    being written is in it as far as it has come. A stream that does not exist yet is an empty conversation at
    the offset ``-1``, from which a reader sees everything there will be.

    ``after`` is an earlier snapshot of the same stream: only what came since is read.

    Raises StreamsUnavailable (``retry_after`` seconds), StreamGone; InvalidRequest or StreamGone if ``after``
    is of a stream that was deleted and made anew.
    """
    before = after or SessionSnapshot()
    reducer, offset = Reducer(before.snapshot), before.offset
    async with opened(stream, to_read=True) as place:
        try:
            async for page in pages(place, offset=offset):
                for message in page.messages:
                    reducer.apply(events.decode(message))
                offset = page.next_offset
        except StreamNotFound:
            if before.offset != BEGINNING:
                raise
            return before
    return SessionSnapshot(offset, reducer.snapshot())
