"""How much one producer gathers, sends at once and keeps."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerLimits:
    """Every bound of a producer. Times are seconds, sizes bytes."""

    linger: float = 0.005
    """How long a message that nobody waits for may be held back for others to join it."""
    max_batch_bytes: int = MIB
    """An append that has gathered so much takes no more."""
    max_batch_messages: int = 500
    """The most messages that gather in one append; what servers take at most is theirs to say."""
    max_in_flight: int = 5
    """The most appends under way at once."""
    spacing: float = 0.001
    """Between two appends that set out: those of the same moment would overtake each other."""
    max_unsent_bytes: int = 4 * MIB
    """While more than this waits to be sent, ``put`` waits too."""
