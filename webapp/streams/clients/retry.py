"""How waits between the tries of one request grow."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often one request is tried, and how the waits between grow (seconds, full jitter)."""

    attempts: int = 6
    base: float = 0.1
    cap: float = 5.0

    def delay(self, attempt: int, *, floor: float, rng: Random) -> float:
        """The wait after try number ``attempt`` has failed; ``floor`` is what the server asked for."""
        ceiling = min(self.cap, self.base * 2.0 ** min(attempt, 32))
        return floor + rng.uniform(0, ceiling)
