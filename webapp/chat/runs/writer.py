"""What one run writes to its chat.

Owns the run's producer. Must not know agents, nor what becomes of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.catalog.run_row import RunRow
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import StreamClient
from webapp.streams.clients.producer import IdempotentProducer, ProducerLimits
from webapp.streams.clients.retry import Retry

# A run outlasts a restart of its stream server. When even this is not enough, its lease runs out and the
# recoverer goes on trying.
_RETRY = Retry(attempts=100)

_LIMITS = ProducerLimits(linger=0.0)  # the run gathers, and merges what it has gathered


class RunWriter:
    """Appends a run's events in order, each exactly once, as producer ``run:<runId>``.

    ``on_failure`` is called when something put could not be stored; the next call says why.
    """

    def __init__(self, streams: StreamClient, path: str, *, run_id: str, epoch: int) -> None:
        self.on_failure: Callable[[], None] = lambda: None
        self._producer = IdempotentProducer(
            streams,
            path,
            producer_id=f"run:{run_id}",
            epoch=epoch,
            limits=_LIMITS,
            retry=_RETRY,
            on_failure=self._failed,
        )

    @classmethod
    def of(cls, streams: StreamClient, sessions: Sessions, row: RunRow) -> RunWriter:
        """The producer of ``row`` at its epoch."""
        return cls(streams, sessions.path(row.chat_id), run_id=row.run_id, epoch=row.epoch)

    async def room(self) -> None:
        """Return when a batch that is put can be sent at once. Raises as ``put`` does."""
        await self._producer.room()

    async def put(self, batch: Sequence[Event]) -> None:
        """Write ``batch`` behind everything before it, durable some time later.

        Raises what became of earlier ones: StaleEpoch when another owner has taken the run, other
        StreamErrors when the stream will not have it.
        """
        await self._producer.put([events.encode(event) for event in batch])

    async def append(self, batch: Sequence[Event], *, ending: Sequence[Event] = ()) -> None:
        """Write ``batch`` and then ``ending``, all durable on return. Raises as ``put`` does.

        A long batch takes several appends; ``ending`` is never torn apart.
        """
        await self.put(batch)
        if ending:
            await self._producer.append([events.encode(event) for event in ending])
        else:
            await self._producer.flush()

    def _failed(self) -> None:
        self.on_failure()

    async def aclose(self) -> None:
        """Write nothing more. What is not durable by now may still become so."""
        await self._producer.aclose()
