"""What a client sends to have a run: AG-UI's ``RunAgentInput``, or the durable transport's ``{messages}``.

Owns the shape of that body and its way to the supervisor. Whatever may be left out may be missing: published
clients differ. Of the messages only the newest of the user is believed, the others need no more than a role.
With a ``resume``, or results of tools at the end, the run that waits for them is meant. Must not know over
which transport it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, Any, Literal

import msgspec

from webapp.chat.messages import NewMessage, Role, named_answer, newest_user_message
from webapp.chat.runs import Accepted
from webapp.chat.runs.pauses import Answer
from webapp.web.errors import MalformedBody
from webapp.web.guards import Admission, asked, check_placed, check_run
from webapp.web.identity import Visitor, remember
from webapp.web.schemas import RunId
from webapp.web.services import Services

_MAX_TOOLS = 128


class _Message(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant", "system", "developer", "tool", "reasoning", "activity"]


class _Tool(msgspec.Struct, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    description: str = ""
    parameters: Any = None


class _Context(msgspec.Struct, frozen=True):
    description: str
    value: str


class _Resume(msgspec.Struct, frozen=True, rename="camel"):
    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class _RunAgentInput(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    messages: list[_Message]
    thread_id: str | None = None
    run_id: RunId | None = None
    parent_run_id: RunId | None = None
    tools: Annotated[list[_Tool], msgspec.Meta(max_length=_MAX_TOOLS)] | None = None
    context: list[_Context] | None = None
    resume: Annotated[list[_Resume], msgspec.Meta(max_length=_MAX_TOOLS)] | None = None
    state: Any = None
    forwarded_props: dict[str, Any] | None = None
    data: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInput:
    """A request for a run, checked. ``thread_id`` is the chat, if the address does not say it."""

    thread_id: str | None
    run_id: str | None
    parent_run_id: str | None
    message: NewMessage | None
    agent_id: str | None
    """Whom it is for, whomever its text addresses."""
    data: dict[str, Any]
    tools: tuple[dict[str, Any], ...]
    answers: tuple[Answer, ...] = ()
    """To what a paused run asked; only then there is no ``message``."""


def parse_run_input(body: dict[str, Any], *, run_id: str | None = None) -> RunInput:
    """Raises MalformedBody, which names the field, and whatever is wrong with the message itself.

    ``run_id`` counts if the body has none.
    """
    try:
        found = msgspec.convert(body, _RunAgentInput)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"The body does not fit: {error}.") from None
    answers = tuple(msgspec.to_builtins(found.resume or ())) or _tool_results(body["messages"])
    # The same thing under AG-UI's name and the older one.
    data = (found.forwarded_props if found.data is None else found.data) or {}
    agent_id = data.get("agentId")
    # To have that agent answer another one again is the only thing an agent's message at the end can mean.
    answered = named_answer(body) if agent_id is not None else None
    return RunInput(
        thread_id=found.thread_id,
        run_id=found.run_id or run_id,
        parent_run_id=found.parent_run_id,
        message=None if answers else answered or newest_user_message(body),
        agent_id=agent_id if isinstance(agent_id, str) else None,
        data=data,
        tools=tuple(body.get("tools") or ()),
        answers=answers,
    )


def _tool_results(messages: list[dict[str, Any]]) -> tuple[Answer, ...]:
    """The messages with the role tool at the end, as answers."""
    newest = list(takewhile(lambda each: each["role"] == "tool", reversed(messages)))[::-1]
    return tuple(
        {"toolCallId": each["toolCallId"], "status": "resolved", "payload": each.get("content")}
        for each in newest[-_MAX_TOOLS:]
        if isinstance(each.get("toolCallId"), str)
    )


async def accept(services: Services, visitor: Visitor, admission: Admission, wanted: RunInput) -> Accepted:
    """Have the run. The visitor has been let into the chat; a guest is stored only now."""
    if wanted.message is None:
        accepted = await _resume(services, visitor, admission, wanted)
    else:
        await check_placed(services, admission, wanted.message)
        message = await services.excerpts.placed(admission.chat.id, wanted.message, since=admission.since)
        accepted = await _accept(services, visitor, admission, wanted, message)
    await check_run(services, admission, accepted.run_id)
    return accepted


async def _accept(
    services: Services, visitor: Visitor, admission: Admission, wanted: RunInput, message: NewMessage
) -> Accepted:
    return await services.supervisor.accept(
        chat_id=admission.chat.id,
        message=message,
        agent_id=wanted.agent_id,
        run_id=wanted.run_id,
        parent_run_id=wanted.parent_run_id,
        data=wanted.data,
        tools=wanted.tools,
        participant=await remember(services, visitor),
    )


async def _resume(services: Services, visitor: Visitor, admission: Admission, wanted: RunInput) -> Accepted:
    paused = await asked(services, admission, wanted.answers, run_id=wanted.parent_run_id)
    return await services.supervisor.resume(
        chat_id=admission.chat.id,
        answers=wanted.answers,
        may_approve=admission.role >= Role.APPROVE,
        run_id=wanted.run_id,
        parent_run_id=paused,
        data=wanted.data,
        tools=wanted.tools,
        participant=await remember(services, visitor),
    )
