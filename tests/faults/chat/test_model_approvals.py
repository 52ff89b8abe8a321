"""Approvals and client tools of an agent made with pydantic-ai, called by a model on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")
pytest.importorskip("pydantic_ai.models.anthropic")
pytest.importorskip("pydantic_ai.models.openai")

from pydantic_ai import Agent, ApprovalRequired, DeferredToolRequests, RunContext
from pydantic_ai.models import Model, infer_model

from tests.support.chats import of
from tests.support.live_app import Chatter, LiveApp
from tests.support.model_chat import ModelChat
from tests.support.model_server import Answer, ModelServer
from tests.support.model_wire import INPUT_TOKENS, Call, Text
from webapp.agents.pydantic_ai import ModelAgent

BERLIN = Call("look", ('{"city": ', '"Berlin"}'), "call-1")
PARIS = Call("make_rain", ('{"city": "Paris"}',), "call-2")
ROME = Call("make_rain", ('{"city": "Rome"}',), "call-3")
CLOCK = Call("clock", ("{}",), "call-4")
TOOLS = [{"name": "clock", "description": "The time of the client", "parameters": {}}]


def weather(model: Model, log: Path) -> Agent[Any, str]:
    """Its output type does not say that it may pause. Every tool writes down that it ran."""
    agent: Agent[Any, str] = Agent(model)

    def ran(what: str) -> str:
        with log.open("a") as file:
            file.write(f"{what}\n")
        return what

    @agent.tool_plain
    def look(city: str) -> str:
        return ran(f"clear in {city}")

    @agent.tool_plain(requires_approval=True)
    def make_rain(city: str) -> str:
        return ran(f"rain in {city}")

    @agent.tool
    def make_storm(ctx: RunContext[Any], city: str) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired(metadata={"wind": 12})
        return ran(f"storm in {city}")

    return agent


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "ran"


@pytest.fixture(scope="module", params=["openai-chat:fake", "openai-responses:fake", "anthropic:fake"])
def app(
    request: pytest.FixtureRequest, model: ModelServer, log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveApp]:
    agent = ModelAgent(weather(infer_model(request.param), log), id="weather", name="Weather")
    with LiveApp(tmp_path_factory.mktemp("data"), agent=agent) as app:
        yield app


@pytest.fixture
def chat(model: ModelServer, app: LiveApp, log: Path) -> ModelChat:
    log.write_text("")
    return ModelChat.create(model, app)


def pending(chat: ModelChat) -> dict[str, dict[str, Any]]:
    """What waits, by tool call."""
    runs = chat.ana.snapshot(chat.chat_id)["runs"].values()
    waiting = [run for run in runs if run["status"] == "awaiting-approval" and "supersededBy" not in run]
    return {each["toolCallId"]: each for run in waiting for each in run["interrupts"]}


def answer(chat: ModelChat, call_id: str, payload: Any, *, by: Chatter | None = None) -> None:
    resume = [{"interruptId": pending(chat)[call_id]["id"], "status": "resolved", "payload": payload}]
    body = {"messages": [], "resume": resume}
    reply = (by or chat.ana).http.post("/api/chat", params={"id": chat.chat_id, "mode": "await"}, json=body)
    assert reply.status_code == 200, reply.text


def results(chat: ModelChat) -> list[str]:
    return [event["content"] for event in of(chat.events(), "TOOL_CALL_RESULT")]


def test_an_approved_tool_runs_once_and_the_answer_goes_on(chat: ModelChat, log: Path) -> None:
    chat.model.will(Answer.of(Text("May I? "), PARIS), Answer.of(Text("It rains.")))
    chat.send("Make it rain")
    assert log.read_text() == ""
    ben = chat.ana.invited(chat.chat_id, "approve")
    answer(chat, "call-2", {"approved": True, "arguments": {"city": "Paris"}}, by=ben)
    assert log.read_text() == "rain in Paris\n"
    assert chat.said() == "May I? It rains."
    events = chat.events()
    assert results(chat) == ["rain in Paris"]
    assert len(of(events, "TOOL_CALL_START")) == 1
    usages = [event["usage"] for event in of(events, "RUN_FINISHED")]
    assert [[usage["inputTokens"] for usage in each] for each in usages] == [[INPUT_TOKENS], [INPUT_TOKENS]]
    # What the model is shown when it goes on is what it is shown of it later.
    within = chat.model.asked[1].body
    chat.model.will(Answer.of(Text("Yes.")))
    chat.send("Really?")
    key = "messages" if "messages" in within else "input"
    assert chat.model.asked[2].body[key][: len(within[key])] == within[key]


def test_a_denied_tool_does_not_run_and_the_model_is_told_why(chat: ModelChat, log: Path) -> None:
    chat.model.will(Answer.of(PARIS), Answer.of(Text("Then not.")))
    chat.send("Make it rain")
    answer(chat, "call-2", {"approved": False, "reason": "It is wet enough."})
    assert log.read_text() == ""
    assert chat.said() == "Then not."
    assert "It is wet enough." in json.dumps(chat.model.asked[1].body)
    chat.events()


def test_edited_arguments_are_what_it_runs_with(chat: ModelChat, log: Path) -> None:
    chat.model.will(Answer.of(PARIS), Answer.of(Text("There.")))
    chat.send("Make it rain")
    answer(chat, "call-2", {"approved": True, "editedArgs": {"city": "Lyon"}})
    assert log.read_text() == "rain in Lyon\n"
    chat.events()


def test_of_parallel_calls_each_is_decided_and_none_runs_twice(chat: ModelChat, log: Path) -> None:
    chat.model.will(Answer.of(BERLIN, PARIS, ROME), Answer.of(Text("Done.")))
    chat.send("Rain, please")
    assert log.read_text() == "clear in Berlin\n"
    answer(chat, "call-3", {"approved": False})
    assert len(chat.model.asked) == 1
    answer(chat, "call-2", {"approved": True})
    assert log.read_text() == "clear in Berlin\nrain in Paris\n"
    assert chat.said() == "Done."
    assert len(results(chat)) == 3


def test_it_may_ask_again(chat: ModelChat, log: Path) -> None:
    chat.model.will(Answer.of(PARIS), Answer.of(Text("And "), ROME), Answer.of(Text("done.")))
    chat.send("Rain, please")
    answer(chat, "call-2", {"approved": True})
    answer(chat, "call-3", {"approved": True})
    assert log.read_text() == "rain in Paris\nrain in Rome\n"
    assert chat.said() == "And done."
    chat.events()


def test_a_tool_that_asks_by_itself(chat: ModelChat, log: Path) -> None:
    chat.model.will(
        Answer.of(Call("make_storm", ('{"city": "Oslo"}',), "call-9")), Answer.of(Text("It storms."))
    )
    chat.send("Storm, please")
    assert pending(chat)["call-9"]["metadata"] == {"wind": 12}
    answer(chat, "call-9", {"approved": True})
    assert log.read_text() == "storm in Oslo\n"
    chat.events()


def test_the_clients_own_tool(chat: ModelChat) -> None:
    chat.model.will(Answer.of(CLOCK), Answer.of(Text("It is noon.")))
    chat.send("What time is it?", tools=TOOLS)
    assert '"clock"' in json.dumps(chat.model.asked[0].body["tools"])
    assert pending(chat)["call-4"]["metadata"]["kind"] == "client_tool"
    answer(chat, "call-4", {"time": "noon"})
    assert chat.said() == "It is noon."
    assert "noon" in json.dumps(chat.model.asked[1].body)
    # Whoever goes on has the tools that were offered at first.
    assert chat.model.asked[1].body["tools"] == chat.model.asked[0].body["tools"]
    chat.events()


def test_a_tool_of_the_client_and_an_approval_in_one_answer(chat: ModelChat, log: Path) -> None:
    chat.model.will(Answer.of(CLOCK, PARIS), Answer.of(Text("Both.")))
    chat.send("What time is it, and rain?", tools=TOOLS)
    answer(chat, "call-4", "noon")
    answer(chat, "call-2", {"approved": True})
    assert log.read_text() == "rain in Paris\n"
    assert sorted(results(chat)) == ["noon", "rain in Paris"]
    assert chat.said() == "Both."


def test_tools_that_no_provider_takes_are_not_offered(chat: ModelChat) -> None:
    chat.model.will(Answer.of(Text("Hi.")))
    chat.send("Hi", tools=[{"name": "a b", "description": ""}, {"name": "ok", "parameters": "x"}])
    offered = json.dumps(chat.model.asked[0].body["tools"])
    assert '"ok"' in offered
    assert "a b" not in offered
    assert chat.said() == "Hi."


def test_an_agent_that_validates_its_output_still_answers(
    model: ModelServer, tmp_path: Path, log: Path
) -> None:
    agent = weather(infer_model("openai-chat:fake"), log)

    @agent.output_validator
    def short(output: str) -> str:
        return output

    with LiveApp(tmp_path, agent=ModelAgent(agent, id="weather", name="Weather")) as app:
        chat = ModelChat.create(model, app)
        model.will(Answer.of(Text("Hi.")))
        chat.send("Hi", tools=TOOLS)
        assert chat.said() == "Hi."


def test_an_agent_that_says_itself_that_it_may_pause(model: ModelServer, tmp_path: Path, log: Path) -> None:
    agent: Agent[Any, Any] = Agent(infer_model("openai-chat:fake"), output_type=[str, DeferredToolRequests])
    log.write_text("")

    @agent.tool_plain(requires_approval=True)
    def make_rain(city: str) -> str:
        log.write_text(city)
        return city

    with LiveApp(tmp_path, agent=ModelAgent(agent, id="weather", name="Weather")) as app:
        chat = ModelChat.create(model, app)
        model.will(Answer.of(PARIS), Answer.of(Text("Done.")))
        chat.send("Rain")
        answer(chat, "call-2", {"approved": True})
        assert log.read_text() == "Paris"
        assert chat.said() == "Done."
