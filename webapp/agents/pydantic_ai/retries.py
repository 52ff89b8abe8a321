"""When a model that did not answer is asked again.

Owns which failures pass by themselves, and how long to wait. pydantic-ai consults it before the first token
only: what people have seen begin is not begun again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic_ai import RunContext, exceptions
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import ModelRequestContext

from webapp.streams.clients.retry import Retry

Sleep = Callable[[float], Awaitable[None]]

_RETRY = Retry(attempts=4, base=0.5, cap=8.0)
_LONGEST_WAIT = 30.0  # a person is waiting; beyond that they are told


@dataclass
class Retries(AbstractCapability[Any]):
    """Another try after a wait, at least as long as the provider asks for."""

    retry: Retry = _RETRY
    sleep: Sleep = asyncio.sleep
    rng: random.Random = field(default_factory=random.SystemRandom)

    async def on_model_request_error(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, error: Exception
    ) -> ModelResponse:
        """Ask for another try, or raise the error."""
        asked = getattr(error, "retry_after", None) or 0.0
        if not passes(error) or request_context.attempt >= self.retry.attempts or asked > _LONGEST_WAIT:
            raise error
        await self.sleep(self.retry.delay(request_context.attempt, floor=asked, rng=self.rng))
        raise exceptions.RetryModelRequest


def passes(error: Exception) -> bool:
    """Whether the same request may succeed a little later. One that timed out has waited long enough."""
    return isinstance(
        error,
        exceptions.ModelRateLimitError
        | exceptions.ModelUnavailableError
        | exceptions.ModelServerError
        | exceptions.ModelConnectionError,
    ) and not isinstance(error, exceptions.ModelTimeoutError)
