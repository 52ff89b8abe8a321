"""Tools of an agent made with pydantic-ai, called by a model on the wire: alone, in parallel, in vain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")
# They take seconds to import, which is to be nobody's time limit.
pytest.importorskip("pydantic_ai.models.anthropic")
pytest.importorskip("pydantic_ai.models.openai")

from pydantic_ai.models import infer_model

from tests.support.chats import of
from tests.support.live_app import LiveApp
from tests.support.model_agents import weather_of
from tests.support.model_chat import ModelChat
from tests.support.model_server import Answer, ModelServer
from tests.support.model_wire import INPUT_TOKENS, Call, Hang, Text, Thought
from tests.support.onlooker import Onlooker
from tests.support.waiting import eventually
from webapp.agents.pydantic_ai import ModelAgent

BERLIN = Call("forecast", ('{"city": ', '"Berlin"}'), "call-1")
PARIS = Call("forecast", ('{"city": "Paris"}',), "call-2")
WHO = Call("who", ("{}",), "call-3")


@pytest.fixture(scope="module", params=["openai-chat:fake", "anthropic:fake"])
def app(
    request: pytest.FixtureRequest, model: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApp]:
    agent = ModelAgent(weather_of(infer_model(request.param)), id="weather", name="Weather")
    env = {"DURABLE_CHAT_SSE_LIFETIME": "1"}
    with LiveApp(tmp_path_factory.mktemp("data"), env=env, agent=agent) as app:
        yield app


@pytest.fixture
def chat(model: ModelServer, app: LiveApp) -> ModelChat:
    return ModelChat.create(model, app)


def calls(chat: ModelChat) -> list[tuple[str, Any]]:
    """The tools that the last answer called, with what they gave."""
    parts = [part for message in chat.answers() for part in message["parts"]]
    return [(part["name"], part.get("output")) for part in parts if part["type"] == "tool-call"]


def test_a_tool_call(chat: ModelChat) -> None:
    chat.model.will(
        Answer.of(Thought("Berlin?"), Text("Let me look. "), BERLIN), Answer.of(Text("It is clear."))
    )
    chat.send("How is the weather in Berlin?")
    assert chat.said() == "Let me look. It is clear."
    assert calls(chat) == [("forecast", {"city": "Berlin", "sky": "clear"})]
    events = chat.events()
    arguments = "".join(event["delta"] for event in of(events, "TOOL_CALL_ARGS"))
    assert json.loads(arguments) == {"city": "Berlin"}
    (finished,) = of(events, "RUN_FINISHED")
    assert [usage["inputTokens"] for usage in finished["usage"]] == [2 * INPUT_TOKENS]
    assert "You know the weather." in str(chat.model.asked[1].body)


def test_parallel_tool_calls(chat: ModelChat) -> None:
    chat.model.will(Answer.of(BERLIN, PARIS, WHO), Answer.of(Text("Clear in both.")))
    chat.send("And in Paris?")
    name = chat.ana.messages(chat.chat_id)[0]["name"]
    skies = [("forecast", {"city": city, "sky": "clear"}) for city in ("Berlin", "Paris")]
    assert calls(chat) == [*skies, ("who", name)]
    assert chat.said() == "Clear in both."
    chat.events()


def test_earlier_calls_are_part_of_the_history(chat: ModelChat) -> None:
    chat.model.will(
        Answer.of(Text("I look."), BERLIN, PARIS), Answer.of(Text("Clear.")), Answer.of(Text("Yes."))
    )
    chat.send("How is the weather?")
    within = chat.model.asked[1].body["messages"]
    chat.send("Really?")
    # What the model was shown within the run and what it is shown of it later are the same messages.
    assert chat.model.asked[2].body["messages"][: len(within)] == within


def test_arguments_that_are_no_json(chat: ModelChat) -> None:
    """The model is told, and may do better."""
    chat.model.will(Answer.of(Call("forecast", ('{"city": ', "Berl"), "call-1")), Answer.of(Text("Sorry.")))
    chat.send("How is the weather?")
    assert chat.said() == "Sorry."
    chat.events()
    chat.model.will(Answer.of(Text("Yes.")))
    chat.send("Go on")
    assert chat.said() == "Yes."


def test_a_tool_that_fails(chat: ModelChat, caplog: pytest.LogCaptureFixture) -> None:
    chat.model.will(Answer.of(Text("Oh. "), Call("broken", ("{}",), "call-1")))
    chat.send("Break")
    events = chat.events()
    (failed,) = of(events, "RUN_ERROR")
    assert failed["code"] == "agent-failed"
    assert "canary-of-a-tool" not in json.dumps(events)
    assert 'raise RuntimeError("canary' in caplog.text, "whoever wrote it is told where"
    chat.model.will(Answer.of(Text("Yes.")))
    chat.send("Go on")
    assert chat.said() == "Yes."


def test_a_stop_between_a_call_and_its_result(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("I look."), BERLIN, Hang()))
    with Onlooker(chat.ana, chat.chat_id) as onlooker:
        chat.send("How is the weather?", mode="")
        eventually(lambda: onlooker.count("TOOL_CALL_ARGS") > 0)
        assert chat.ana.stop(chat.chat_id).json()["stopped"]
    chat.events()
    chat.model.will(Answer.of(Text("Yes.")))
    chat.send("Go on")
    assert chat.said() == "Yes."
    assert "forecast" not in str(chat.model.asked[-1].body["messages"]), "half a call is not shown to it"


def test_a_tool_that_needs_approval_pauses_the_run(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Call("make_rain", ('{"city": "Paris"}',), "call-1")))
    chat.send("Make it rain")
    (finished,) = of(chat.events(), "RUN_FINISHED")
    assert finished["outcome"]["type"] == "interrupt"
    (interrupt,) = finished["outcome"]["interrupts"]
    assert interrupt["toolCallId"] == "call-1"
    (run,) = chat.ana.snapshot(chat.chat_id)["runs"].values()
    assert run["status"] == "awaiting-approval"
