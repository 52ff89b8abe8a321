"""Tools that a run cannot run by itself: those that need an approval, and those of the client that asked.

Owns the way from pydantic-ai's deferred tools to AG-UI's interrupts and back. Must not know how a run goes.
"""

from __future__ import annotations

import re
from typing import Any

from ag_ui.core import Interrupt, ResumeEntry, RunFinishedInterruptOutcome
from pydantic_ai import DeferredToolRequests, ToolDefinition
from pydantic_ai.agent import AbstractAgent, WrapperAgent
from pydantic_ai.tools import DeferredToolApprovalResult
from pydantic_ai.toolsets import ExternalToolset
from pydantic_ai.ui.ag_ui._interrupt import (
    approval_to_interrupt,
    interrupt_id_to_tool_call_id,
    resume_entry_to_approval,
)

from webapp.agents.base import AgentTurn
from webapp.agents.pieces import ask_client

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what every provider takes


def can_pause(agent: AbstractAgent[Any, Any]) -> bool:
    """Whether a run may be told that it can pause: pydantic-ai refuses that to agents that validate their
    output, which have to say so themselves.
    """
    while isinstance(agent, WrapperAgent):
        agent = agent.wrapped
    return not getattr(agent, "_output_validators", None)


def client_tools(turn: AgentTurn) -> ExternalToolset[Any]:
    """The tools that the client offers to run."""
    return ExternalToolset(
        [
            ToolDefinition(
                name=tool["name"],
                description=tool.get("description") or None,
                parameters_json_schema=_schema(tool.get("parameters")),
            )
            for tool in turn.tools
            if _NAME.fullmatch(tool["name"])
        ]
    )


def decisions(turn: AgentTurn) -> dict[str, Any]:
    """What people have decided, by tool call. What the client's tools gave is in the log already."""
    found: dict[str, DeferredToolApprovalResult] = {}
    for answer in turn.resume:
        if "toolCallId" not in answer:
            entry = ResumeEntry.model_validate(dict(answer))
            found[interrupt_id_to_tool_call_id(entry.interrupt_id)] = resume_entry_to_approval(entry)
    return found


def interrupts(asked: DeferredToolRequests) -> RunFinishedInterruptOutcome:
    """What a run that ended with ``asked`` waits for."""
    asks = ask_client([(call.tool_call_id, call.tool_name, call.args_as_dict()) for call in asked.calls])
    return RunFinishedInterruptOutcome(
        interrupts=[
            *(approval_to_interrupt(call, asked.metadata) for call in asked.approvals),
            *(Interrupt.model_validate(each) for each in asks["outcome"]["interrupts"]),
        ]
    )


def _schema(parameters: object) -> dict[str, Any]:
    return parameters if isinstance(parameters, dict) and parameters else {"type": "object", "properties": {}}
