"""Why a run ends otherwise than by its agent's own word: a code for programs, a sentence for people.

Owns those texts. Must not know how a run is ended.
"""

from __future__ import annotations

from typing import Final

FAILED: Final = ("agent-failed", "The agent failed. What it had said so far is kept.")
INTERRUPTED: Final = ("interrupted", "The server was stopped while this answer was being written.")
NOT_STORED: Final = ("not-stored", "A part of this answer could not be stored.")
OUTPUT_LIMIT: Final = ("output-limit", "The agent said more than one answer may hold and was stopped.")
TIME_LIMIT: Final = ("time-limit", "The agent took too long and was stopped.")
MODEL_TIMEOUT: Final = ("model-timeout", "The model did not answer in time. Please try again.")
APPROVAL_VOID: Final = (
    "approval-void",
    "What was approved has changed since, so it was not run. Please ask again.",
)
