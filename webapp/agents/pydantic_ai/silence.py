"""How a model says nothing: by a word that is agreed on, which nobody sees.

Owns that word. Must not know models. Pure.
"""

from __future__ import annotations

from typing import Final

from webapp.agents.base import Event

SILENCE: Final = "[nothing]"


class Hush:
    """Leaves out messages that say ``SILENCE``, or white space. A message is held back while it may.

    One without any text is no silence: pydantic-ai puts one before the calls of tools, which belong to it.
    """

    def __init__(self) -> None:
        self._held: list[Event] = []
        self._text = ""

    def take(self, event: Event) -> list[Event]:
        """What is to be told now."""
        kind = event["type"]
        if kind == "TEXT_MESSAGE_START":
            told, self._held, self._text = self._held, [event], ""
            return told
        if not self._held:
            return [event]
        if kind == "TEXT_MESSAGE_CONTENT":
            self._text += event["delta"]
            if SILENCE.startswith(self._text.strip()):
                self._held.append(event)
                return []
        told, self._held = [*self._held, event], []
        silent = self._text and self._text.strip() in ("", SILENCE)
        return [] if kind == "TEXT_MESSAGE_END" and silent else told
