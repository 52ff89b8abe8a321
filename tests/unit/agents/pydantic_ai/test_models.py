"""Models by name, and what their environment must say."""

from __future__ import annotations

import os
from typing import get_args

import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")
# They take seconds to import, which is to be nobody's time limit.
pytest.importorskip("pydantic_ai.models.anthropic")
pytest.importorskip("pydantic_ai.models.openai")

from pydantic_ai.models import KnownModelName

from webapp.agents.pydantic_ai import ModelAgent
from webapp.agents.registry import PROVIDERS, AgentNotFound, load_agent


@pytest.mark.parametrize(
    ("spec", "environ"),
    [
        ("openai:gpt-5.1", {"OPENAI_API_KEY": "k"}),
        ("openai:gpt-5.1", {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}),
        ("anthropic:claude-sonnet-4-5", {"ANTHROPIC_API_KEY": "k"}),
        ("ollama:qwen3:8b", {}),
    ],
)
def test_models(monkeypatch: pytest.MonkeyPatch, spec: str, environ: dict[str, str]) -> None:
    forget_keys(monkeypatch)
    for key, value in environ.items():
        monkeypatch.setenv(key, value)
    agent = load_agent(spec)
    assert (agent.id, agent.name) == ("model", spec.partition(":")[2])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("openai:gpt-5.1", "set OPENAI_API_KEY"),
        ("openai-chat:gpt-5.1", "set OPENAI_API_KEY"),
        ("anthropic:claude-sonnet-4-5", "set ANTHROPIC_API_KEY"),
        ("openrouter:some/model", "OPENROUTER_API_KEY"),
        ("mistral:large", "pip install"),
    ],
)
def test_what_a_model_lacks_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, spec: str, said: str
) -> None:
    forget_keys(monkeypatch)
    with pytest.raises(AgentNotFound) as refused:
        load_agent(spec)
    line = str(refused.value)
    assert said in line
    assert repr(spec) in line
    assert "\n" not in line


def forget_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in os.environ:
        if key.endswith(("_API_KEY", "_BASE_URL")):
            monkeypatch.delenv(key)


def test_an_agent_made_with_pydantic_ai() -> None:
    agent = load_agent("tests.support.model_agents:weather")
    assert isinstance(agent, ModelAgent)
    assert (agent.id, agent.name) == ("weather", "Weather")


def test_every_provider_is_known() -> None:
    """What is not ours to know would be taken for a module."""
    models = get_args(KnownModelName.__value__)
    providers = {model.partition(":")[0] for model in models if ":" in model}
    # Neither gateways, which are no names of modules, nor what decides and cannot talk.
    assert {name for name in providers if "/" not in name and not name.endswith("-decisions")} <= PROVIDERS
