"""What has been settled for everybody in a conversation, besides what was said: its title, pinned versions.

Must not know messages or runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.chat.reducer.parts import Record, string


class Marks:
    """``pins`` is the pinned version by group; ``title`` is empty until somebody has given one."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.pins: dict[str, str] = dict(state.get("pins", {}))
        self.title: str = state.get("title", "")

    def share(self) -> dict[str, Any]:
        """All of it, for others to keep."""
        return {"pins": dict(self.pins), "title": self.title}

    def pin(self, value: Record) -> None:
        """``branch.pinned``"""
        group, version = string(value, "group"), string(value, "version")
        if group and version:
            self.pins[group] = version

    def rename(self, value: Record) -> None:
        """``chat.renamed``"""
        self.title = string(value, "title") or self.title
