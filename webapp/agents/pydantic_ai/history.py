"""The conversation in our log as pydantic-ai's message history. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from webapp.agents.base import UIMessage

_GO_ON = "(Your last answer broke off. Go on exactly where it did, in the middle of a word if need be.)"


def history(
    messages: Sequence[UIMessage],
    *,
    agent_id: str,
    go_on: bool = False,
    decided: Collection[str] = (),
) -> list[ModelMessage]:
    """The conversation as pydantic-ai has it, the triggering message last, or what a paused run had said.

    Only what the agent ``agent_id`` said is a model's answer; everybody else is heard by name. With ``go_on``
    its last answer broke off, and it is asked to go on. ``decided`` are the calls that the run goes on with:
    they have no result yet.
    """
    told = [
        each
        for message in messages
        for each in (_own(message, decided) if _author(message) == agent_id else _heard(message))
    ]
    if go_on:
        told.append(ModelRequest(parts=[UserPromptPart(content=_GO_ON)]))
    return told


def _author(message: UIMessage) -> object:
    """The id of the agent that said it, None if a person did."""
    return (message.get("metadata") or {}).get("agentId") if message.get("role") == "assistant" else None


def _heard(message: UIMessage) -> list[ModelMessage]:
    text = "".join(part.get("content", "") for part in message.get("parts", ()) if part.get("type") == "text")
    name = " ".join((message.get("name") or "Somebody").split())
    return [ModelRequest(parts=[UserPromptPart(content=f"{name}: {text}")])] if text else []


def _own(message: UIMessage, decided: Collection[str]) -> list[ModelMessage]:
    """Text and tool calls with their results; not the reasoning, which providers do not want back."""
    told: list[ModelMessage] = []
    said: list[TextPart | ToolCallPart] = []
    returns: list[ToolReturnPart] = []

    def turn_over() -> None:
        if said:
            told.append(ModelResponse(parts=[*said]))
        if returns:
            told.append(ModelRequest(parts=[*returns]))
        said.clear()
        returns.clear()

    for part in message.get("parts", ()):
        match part:
            case {"type": "text", "content": str(text)} if text:
                if returns:
                    turn_over()
                said.append(TextPart(content=text))
            # A call without an output was cut off. A model must not see one without the other.
            case {"type": "tool-call", "id": str(call), "name": str(name), "output": output}:
                said.append(ToolCallPart(name, part.get("arguments") or "{}", tool_call_id=call))
                returns.append(ToolReturnPart(name, output, tool_call_id=call))
            case {"type": "tool-call", "id": str(call), "name": str(name)} if call in decided:
                said.append(ToolCallPart(name, part.get("arguments") or "{}", tool_call_id=call))
    turn_over()
    return told
