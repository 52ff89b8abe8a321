"""The conversation in our log as pydantic-ai's message history. Pure.

Owns how a model is told who speaks. A model has two voices, its own and the user's, and everybody else comes
through the second one. So each message of others is an element that names its author; nothing inside one can
end it or begin another, and no two authors have the same name.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from webapp.agents.base import UIMessage, text_of

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
    names = _names(messages)
    told = [
        each
        for message in messages
        for each in (
            _own(message, decided)
            if _author(message) == ("agent", agent_id)
            else _heard(message, names[_author(message)])
        )
    ]
    if go_on:
        told.append(ModelRequest(parts=[UserPromptPart(content=_GO_ON)]))
    return told


_Author = tuple[str, object]

_FRAME = re.compile(r"<(?=\s*/?\s*message)", re.IGNORECASE)


def framed(name: str, kind: str, text: str) -> str:
    """What ``name``, a person or an agent, has said."""
    inside = _FRAME.sub("&lt;", text)
    return f'<message from="{html.escape(name)}" by="{kind}">\n{inside}\n</message>'


def _author(message: UIMessage) -> _Author:
    """Whether a person or an agent said it, and the id of which."""
    by_agent = message.get("role") == "assistant"
    author = (message.get("metadata") or {}).get("agentId" if by_agent else "participantId")
    return ("agent", author) if by_agent else ("person", author or message.get("name"))


def _names(messages: Iterable[UIMessage]) -> Mapping[_Author, str]:
    """What each author is called. Names that agents have are theirs; who comes second gets a number."""
    names: dict[_Author, str] = {}
    taken: set[str] = set()
    for message in sorted(messages, key=lambda each: _author(each)[0]):
        author = _author(message)
        if author in names:
            continue
        wanted = " ".join((message.get("name") or "Somebody").split())
        name, number = wanted, 1
        while name.casefold() in taken:
            number += 1
            name = f"{wanted} ({number})"
        names[author] = name
        taken.add(name.casefold())
    return names


def _heard(message: UIMessage, name: str) -> list[ModelMessage]:
    text = text_of(message)
    told = framed(name, _author(message)[0], text)
    return [ModelRequest(parts=[UserPromptPart(content=told)])] if text else []


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
