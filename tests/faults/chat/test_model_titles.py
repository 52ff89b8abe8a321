"""Chats that a model names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")

from tests.support.live_app import LiveApp
from tests.support.model_chat import ModelChat
from tests.support.model_server import Answer, ModelServer, Refusal
from tests.support.model_wire import Text
from tests.support.waiting import eventually
from webapp.agents.pydantic_ai.models import load_model


@pytest.fixture(params=["openai:fake", "anthropic:fake"])
def chat(request: pytest.FixtureRequest, model: ModelServer, tmp_path: Path) -> Iterator[ModelChat]:
    with LiveApp(tmp_path, env={"DURABLE_CHAT_TITLES": "on"}, agent=load_model(request.param)) as app:
        yield ModelChat.create(model, app)


def title(chat: ModelChat) -> str:
    (only,) = chat.ana.http.get("/api/chats").json()["chats"]
    return str(only["title"])


def named(chat: ModelChat) -> list[str]:
    return [event["value"]["title"] for event in chat.events() if event.get("name") == "chat.renamed"]


def test_the_model_names_the_chat_after_its_first_answer(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("Hello, Ana.")), Answer.of(Text('"A short\n greeting."\n')))
    chat.send("Hi")
    eventually(lambda: title(chat) == "A short greeting", what="the model's title")
    assert named(chat) == ["A short greeting"]
    assert "Hello, Ana." in str(chat.model.asked[1].body)

    chat.model.will(Answer.of(Text("Still here.")))
    chat.send("And now?")
    assert chat.said() == "Still here."
    assert len(chat.model.asked) == 3


def test_a_name_that_a_person_gave_stays(chat: ModelChat) -> None:
    assert chat.ana.http.patch(f"/api/chats/{chat.chat_id}", json={"title": " Our\nplans "}).json() == {
        "id": chat.chat_id,
        "title": "Our plans",
    }
    chat.model.will(Answer.of(Text("Hello, Ana.")))
    chat.send("Hi")
    assert (title(chat), named(chat), len(chat.model.asked)) == ("Our plans", ["Our plans"], 1)


@pytest.mark.parametrize("reply", [Answer.of(Text("x" * 200)), Refusal(400, "no titles here")])
def test_without_a_usable_name_the_first_message_names_it(chat: ModelChat, reply: Answer | Refusal) -> None:
    chat.model.will(Answer.of(Text("Hello, Ana.")), reply)
    chat.send("Hi there")
    eventually(lambda: len(chat.model.asked) == 2, what="the model was asked for a name")
    assert (title(chat), named(chat)) == ("Hi there", [])
