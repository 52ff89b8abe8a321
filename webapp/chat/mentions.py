"""Whom a message names with an ``@``. Pure.

Owns what counts as naming somebody. What is quoted or code is somebody's or something's words and addresses
nobody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_QUOTE = re.compile(r" {0,3}>")


def mentioned(text: str, names: Mapping[str, str]) -> list[str]:
    """Who is named in ``text``, each once, in the order of their first mention.

    ``names`` maps what somebody may be called to what is returned for them; case does not matter, and of
    two names that fit the longer one is meant.
    """
    owners = {" ".join(_folded(name).split()): owner for name, owner in names.items() if name.strip()}
    if not owners or "@" not in text:
        return []
    longest_first = sorted(owners, key=len, reverse=True)
    alternatives = "|".join(re.escape(name).replace(r"\ ", r"\s+") for name in longest_first)
    # Not in an address (me@critic.org, site.org/@critic) nor in a longer word (@critics, @critic-bot).
    pattern = re.compile(rf"(?<![\w@/])@({alternatives})(?![\w@]|[.-]\w)")
    found = pattern.finditer(_folded(" \n".join(_prose(text))))
    return list(dict.fromkeys(owners[" ".join(match[1].split())] for match in found))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _prose(text: str) -> Iterator[str]:
    """The paragraphs of ``text``, without code blocks, quotations and code."""
    paragraph: list[str] = []
    fence = ""
    for line in text.splitlines():
        if fence:
            closed = line.strip()
            if closed and len(closed) >= len(fence) and set(closed) == {fence[0]}:
                fence = ""
            continue
        opened = _FENCE.match(line)
        if opened is None and line.strip() and _QUOTE.match(line) is None:
            paragraph.append(line)
            continue
        yield _without_code("\n".join(paragraph))
        paragraph = []
        # The rest of the line that opens backticks has none, or it is a code span.
        if opened is not None and not (opened[1][0] == "`" and "`" in line[opened.end() :]):
            fence = opened[1]
        elif opened is not None:
            paragraph.append(line)
    yield _without_code("\n".join(paragraph))


def _without_code(text: str) -> str:
    """A paragraph without its code spans: from a run of backticks to the next one of the same length."""
    runs = list(re.finditer("`+", text))
    last = {len(run[0]): place for place, run in enumerate(runs)}
    kept, at, place = [], 0, 0
    while place < len(runs):
        length = len(runs[place][0])
        if last[length] == place:
            place += 1
            continue
        end = next(i for i in range(place + 1, len(runs)) if len(runs[i][0]) == length)
        kept.append(text[at : runs[place].start()])
        at = runs[end].end()
        place = end + 1
    return "`".join([*kept, text[at:]])
