"""Both reducers side by side, and the streams they are tried on.

A case is ``{name, events, finalize, messages}``; our own vectors also say ``activeRuns`` and ``runs``,
and some ``roster`` and ``notes``.
``<auto>`` stands for any id.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / ".." / "shared" / "golden" / "reducer-cases.jsonl"
VECTORS = ROOT / "tests" / "golden"

Case = dict[str, Any]


def recorded_cases() -> list[Case]:
    """What TanStack AI's own processor made of its own tests' streams; none where the file is not present."""
    return _read(RECORDED) if RECORDED.is_file() else []


def own_cases() -> list[Case]:
    return [case for path in sorted(VECTORS.glob("*.jsonl")) for case in _read(path)]


def _read(path: Path) -> list[Case]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def matches(actual: Any, expected: Any) -> bool:
    if expected == "<auto>":
        return isinstance(actual, str) and bool(actual)
    if isinstance(expected, dict):
        return (
            isinstance(actual, dict)
            and actual.keys() == expected.keys()
            and all(matches(actual[key], value) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list) and len(actual) == len(expected) and all(map(matches, actual, expected))
        )
    return bool(actual == expected)


class JsReducer:
    """The browser's reducer in one Node process for many questions."""

    def __init__(self) -> None:
        self._node = subprocess.Popen(
            ["node", str(ROOT / "tests" / "js" / "chat-reducer-runner.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def reduce(
        self, events: list[Any], *, final: bool = False, snapshot: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The snapshot after ``events``, begun at ``snapshot``."""
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        job = {"events": events, "final": final} | ({"snapshot": snapshot} if snapshot else {})
        self._node.stdin.write(json.dumps(job).encode() + b"\n")
        self._node.stdin.flush()
        reply: dict[str, Any] = json.loads(self._node.stdout.readline())
        return reply

    def close(self) -> None:
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.close()
        self._node.wait(timeout=10)
        self._node.stdout.close()
