"""What every helper that takes a run is told about it, and how it listens to its source.

Owns those options. Must not know where the run goes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Mapping
from typing import Any, Final, TypedDict, Unpack
from uuid import uuid4

from webapp.agents.pieces import Piece, as_events
from webapp.session.listening import Listener
from webapp.session.whole_run import WholeRun

TIME_LIMIT: Final = 600.0


class RunOptions(TypedDict, total=False):
    """About one run; all of it may be left out."""

    run_id: str | None
    """The request's own id (AG-UI's ``runId``, the header ``X-Run-Id``): one id, one run. With it the run is
    announced at once; without it the id is what the source's RUN_STARTED says, or a new one.
    """
    thread_id: str | None
    """The conversation's id, else what the source says, else the stream's path or the run's id."""
    stop: asyncio.Event | None
    """Setting it ends the run with the outcome ``cancelled``; what was said stays."""
    time_limit: float | None
    """Seconds, 600 unless said otherwise; then the run ends with RUN_ERROR ``time-limit``. None: no limit."""
    clock: Callable[[], float]
    """Gives seconds since the epoch."""


def listen(
    source: AsyncIterable[Piece],
    *,
    default_thread_id: str = "",
    refused: frozenset[str] = frozenset(),
    metadata: Mapping[str, Any] | None = None,
    **options: Unpack[RunOptions],
) -> tuple[WholeRun, Listener]:
    """The run that ``source`` becomes, and the listener that hears it; whoever asks closes that."""
    run = WholeRun(
        clock=options.get("clock", time.time),
        run_id=options.get("run_id"),
        thread_id=options.get("thread_id"),
        default_thread_id=default_thread_id,
        refused=refused,
        metadata=metadata,
    )
    listener = Listener(
        source,
        run,
        # Strings become messages whose ids are like no other's.
        read=lambda pieces: as_events(pieces, prefix=f"msg-{uuid4().hex}"),
        stop=options.get("stop"),
        time_limit=options.get("time_limit", TIME_LIMIT),
    )
    return run, listener
