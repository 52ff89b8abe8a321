"""Where events that name no message go: one lane per active run, so that runs never meet.

    open      messages begun by the run and not settled; they are settled when it ends
    current   the message such events go to: the last one begun
    adopt     a message that had to be begun unasked; the next TEXT_MESSAGE_START gives it its real id
    step      the step that reasoning belongs to

An event says whose it is by ``runId`` (or ``metadata.runId``), else it belongs to the newest active run.
Events of no active run share one lane more, named "". A lane ends with its run, and all end with the last.

Must not know what is in a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from webapp.agents.base import Event
from webapp.chat.reducer.parts import record, string


@dataclass(slots=True)
class Lane:
    open: list[str] = field(default_factory=list)
    current: str = ""
    adopt: str = ""
    step: str = ""


class Lanes:
    def __init__(self, state: Mapping[str, Any]) -> None:
        self._lanes = {run: Lane(**{**lane, "open": list(lane["open"])}) for run, lane in state.items()}

    def __contains__(self, run: str) -> bool:
        return run in self._lanes

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def share(self) -> dict[str, Any]:
        return {run: asdict(lane) for run, lane in self._lanes.items()}

    def owner(self, event: Event, active: Mapping[str, None]) -> str:
        """The run an event belongs to, by what it says or else by when it comes."""
        run = string(event, "runId") or string(record(event.get("metadata")), "runId")
        if run:
            return run if run in active else ""
        return next(reversed([*active]), "")

    def lane(self, run: str) -> Lane:
        return self._lanes.setdefault(run, Lane())

    def peek(self, run: str) -> Lane:
        """The run's lane to look at; an empty one if it has none."""
        return self._lanes.get(run) or Lane()

    def enter(self, lane: Lane, message_id: str) -> None:
        """The lane's current message from now on, unless some lane already has it open."""
        if not any(message_id in each.open for each in self):
            lane.open.append(message_id)
            lane.current = message_id

    def rename(self, old: str, new: str) -> None:
        for lane in self:
            lane.open = [new if each == old else each for each in lane.open]
            lane.current = new if lane.current == old else lane.current

    def drop(self, run: str) -> None:
        self._lanes.pop(run, None)

    def clear(self) -> None:
        self._lanes = {}
