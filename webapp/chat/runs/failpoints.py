"""Where a run can die, so that tests can make it die there.

``DURABLE_CHAT_FAILPOINT=<step>[:n]`` ends this process with SIGKILL the nth time it comes to that step, as a
crash would: no handler runs and nothing is flushed. Owns the names of the steps. Must not know what happens
at them.
"""

from __future__ import annotations

import os
import signal
from enum import StrEnum
from typing import Final

VARIABLE: Final = "DURABLE_CHAT_FAILPOINT"


class Step(StrEnum):
    """Every place between two durable writes of a run, in order."""

    ROW_COMMITTED = "row-committed"  # accepted; the message is not in the stream
    MESSAGE_APPENDED = "message-appended"  # in the stream; the row does not know
    MARKED_APPENDED = "marked-appended"  # nobody has been told, no agent has begun
    MARKED_RUNNING = "marked-running"  # the row says that it runs, the stream does not
    STARTED = "started"  # RUN_STARTED is in the stream; the agent has not been asked
    BATCH_PUT = "batch-put"  # some of the answer may be in the stream
    DECIDED = "decided"  # how the run ends is known here and nowhere else
    ENDED = "ended"  # the terminal event is in the stream; the row does not know
    MARKED_DONE = "marked-done"

    STOP_REQUESTED = "stop-requested"  # another process has been asked to stop its run

    CHANGE_COMMITTED = "change-committed"  # a waiting message was edited, dropped or put first
    CHANGE_TOLD = "change-told"  # the stream knows; the row does not know that it does

    FORKED = "forked"  # there is another stream; what was open in it is open, and nobody can see it
    FORK_CLOSED = "fork-closed"  # nothing is open in it any more; there is no chat of that name

    CLAIMED = "claimed"  # a row has a new owner, and its old one may still write
    FENCED = "fenced"  # it cannot any more
    SETTLED = "settled"  # the run that was taken over has its end in the stream


def _armed() -> tuple[Step, int] | None:
    step, _, count = os.environ.get(VARIABLE, "").partition(":")
    return (Step(step), int(count or 1)) if step else None


_failpoint = _armed()
_left = _failpoint[1] if _failpoint else 0


def reached(step: Step) -> None:
    """A run has come to ``step``: the end of this process, if that is its failpoint."""
    global _left  # noqa: PLW0603 - a process has one life
    if _failpoint is None or _failpoint[0] is not step:
        return
    _left -= 1
    if not _left:
        os.kill(os.getpid(), signal.SIGKILL)
