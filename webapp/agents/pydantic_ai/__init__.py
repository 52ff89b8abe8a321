"""Lets pydantic-ai answer in a chat: any model it knows by name, or a whole agent made with it.

The only package that knows pydantic-ai and what lies behind it, all of which is there with the extra ``llm``
only. Must not know runs.
"""

from webapp.agents.pydantic_ai.agent import ModelAgent, adapt
from webapp.agents.pydantic_ai.models import ModelUnusable, load_model

__all__ = ["ModelAgent", "ModelUnusable", "adapt", "load_model"]
