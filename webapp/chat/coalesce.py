"""Fewer, larger events: what a run emits word by word is appended in merged deltas. Pure.

Must not know time or tasks: the run decides when a batch is due (``run``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from webapp.agents.base import Event
from webapp.chat.events import DELTAS

MAX_DELTA_BYTES: Final = 2048
MAX_BATCH: Final = 512
"""Events that wait for their append at most; then the agent waits."""


def merge(events: Iterable[Event], *, limit: int = MAX_DELTA_BYTES) -> list[Event]:
    """Join neighbouring deltas of the same thing, up to ``limit`` bytes of text each.

    Only events equal in everything but ``delta`` and ``timestamp`` are joined (the first timestamp stays), so
    nothing a reader could see is lost. A delta that is longer by itself passes as it is.
    """
    merged: list[Event] = []
    size = 0
    for event in events:
        own = _delta_size(event)
        if merged and own is not None and size + own <= limit and _same_thing(merged[-1], event):
            merged[-1] = {**merged[-1], "delta": merged[-1]["delta"] + event["delta"]}
            size += own
        else:
            merged.append(event)
            size = limit if own is None else own
    return merged


def _delta_size(event: Event) -> int | None:
    kind, delta = event.get("type"), event.get("delta")
    if not isinstance(kind, str) or kind not in DELTAS or not isinstance(delta, str):
        return None
    return len(delta.encode(errors="replace"))


def _same_thing(one: Event, other: Event) -> bool:
    varying = ("delta", "timestamp")
    return _delta_size(one) is not None and (
        {key: value for key, value in one.items() if key not in varying}
        == {key: value for key, value in other.items() if key not in varying}
    )
