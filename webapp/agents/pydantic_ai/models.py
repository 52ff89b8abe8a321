"""Finds the model that a name like ``openai:gpt-5.1`` means.

Owns what the environment must say for it: keys and base addresses, under their providers' own names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic_ai import Agent
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import infer_model
from pydantic_ai.providers import Provider, infer_provider

from webapp.agents.pydantic_ai.agent import ModelAgent
from webapp.agents.pydantic_ai.retries import Retries

_KEYS: Final = {
    "anthropic": "ANTHROPIC_API_KEY",
    **dict.fromkeys(("openai", "openai-chat", "openai-responses"), "OPENAI_API_KEY"),
}
_OLLAMA: Final = "http://127.0.0.1:11434/v1"


class ModelUnusable(Exception):
    """A model that cannot be asked as things are. The message is one line for whoever chose it."""


def load_model(
    spec: str,
    *,
    id: str | None = None,
    name: str | None = None,
    instructions: str | None = None,
    tools: Sequence[Callable[..., Any]] = (),
    retries: Retries | None = None,
) -> ModelAgent:
    """The model ``provider:model`` as an agent, ``name`` or called like the model. Raises ModelUnusable."""
    provider, _, model_name = spec.partition(":")
    if provider == "openai" and os.environ.get("OPENAI_BASE_URL"):
        # What calls itself compatible has the older of OpenAI's interfaces, if not both.
        spec = f"openai-chat:{model_name}"
    try:
        model = infer_model(spec, provider_factory=_provider)
        # Who has nothing to say may answer with nothing, which pydantic-ai takes for a mistake otherwise.
        agent: Agent[Any, Any] = Agent(
            model, instructions=instructions, tools=tools, output_type=[str, type(None)]
        )
    except Exception as error:
        raise ModelUnusable(_missing(provider, error)) from error
    return ModelAgent(agent, id=id or "model", name=name or model_name, retries=retries)


def _provider(name: str) -> Provider[Any]:
    if name == "openai-chat" and (base_url := os.environ.get("OPENAI_BASE_URL")):
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

        key = os.environ.get("OPENAI_API_KEY")
        return OpenAICompatibleProvider("openai-compatible", base_url=base_url, api_key=key)
    if name == "ollama" and not os.environ.get("OLLAMA_BASE_URL"):
        from pydantic_ai.providers.ollama import OllamaProvider  # noqa: PLC0415

        return OllamaProvider(base_url=_OLLAMA)
    return infer_provider(name)


def _missing(provider: str, error: Exception) -> str:
    """What to set or to install, in a line."""
    key = _KEYS.get(provider)
    if isinstance(error, UserError) and key and not os.environ.get(key):
        return f"set {key} to the provider's key."
    return " ".join(str(error).split()) or type(error).__name__
