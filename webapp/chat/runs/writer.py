"""What one run writes to its chat.

Owns the run's producer and how a batch is cut into appends. Must not know agents or the inbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from webapp.agents.base import Event
from webapp.chat import events
from webapp.streams.clients.base import StreamClient
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry

# A run outlasts a restart of its stream server. When even this is not enough, its lease runs out and the
# recoverer goes on trying.
_RETRY = Retry(attempts=100)

# One append stays well below what any stream server takes.
_BATCH_BYTES = 1024 * 1024
_BATCH_MESSAGES = 500


class RunWriter:
    """Appends a run's events in order, each exactly once, as producer ``run:<runId>``."""

    def __init__(self, streams: StreamClient, path: str, *, run_id: str, epoch: int) -> None:
        self._producer = IdempotentProducer(
            streams, path, producer_id=f"run:{run_id}", epoch=epoch, retry=_RETRY
        )

    async def append(self, batch: Sequence[Event], *, ending: Sequence[Event] = ()) -> None:
        """Append ``batch`` and then ``ending``, durable on return.

        A long batch takes several appends; ``ending`` is never torn apart. Raises StaleEpoch when another
        owner has taken the run, other StreamErrors when the stream will not have it.
        """
        groups = list(_groups([events.encode(event) for event in batch])) or [[]]
        groups[-1] += [events.encode(event) for event in ending]
        for messages in groups:
            if messages:
                await self._producer.append(messages)


def _groups(messages: Sequence[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for message in messages:
        if group and (size + len(message) > _BATCH_BYTES or len(group) == _BATCH_MESSAGES):
            yield group
            group, size = [], 0
        group.append(message)
        size += len(message)
    if group:
        yield group
