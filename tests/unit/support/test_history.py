"""The judge of concurrent histories: it lets the good one pass and catches each kind of bad one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.history import Append, Read, check

LOG = [10, 11, 12]
APPENDS = [Append(10, 0, 2, "a"), Append(11, 1, 3, "b"), Append(12, 4, 5, "c")]
READS = [
    Read("-1", (), "0", True, 0, 0.5),
    Read("0", [10], "a", False, 3.5, 6),
    Read("a", [11, 12], "c", True, 6, 7),
    Read("-1", LOG, "c", True, 8, 9),
]


def test_a_good_history() -> None:
    check(LOG, APPENDS, READS)
    check(LOG, [replace(APPENDS[1], ended=float("inf"), offset=""), APPENDS[0], APPENDS[2]], READS)
    check(LOG, [*APPENDS, Append(13, 4)], READS)  # nobody knows what became of it


@pytest.mark.parametrize(
    ("log", "appends", "reads", "said"),
    [
        ([10, 11, 11, 12], APPENDS, [], "twice"),
        ([10, 12], APPENDS, [], "lost"),
        ([10, 11, 12, 13], APPENDS, [], "nobody sent"),
        ([12, 10, 11], APPENDS, [], "ended before"),
        ([11, 10, 12], APPENDS, [], "do not grow"),
        (LOG, [APPENDS[0], replace(APPENDS[1], offset="a"), APPENDS[2]], [], "share an offset"),
        (LOG, APPENDS, [Read("a", [12], "c", True, 6, 7)], "contiguous"),
        (LOG, APPENDS, [Read("-1", [10, 12], "c", True, 6, 7)], "contiguous"),
        (LOG, APPENDS, [Read("-1", [10, 11], "c", True, 6, 7)], "not where the run ends"),
        (LOG, APPENDS, [Read("-1", [10], "a", True, 3.5, 6)], "2 had been seen"),  # 11 was acknowledged at 3
        (
            LOG,
            [*APPENDS[:2], Append(12, 4)],
            [READS[3], Read("-1", [10, 11], "b", True, 10, 11)],
            "3 had been seen",
        ),
    ],
)
def test_a_bad_history(log: list[int], appends: list[Append], reads: list[Read], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check(log, appends, reads)
