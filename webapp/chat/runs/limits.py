"""How much runs may take.

Owns numbers. Must not know what enforces them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """Bounds of runs; times in seconds."""

    time_limit: float = 300.0
    """From RUN_STARTED on; then the run ends with the code ``time-limit``."""

    idle_limit: float = 120.0
    """Of silence from the agent, while no tool of its is at work; then the code is ``model-timeout``."""

    max_output_bytes: int = 8 * 1024 * 1024
    """Of one run's events as JSON; then the run ends with the code ``output-limit``."""

    max_active_per_participant: int = 16
    """Runs of one person that are queued or running, in all chats."""

    max_queued_per_chat: int = 64
    """Runs of one chat that are queued or running."""

    max_hourly_per_participant: int = 240
    """Runs of one person that are accepted within an hour, in all chats; 0 for any number."""

    max_hourly_per_chat: int = 600
    """Runs of one chat that are accepted within an hour; 0 for any number."""

    max_output_tokens: int = 0
    """What an agent is asked to keep to in one answer; 0 for any number."""

    agent_turns: int = 6
    """Of agents since the last message of a person that they talk about; then they wait for a person."""

    duplicate_window: float = 10.0
    """So long after a run's end, its message sent again without a run id is still the same request."""

    lease: float = 15.0
    """So long a run's owner may be silent before another process takes the run over. Renewed every third."""

    agent_farewell: float = 1.0
    """So long an agent that was told to stop may take to let go of its provider."""

    window: float = 0.04
    """So long a delta may be held back for others to join it."""
