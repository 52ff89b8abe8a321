"""What people are told when a model fails, and what the log is told.

Owns the sentences and their codes. Neither quotes an exception: its text is the provider's and may name keys.
"""

from __future__ import annotations

import logging
import traceback
from typing import Final

from pydantic_ai import exceptions

from webapp.agents.base import AgentError, AgentTurn

logger = logging.getLogger(__name__)

_LATER: Final = "Please try again later."
_AGAIN: Final = "Please try again."

# The first that fits is told.
_SENTENCES: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (exceptions.ModelRateLimitError, "model-busy", f"The model is asked too much at the moment. {_LATER}"),
    (exceptions.ModelQuotaExceededError, "model-quota", "The account that pays for the model is used up."),
    (exceptions.ModelUnavailableError, "model-unavailable", f"The model is not available just now. {_LATER}"),
    (exceptions.ModelServerError, "model-unavailable", f"The model is not available just now. {_LATER}"),
    (exceptions.ModelTimeoutError, "model-timeout", f"The model did not answer in time. {_AGAIN}"),
    (exceptions.ModelRequestTimeout, "model-timeout", f"The model did not answer in time. {_AGAIN}"),
    (exceptions.ModelConnectionError, "model-unreachable", f"The connection to the model broke. {_AGAIN}"),
    (exceptions.ModelAuthenticationError, "model-key", "The model does not accept this server's key."),
    (exceptions.ModelNotFoundError, "model-unknown", "The model that this server asks for does not exist."),
    (
        exceptions.ModelContextWindowExceededError,
        "conversation-too-long",
        "The conversation has become too long for the model.",
    ),
    (exceptions.ModelRequestRejectedError, "model-refused", "The model refused the request."),
    (exceptions.ContentFilterError, "model-refused", "The model refused to answer this."),
    (
        exceptions.OutputTokenLimitExceeded,
        "model-output-limit",
        "The model was cut off: it said as much as it may at a time.",
    ),
    (exceptions.UsageLimitExceeded, "usage-limit", "The answer used as much of the model as it may."),
    (
        exceptions.UnexpectedModelBehavior,
        "model-confused",
        f"The model gave no answer that can be used. {_AGAIN}",
    ),
    (exceptions.ModelAPIError, "model-failed", f"The model sent something that cannot be read. {_AGAIN}"),
    (Exception, "agent-failed", "The agent failed. What it had said so far is kept."),
)


def in_words(error: Exception) -> AgentError:
    """The failure as people may read it."""
    code, sentence = next((code, text) for kind, code, text in _SENTENCES if isinstance(error, kind))
    return AgentError(sentence, code=code)


def report(error: Exception, turn: AgentTurn) -> None:
    """Log what failed, and where if it is not the model that did."""
    what = type(error).__name__
    if isinstance(error, exceptions.ModelHTTPError):
        what = f"{what}, status {error.status_code}"
    if not isinstance(error, exceptions.AgentRunError):
        what = f"{what}\n{''.join(traceback.format_tb(error.__traceback__)).rstrip()}"
    logger.warning("the model failed in run %s: %s", turn.run_id, what)
