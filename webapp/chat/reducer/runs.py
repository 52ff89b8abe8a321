"""The runs of a conversation: which are active, and how the others ended if not with an answer.

Owns RunInfo (its shape is in ``snapshot.py``). Must not know messages beyond their ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from webapp.agents.base import Event
from webapp.chat.reducer.parts import record, string
from webapp.chat.reducer.snapshot import RunInfo

_ENDED: Final = {"interrupt": "awaiting-approval", "cancelled": "stopped"}


class Runs:
    """``active`` are the ids of the active runs in the order of their start."""

    def __init__(self, infos: dict[str, RunInfo], active: list[str]) -> None:
        self._infos = _copy(infos)
        self.active = dict.fromkeys(active)

    def __contains__(self, run: str) -> bool:
        return run in self._infos

    def share(self) -> dict[str, RunInfo]:
        """All that is known, for others to keep."""
        return _copy(self._infos)

    def start(self, run: str, event: Event) -> None:
        info: RunInfo = {"runId": run, "status": "running", "messageIds": []}
        metadata = record(event.get("metadata"))
        named = ("agentId", "agentName", "triggerId", "continues")
        info |= {key: metadata[key] for key in named if string(metadata, key)}
        for key, number in (("attempt", metadata.get("attempt")), ("startedAt", event.get("timestamp"))):
            if isinstance(number, int | float) and not isinstance(number, bool):
                info[key] = number
        self._supersede(info)
        if "continues" in info:
            before = self._infos.get(info["continues"], {})
            info["first"] = before.get("first", info["continues"])
            if before:
                before["continuedBy"] = run
        self._infos.pop(run, None)
        self._infos[run] = info
        self.active[run] = None

    def _supersede(self, newer: RunInfo) -> None:
        """An attempt that ended is history once there is a newer one at the same message."""
        for info in self._infos.values():
            same = all(info.get(key) == newer.get(key) for key in ("triggerId", "agentId"))
            if same and "triggerId" in newer and info["status"] != "running":
                info["supersededBy"] = newer["runId"]

    def finish(self, run: str, outcome: str) -> None:
        """RUN_FINISHED with this type of outcome. A run that simply answered is forgotten."""
        info = self._infos.get(run)
        if info is None or run not in self.active:
            return
        del self.active[run]
        info["status"] = _ENDED.get(outcome, "answered" if info["messageIds"] else "silent")
        if info["status"] == "answered":
            del self._infos[run]

    def fail(self, run: str, *, sentence: str, code: str, message_id: str) -> None:
        """RUN_ERROR, to be shown at ``message_id`` if the run was never announced."""
        self.active.pop(run, None)
        info = self._infos.setdefault(run, {"runId": run, "messageIds": [message_id]})
        info["status"] = "interrupted" if code == "interrupted" else "failed"
        info["error"] = sentence
        if code:
            info["code"] = code

    def note(self, run: str, **fields: Any) -> None:
        """Add to what is known of an active run."""
        if run in self.active:
            self._infos[run] |= fields

    def tried(self, message_id: str) -> bool:
        """Whether a run is known that was to answer this."""
        return any(info.get("triggerId") == message_id for info in self._infos.values())

    def decide(self, run: str, value: dict[str, Any]) -> list[str]:
        """Somebody has answered what the run asked, and nobody before them. Returns the messages in which its
        tool call may be; none if that is not so.
        """
        info = self._infos.get(run, {})
        asked = string(value, "interruptId")
        known = info.get("decisions", [])
        if not asked or not any(each.get("id") == asked for each in info.get("interrupts", ())):
            return []
        if any(each["interruptId"] == asked for each in known):
            return []
        decision: dict[str, Any] = {"interruptId": asked, "approved": value.get("approved") is True}
        decision |= {key: string(value, key) for key in ("participantId", "name")}
        at, arguments = value.get("decidedAt"), value.get("arguments")
        if isinstance(at, int | float) and not isinstance(at, bool):
            decision["decidedAt"] = at
        if isinstance(arguments, dict):
            decision["arguments"] = arguments
        if string(value, "reason"):
            decision["reason"] = value["reason"]
        info["decisions"] = [*known, decision]
        return list(reversed(info["messageIds"]))

    def signature(self, run: str) -> dict[str, Any]:
        """``name`` and ``metadata`` of a message by this run, as far as RUN_STARTED gave them."""
        info = self._infos.get(run, {})
        signed: dict[str, Any] = {"name": info["agentName"]} if "agentName" in info else {}
        if "agentId" in info:
            known = {
                "createdAt": info.get("startedAt"),
                "parentId": info.get("triggerId"),
                "continues": info.get("first"),
            }
            told = {key: value for key, value in known.items() if value is not None}
            signed["metadata"] = {"agentId": info["agentId"], "runId": run, **told}
        return signed

    def add_message(self, run: str, message_id: str) -> None:
        info = self._infos.get(run)
        if info is not None and message_id not in info["messageIds"]:
            info["messageIds"].append(message_id)

    def rename_message(self, old: str, new: str) -> None:
        self._change_ids(lambda ids: [new if each == old else each for each in ids])

    def remove_message(self, message_id: str) -> None:
        self._change_ids(lambda ids: [each for each in ids if each != message_id])

    def _change_ids(self, change: Callable[[list[str]], list[str]]) -> None:
        for info in self._infos.values():
            info["messageIds"] = change(info["messageIds"])


def _copy(infos: dict[str, RunInfo]) -> dict[str, RunInfo]:
    return {run: {**info, "messageIds": list(info["messageIds"])} for run, info in infos.items()}
