"""A chat in a running app whose agent is a model on a server of ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ag_ui.core import Event as AgUiEvent
from pydantic import TypeAdapter

from tests.support.appends import stored
from tests.support.chats import check_runs
from tests.support.live_app import Chatter, LiveApp
from tests.support.model_server import ModelServer

KEY = "canary-key-0123456789"
CANARY = "canary-of-the-provider"
"""What the provider says when it refuses. Neither may be told anybody."""

EVENT: TypeAdapter[Any] = TypeAdapter(AgUiEvent)


@dataclass
class ModelChat:
    """``events`` checks what holds for every stream, whatever happened."""

    model: ModelServer
    app: LiveApp
    ana: Chatter
    chat_id: str

    @classmethod
    def create(cls, model: ModelServer, app: LiveApp) -> ModelChat:
        model.asked.clear()
        model.left = 0
        ana = Chatter(app)
        return cls(model, app, ana, ana.create_chat())

    def send(self, text: str, **options: Any) -> None:
        reply = self.ana.send(self.chat_id, text, **options)
        assert reply.is_success, reply.text

    def events(self) -> list[dict[str, Any]]:
        """The whole stream. Every event is AG-UI's, every run has one end, and nothing is open."""
        told = self.app.run(lambda services: stored(services.streams, f"chats/{self.chat_id}"))
        for secret in (CANARY, KEY):
            assert secret.encode() not in b"".join(told)
        events = [json.loads(each) for each in told]
        for event in events:
            EVENT.validate_python(event)
        check_runs(events)
        return events

    def said(self) -> str:
        """The text of the last answer."""
        parts = [part for message in self.answers() for part in message["parts"]]
        return "".join(part["content"] for part in parts if part["type"] == "text")

    def answers(self) -> list[dict[str, Any]]:
        """The messages of the last answer."""
        messages = self.ana.messages(self.chat_id)
        asked = max(place for place, message in enumerate(messages) if message["role"] == "user")
        return messages[asked + 1 :]
