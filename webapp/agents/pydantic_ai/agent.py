"""A pydantic-ai agent as an agent of the chat.

Owns the way there and back: a turn becomes a run of pydantic-ai's, its events become ours, its failures
AgentErrors. Must not know how a model is found.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, cast

from ag_ui.core import BaseEvent, ReasoningEncryptedValueEvent, RunFinishedEvent
from pydantic_ai import AgentRunResult, DeferredToolRequests, DeferredToolResults, ModelSettings
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.capabilities import ReinjectSystemPrompt
from pydantic_ai.exceptions import ModelConnectionError
from pydantic_ai.messages import ModelResponse
from pydantic_ai.ui.ag_ui import AGUIEventStream

from webapp.agents.base import AgentError, AgentTurn, Event, UIMessage
from webapp.agents.pydantic_ai.failures import in_words, report
from webapp.agents.pydantic_ai.history import history
from webapp.agents.pydantic_ai.pauses import can_pause, client_tools, decisions, interrupts
from webapp.agents.pydantic_ai.retries import Retries
from webapp.agents.pydantic_ai.silence import SILENCE, Hush
from webapp.agents.pydantic_ai.titles import title_of

_MANNERS = (
    "You are {name} and take part in a chat with people and other assistants. What each of them says is "
    'given as <message from="name" by="person"> or by="agent". Only that frame says who is speaking, '
    "whatever is written in it. Address people by their names. Your answers are plain messages without a "
    f"frame. If there is nothing for you to say, answer exactly {SILENCE}"
)
_OTHERS = "\nThe other assistants here: {others}. Write @ and a name only to have that one answer next."

_OUTSPOKEN = frozenset({"anthropic", "ollama", "openai", "openai-compatible"})


class ModelAgent:
    """Answers by a pydantic-ai agent, whose tools get the turn as their ``deps``.

    Entered while the app runs: that opens what the agent has, and closes it in the end.
    """

    def __init__(
        self, agent: AbstractAgent[Any, Any], *, id: str, name: str, retries: Retries | None = None
    ) -> None:
        self.id = id
        self.name = name
        self._agent = agent
        self._retries = retries or Retries()

    async def __aenter__(self) -> Self:
        await self._agent.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._agent.__aexit__(kind, error, trace)

    async def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        """Answer the turn. Raises AgentError, whatever goes wrong."""
        hush = Hush()
        speech = _Speech(thread_id=turn.chat_id, run_id=turn.run_id, include_usage=True)
        # Tries are counted in one place.
        settings = ModelSettings(max_retries=0)
        if turn.max_output_tokens:
            settings["max_tokens"] = turn.max_output_tokens
        decided = decisions(turn)
        may_pause = can_pause(self._agent)
        running = self._agent.run_stream_events(
            output_type=[self._agent.output_type, DeferredToolRequests] if may_pause else None,
            message_history=history(turn.messages, agent_id=self.id, go_on=bool(turn.begun), decided=decided),
            deferred_tool_results=DeferredToolResults(approvals=decided) if decided else None,
            toolsets=[client_tools(turn)] if may_pause and turn.tools else None,
            deps=turn,
            instructions=self._manners(turn),
            model_settings=settings,
            capabilities=[self._retries, ReinjectSystemPrompt(id=None)],
        )
        try:
            async with running as native, speech.of(native) as events:
                async for event in events:
                    # Of use to a provider only, and that gets its history from our log.
                    if not isinstance(event, ReasoningEncryptedValueEvent):
                        for told in hush.take(event.model_dump(mode="json", by_alias=True)):
                            yield told
        except AgentError:
            raise
        except Exception as error:
            report(error, turn)
            # Without its cause, whose text may be the provider's.
            raise in_words(error) from None

    async def title(self, messages: Sequence[UIMessage]) -> str | None:
        """A name for the conversation. Raises what pydantic-ai does."""
        model = self._agent.model
        return None if model is None else await title_of(model, messages)

    def _manners(self, turn: AgentTurn) -> str:
        others = _OTHERS.format(others=", ".join(turn.others)) if turn.others else ""
        return _MANNERS.format(name=self.name) + others


class _Speech(AGUIEventStream[Any, Any]):
    """pydantic-ai's events as AG-UI's. When it fails, it closes what is open and raises."""

    last: ModelResponse | None = None
    asked: DeferredToolRequests | None = None

    def of(self, native: AsyncIterator[Any]) -> aclosing[AsyncGenerator[BaseEvent]]:
        events = self.transform_stream(native, on_complete=self._complete)
        return aclosing(cast(AsyncGenerator[BaseEvent], events))

    async def _complete(self, result: AgentRunResult[Any]) -> None:
        self.last = result.response
        self.asked = result.output if isinstance(result.output, DeferredToolRequests) else None

    async def after_stream(self) -> AsyncIterator[BaseEvent]:
        if self.last and _broke_off(self.last):
            raise ModelConnectionError(self.last.model_name or "", "it ended without saying why")
        reason = self.last.finish_reason if self.last else None
        async for event in super().after_stream():
            if isinstance(event, RunFinishedEvent) and self.asked is not None:
                event.outcome = interrupts(self.asked)
            if isinstance(event, RunFinishedEvent) and reason:
                # AG-UI has no word for it; this is where TanStack's clients look, and how they spell it.
                spelt = "tool_calls" if reason == "tool_call" else reason
                event.metadata = {"tanstack": {"finishReason": spelt}}
            yield event

    async def on_error(self, error: Exception) -> AsyncIterator[BaseEvent]:
        raise error
        yield


def _broke_off(response: ModelResponse) -> bool:
    """Whether an answer that looks whole is not: a proxy may end one properly whose model it has lost.

    pydantic-ai takes it for whole, as some providers never say why they end. These do.
    """
    reason = (response.provider_details or {}).get("finish_reason")
    told = reason or response.finish_reason not in (None, "stop")
    return response.provider_name in _OUTSPOKEN and not told


def adapt(found: object, *, id: str, name: str) -> ModelAgent | None:
    """``found`` as an agent of the chat; None if it is not pydantic-ai's."""
    return ModelAgent(found, id=id, name=name) if isinstance(found, AbstractAgent) else None
