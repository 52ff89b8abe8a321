"""Finds the agent that a setting names.

Owns the spelling of agent specs and what counts as an agent. Must not import any provider's library until a
spec asks for it.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any

from webapp.agents.base import Agent, AgentTurn, Event
from webapp.agents.pieces import Piece, as_events
from webapp.agents.scripted import CriticAgent, DemoAgent, EchoAgent

_BUILT_IN: dict[str, Callable[[], Agent]] = {"demo": DemoAgent, "critic": CriticAgent, "echo": EchoAgent}

# What pydantic-ai calls its providers. A spec that begins with one names a model, not a module.
PROVIDERS = frozenset({
    "alibaba", "anthropic", "azure", "azure-responses", "bedrock", "bedrock-mantle", "cerebras", "cohere",
    "crusoe", "deepseek", "fireworks", "github", "github-copilot", "google", "google-cloud", "groq",
    "heroku", "huggingface", "litellm", "meta", "mistral", "moonshotai", "nebius", "ollama", "openai",
    "openai-chat", "openai-chatgpt", "openai-codex", "openai-responses", "openrouter", "ovhcloud",
    "sambanova", "snowflake", "together", "typesafe", "vercel", "vllm", "xai", "zai",
})  # fmt: skip

_EXTRA = "it needs the extra llm: pip install 'durable-chat[llm]', or make llm in the source folder"


class AgentNotFound(Exception):
    """An agent spec that leads to no agent. The message is one line for whoever wrote the spec."""


class OwnAgent(AbstractAsyncContextManager[None]):
    """An agent made of a name and ``run``, which yields strings, events or both.

    Entered while the app runs: that opens ``resource``, and closes it in the end.
    """

    def __init__(
        self,
        *,
        id: str,
        name: str,
        run: Callable[[AgentTurn], AsyncIterator[Piece]],
        resource: AbstractAsyncContextManager[Any] | None = None,
    ) -> None:
        self.id = id
        self.name = name
        self._run = run
        self._resource = resource or nullcontext()

    async def __aenter__(self) -> None:
        await self._resource.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resource.__aexit__(kind, error, trace)

    def run(self, turn: AgentTurn) -> AsyncIterator[Event]:
        """Answer the turn."""
        return as_events(self._run(turn))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is asked of an agent besides its spec. ``instructions`` and ``tools`` are for models."""

    id: str | None = None
    name: str | None = None
    instructions: str | None = None
    tools: Sequence[Callable[..., Any]] = ()


_NO_WISHES = Wishes()


def load_agent(spec: str, wishes: Wishes = _NO_WISHES) -> Agent:
    """The agent for ``demo``, ``critic``, ``echo``, ``provider:model`` or ``module:attr``. Raises
    AgentNotFound.

    ``attr`` may be an agent, a class of agents that needs no arguments, an agent made with pydantic-ai, or
    just an async generator function ``async def run(turn)`` that yields AG-UI events or plain strings.
    Without an ``id`` or a ``name`` it is called what the attribute is called.
    """
    module_name, colon, attribute = spec.partition(":")
    if module_name in PROVIDERS and attribute:
        return _model(spec, wishes)
    if wishes.instructions or wishes.tools:
        raise AgentNotFound(f"Agent {spec!r} is no model, and takes neither instructions nor tools.")
    if spec in _BUILT_IN:
        agent = _BUILT_IN[spec]()
        agent.id, agent.name = wishes.id or agent.id, wishes.name or agent.name
        return agent
    if not colon or not attribute or not module_name:
        raise AgentNotFound(
            f"Unknown agent {spec!r}: use demo, echo, a model such as openai:gpt-5.1, or module:attr for one "
            "of your own."
        )
    if module_name.endswith(".py"):
        meant = f"{module_name.removesuffix('.py')}:{attribute}"
        raise AgentNotFound(f"Agent {spec!r} names a file; name the module instead: {meant}")
    return _adopt(look_up(module_name, attribute, spec), attribute, spec, wishes)


def _model(spec: str, wishes: Wishes) -> Agent:
    models = _pydantic_ai(spec)
    try:
        agent: Agent = models.load_model(
            spec, id=wishes.id, name=wishes.name, instructions=wishes.instructions, tools=wishes.tools
        )
    except models.ModelUnusable as error:
        raise AgentNotFound(f"Agent {spec!r}: {error}") from error
    return agent


def _pydantic_ai(spec: str) -> ModuleType:
    """Our adapter, which takes a second to import and may not be there."""
    try:
        return importlib.import_module("webapp.agents.pydantic_ai")
    except ImportError as error:
        raise AgentNotFound(f"Agent {spec!r}: {_EXTRA}.") from error


def look_up(module_name: str, attribute: str, spec: str) -> object:
    """What ``module:attr`` is. Raises AgentNotFound, in which ``spec`` is what was asked for."""
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        where = f" (looked in {os.getcwd()} too)" if error.name == module_name else ""
        if error.name == "pydantic_ai":
            where = f"; {_EXTRA}"
        raise AgentNotFound(f"Agent {spec!r}: {_one_line(error)}{where}") from error
    except (Exception, SystemExit) as error:
        raise AgentNotFound(f"Agent {spec!r}: cannot import {module_name}: {_one_line(error)}") from error
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise AgentNotFound(f"Agent {spec!r}: {module_name} has no {attribute}.") from None
    return found


def _adopt(found: Any, attribute: str, spec: str, wishes: Wishes) -> Agent:
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise AgentNotFound(f"Agent {spec!r}: {attribute}() failed: {_one_line(error)}") from error
    label = attribute.rpartition(".")[2]
    named = {
        "id": wishes.id or _text(found, "id") or _slug(label),
        "name": wishes.name or _text(found, "name") or _title(label),
    }
    if any(base.__module__.partition(".")[0] == "pydantic_ai" for base in type(found).__mro__):
        adapted: Agent | None = _pydantic_ai(spec).adapt(found, **named)
        if adapted is not None:
            return adapted
    run = found if inspect.isasyncgenfunction(found) else getattr(found, "run", None)
    if not callable(run) or inspect.iscoroutinefunction(run) or inspect.isgeneratorfunction(run):
        raise AgentNotFound(
            f"Agent {spec!r} has no run(turn) and is no async generator: async def, with a yield in it."
        )
    if not _takes_a_turn(run):
        raise AgentNotFound(f"Agent {spec!r} must take one argument, the turn.")
    resource = found if isinstance(found, AbstractAsyncContextManager) else None
    return OwnAgent(**named, run=run, resource=resource)


def _takes_a_turn(run: Callable[..., object]) -> bool:
    try:
        inspect.signature(run).bind(None)
    except TypeError:
        return False
    return True


def _text(found: object, attribute: str) -> str | None:
    value = getattr(found, attribute, None)
    return value if isinstance(value, str) and value else None


def _title(label: str) -> str:
    return _slug(label).replace("-", " ").capitalize()


def _slug(label: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", label)
    return spaced.replace("_", "-").strip("-").lower() or "agent"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
