"""Marks in a message whom it names: the twin of what ``static/js/page/markdown.js`` does while text arrives.

Works on HTML that markdown.py has made. Must not know messages or chats.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from markupsafe import Markup

_TAG = re.compile(r"(<[^>]*>)")
# What is quoted, code or a link addresses nobody.
_SILENT = re.compile(r"<(/?)(?:code|pre|a|blockquote)\b")


class MentionMarks:
    """Marks ``@`` and any of ``names``, whatever their case; ``me`` is marked as the reader."""

    def __init__(self, names: Iterable[str], *, me: str = "") -> None:
        words = sorted({each for each in (*names, me) if each.strip()}, key=len, reverse=True)
        escaped = (re.escape(html.escape(word, quote=False)).replace(r"\ ", r"\s+") for word in words)
        alternatives = "|".join(escaped) or r"(?!)"
        self._pattern = re.compile(rf"(?<![\w@/])@({alternatives})(?![\w@]|[.-]\w)", re.IGNORECASE)
        self._me = " ".join(html.escape(me, quote=False).lower().split())

    def mark(self, rendered: Markup) -> Markup:
        """The same HTML with the names in ``<span class="mention">``."""
        if "@" not in rendered:
            return rendered
        depth = 0
        pieces = _TAG.split(str(rendered))
        for index, piece in enumerate(pieces):
            if index % 2:
                silent = _SILENT.match(piece)
                depth += (-1 if silent[1] else 1) if silent else 0
            elif not depth:
                pieces[index] = self._pattern.sub(self._span, piece)
        return Markup("".join(pieces))  # noqa: S704 - spans around text of what was safe

    def _span(self, match: re.Match[str]) -> str:
        mine = " ".join(match[1].lower().split()) == self._me
        return f'<span class="mention{" me" if mine else ""}">{match[0]}</span>'
