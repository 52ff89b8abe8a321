"""What a chat is called by what was said in it first: the words, without the marks of Markdown. The twin of
``static/js/page/title.js``. Pure; must not know chats."""

from __future__ import annotations

import re

_LOOKED_AT = 400
"""A title is shorter than what so many characters say."""

_FENCE = re.compile(r"^[ ]*(?:`{3,}|~{3,})\S*$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)")
_CODE = re.compile(r"(`+)(.+?)\1")
_PAIR = re.compile(r"(?<![\w*~])(\*{1,3}|_{1,3}|~~)(?=\S)(.+?)(?<=\S)\1(?![\w*~])")
_LEAD = re.compile(r"^[ ]*(?:(?:#{1,6}|[-*+])[ ]+|>[ ]?)+", re.MULTILINE)


def unmarked(text: str) -> str:
    """The beginning of ``text`` without marks, or with them if there is nothing else."""
    said = text.strip()[:_LOOKED_AT]
    said = _CODE.sub(r"\2", _LINK.sub(r"\1", _FENCE.sub("", said)))
    for _ in range(2):  # one mark inside another
        said = _PAIR.sub(r"\2", said)
    return _LEAD.sub("", said).strip() or text
