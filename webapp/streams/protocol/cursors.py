"""Cursors (protocol section 10.1): a number that moves with time, so that shared caches never loop.

Time is cut into intervals of 20 s. A client that already holds the current number, or a later one, is sent
ahead of it by a random stretch.
"""

from __future__ import annotations

import math
import re
from random import Random

INTERVAL = 20
EPOCH = 1_728_432_000
"""2024-10-09T00:00:00Z in Unix seconds."""

MAX_JITTER = 3600

_NUMBER = re.compile(r"[0-9]{1,15}")


def cursor(now: float, *, seen: str | None, rng: Random) -> str:
    """The cursor to answer with at Unix time ``now`` to a client that sent ``seen``."""
    current = _current(now)
    if seen is None or _NUMBER.fullmatch(seen) is None or int(seen) < current:
        return str(current)
    return str(int(seen) + math.ceil(rng.uniform(1, MAX_JITTER) / INTERVAL))


def later(now: float, sent: str) -> str:
    """The next cursor on a connection that was sent ``sent`` before."""
    return str(max(_current(now), int(sent)))


def next_interval(now: float) -> float:
    """The Unix time at which the number changes."""
    return EPOCH + (_current(now) + 1) * INTERVAL


def _current(now: float) -> int:
    return max(0, int((now - EPOCH) // INTERVAL))
