"""An agent made with pydantic-ai, as people write them."""

from __future__ import annotations

from pydantic_ai import Agent, DeferredToolRequests, RunContext, Tool
from pydantic_ai.models import Model

from webapp.agents.base import AgentTurn


def forecast(city: str) -> dict[str, str]:
    """The weather of a city."""
    return {"city": city, "sky": "clear"}


def who(ctx: RunContext[AgentTurn]) -> str:
    """Who is asking."""
    return ctx.deps.speaker


def broken() -> str:
    """Fails with a text that is nobody's business."""
    raise RuntimeError("canary-of-a-tool")


def make_rain(city: str) -> str:
    """Only if somebody allows it."""
    return f"It rains in {city}."


def weather_of(model: Model | str) -> Agent[AgentTurn, str | DeferredToolRequests]:
    """An agent with tools on any model."""
    return Agent(
        model,
        deps_type=AgentTurn,
        output_type=[str, DeferredToolRequests],
        system_prompt="You know the weather.",
        tools=[forecast, who, broken, Tool(make_rain, requires_approval=True)],
        defer_model_check=True,  # the environment says where it is when it is asked
    )


weather = weather_of("openai-chat:fake")  # DURABLE_CHAT_AGENT=tests.support.model_agents:weather
