"""The seam between a chat and whatever answers in it.

An agent is handed one turn and yields AG-UI events as plain dicts in camelCase. It emits text, reasoning
and tool events and its own RUN_FINISHED only if it wants to set an ``outcome``, ``usage`` or ``metadata``;
the supervisor adds RUN_STARTED, identity, and whichever terminal event is missing. An exception becomes a
RUN_ERROR with a sentence, never with the exception's text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

Event: TypeAlias = dict[str, Any]
UIMessage: TypeAlias = dict[str, Any]


def text_of(message: UIMessage) -> str:
    """All its text."""
    parts = message.get("parts") or ()
    return "".join(part.get("content", "") for part in parts if part.get("type") == "text")


class AgentError(Exception):
    """A failure the people may read: ``sentence`` is shown, ``code`` is stable."""

    def __init__(self, sentence: str, *, code: str = "agent-failed") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code


class AgentUnusable(Exception):
    """An agent that cannot be opened. The message is one line for whoever starts the app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTurn:
    """What an agent is asked to do once.

    ``messages`` is the active path of the conversation, oldest first, the triggering message last
    (UIMessage dicts: ``id, role, name?, parts, metadata?``). ``text`` is that last message's text and
    ``speaker`` its author's name: a person, or another agent that has mentioned this one. ``others`` are the
    names of the other agents in the chat; whoever writes ``@name`` has that one answer next. ``data`` is what
    the client sent along, ``tools`` those it offers to run itself (AG-UI: ``name, description, parameters``).

    To have one of them run, or an approval, an agent ends with the outcome ``interrupt``. Once that is
    answered it is asked again: ``resume`` are the answers (AG-UI: ``interruptId, status, payload``), and what
    it had said before, with the results of tools, follows the triggering message. So it does when an answer
    broke off and is to go on where it did: ``begun`` is its text so far.

    ``max_output_tokens`` is what one answer may cost, 0 for any number. An agent with a model hands it on;
    the bytes of an answer are counted whatever it does.
    """

    chat_id: str
    run_id: str
    messages: Sequence[UIMessage]
    text: str
    speaker: str
    others: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Mapping[str, Any]] = ()
    resume: Sequence[Mapping[str, Any]] = ()
    begun: str = ""
    max_output_tokens: int = 0


class Agent(Protocol):
    """Anything with a name that can answer a turn.

    ``id`` is stable and ends up in ``metadata.agentId``; ``name`` is shown. Both are optional on objects
    given by users: the registry falls back to the attribute's name. An agent that is an async context manager
    is entered while the app runs. One with ``async def title(messages) -> str | None`` is asked to name the
    chat after its first answer.
    """

    id: str
    name: str

    def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        """Yield AG-UI events. Cancelled by CancelledError when the run is stopped."""
        ...
