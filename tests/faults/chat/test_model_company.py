"""A model among several people and other agents, over the wires of two providers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")
# They take seconds to import, which is to be nobody's time limit.
pytest.importorskip("pydantic_ai.models.anthropic")
pytest.importorskip("pydantic_ai.models.openai")

from tests.support.chats import of
from tests.support.live_app import LiveApp
from tests.support.model_chat import ModelChat
from tests.support.model_server import Answer, Asked, ModelServer
from tests.support.model_wire import Call, Text, Thought
from tests.support.waiting import aeventually
from webapp.agents.pydantic_ai import load_model
from webapp.agents.scripted import CriticAgent


def add(left: int, right: int) -> int:
    """The sum."""
    return left + right


@pytest.fixture(scope="module", params=["openai:fake", "anthropic:fake"])
def app(
    request: pytest.FixtureRequest, model: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApp]:
    agent = load_model(request.param, id="sage", name="Sage", instructions="Be wise.", tools=[add])
    agents = [agent, CriticAgent(word_delay=0)]
    with LiveApp(tmp_path_factory.mktemp("data"), agents=agents) as app:
        yield app


@pytest.fixture
def chat(model: ModelServer, app: LiveApp) -> ModelChat:
    return ModelChat.create(model, app)


def instructions(asked: Asked) -> str:
    """Where they are depends on the provider."""
    system = [each["content"] for each in asked.body["messages"] if each["role"] == "system"]
    return str([asked.body.get("system"), *system])


def test_it_is_told_who_it_is_and_who_is_there(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("Hello.")))
    chat.send("Hi")
    told = instructions(chat.model.asked[0])
    for said in ("You are Sage", "Be wise.", "assistants here: Critic"):
        assert said in told


@pytest.mark.parametrize(
    "answer",
    [
        Answer.of(Text("[nothing]")),
        Answer.of(*map(Text, "[nothing]")),
        Answer.of(),
        Answer.of(Thought("Not for me.")),
    ],
    ids=["a word", "in pieces", "empty", "a thought"],
)
def test_nothing_to_say(chat: ModelChat, answer: Answer) -> None:
    """AC-53."""
    chat.model.will(answer)
    chat.send("Ben, are you there?")
    events = chat.events()
    assert not of(events, "RUN_ERROR")
    assert "[noth" not in str(events)
    texts = [part for each in chat.answers() for part in each["parts"] if part["type"] == "text"]
    assert texts == []


def test_a_silence_is_a_note(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("[nothing]")))
    chat.send("Ben, are you there?")
    chat.events()
    assert chat.answers() == []
    [run] = chat.ana.snapshot(chat.chat_id)["runs"].values()
    assert run["status"] == "silent"
    assert "Sage chose not to answer" in chat.ana.http.get(f"/chat/{chat.chat_id}").text


def test_a_model_hands_on_and_hears_who_answers(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("I do not know. @Critic?")))
    chat.send("Who is right?")
    chat.app.run(lambda services: _over(services, chat.chat_id))
    chat.model.will(Answer.of(Text("So be it.")))
    chat.send("Then so be it")
    names = [each["name"] for each in chat.ana.messages(chat.chat_id)]
    assert names[1:3] == ["Sage", "Critic"]
    assert '<message from="Critic" by="agent">' in str(chat.model.asked[-1].body["messages"])
    chat.events()


def test_a_tool_of_the_file_is_the_models(chat: ModelChat) -> None:
    chat.model.will(
        Answer.of(Call("add", ('{"left": 2, "right": 3}',), "c1"), finish="tool_calls"),
        Answer.of(Text("Five.")),
    )
    chat.send("2 + 3?")
    assert [each["content"] for each in of(chat.events(), "TOOL_CALL_RESULT")] == ["5"]
    assert chat.said() == "Five."


async def _over(services: Any, chat_id: str) -> None:
    async def over() -> bool:
        return not await services.catalog.runs.unfinished(chat_id=chat_id)

    await aeventually(over)
