"""Reading values of any type out of a stream that others may write to, and showing them as text.

Must not know what the values are of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

SUMMARY_LENGTH = 80


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def number(value: object) -> float | None:
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def moment(milliseconds: object) -> datetime | None:
    at = number(milliseconds)
    try:
        return None if at is None else datetime.fromtimestamp(at / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def pretty(value: object) -> str:
    """JSON with line breaks; text that is not JSON as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return str(value)
        if isinstance(value, str):
            return value
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False, default=str)


def summary(arguments: object) -> str:
    """The arguments on one short line: ``city: Berlin, days: 3``."""
    value = arguments
    if isinstance(arguments, str):
        try:
            value = json.loads(arguments)
        except (ValueError, RecursionError):
            value = arguments
    if isinstance(value, dict):
        line = ", ".join(
            f"{key}: {one if isinstance(one, str) else _compact(one)}" for key, one in value.items()
        )
    else:
        line = value if isinstance(value, str) else ("" if value is None else _compact(value))
    line = " ".join(line.split())
    return line if len(line) <= SUMMARY_LENGTH else line[: SUMMARY_LENGTH - 1] + "…"


def _compact(value: object) -> str:
    """JSON as JavaScript writes it: the page's scripts show the same line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
