"""How long a client waits for a stream server elsewhere, and how much it takes from it."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.streams.clients.retry import Retry

KIB = 1024
MIB = 1024 * KIB

_CALLS = Retry(attempts=3, cap=1.0)
_CONNECTIONS = Retry(base=0.25, cap=15.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Every bound of a client over HTTP. Times are seconds, sizes bytes."""

    retry: Retry = _CALLS
    """How one call is repeated before its caller is told."""
    total: float = 5.0
    """No call is repeated once this much time has gone by, or would while waiting."""
    reconnect: Retry = _CONNECTIONS
    """How waits between connections of a live read grow; it is never given up."""
    connect: float = 3.0
    """How long opening a connection may take."""
    reply: float = 10.0
    """How long a reply may take to begin, and how long it may pause."""
    poll: float = 65.0
    """How long a long-poll may take: more than servers wait."""
    silence: float = 40.0
    """A live read that brings no byte for so long, not even a ping, is broken."""
    first_control: float = 5.0
    """SSE that has not said by then where it stands is held back somewhere: long-poll takes over."""
    brief: float = 1.0
    """SSE that ends sooner than this, three times in a row, is cut off by something: long-poll takes over."""
    without_sse: float = 300.0
    """How long long-poll keeps taking over before SSE is tried again."""
    linger: float = 5.0
    """How long a shared tail outlives its last reader."""
    recent: int = 256 * KIB
    """What a shared tail keeps for readers who are a little behind."""
    held: int = 1 * MIB
    """A reply up to this size is read whole before it is passed on, so that a cut can be mended by asking
    again; a larger one streams through.
    """
    max_reply: int = 64 * MIB
    """The largest reply that is read into memory."""
