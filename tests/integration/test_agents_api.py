"""Several agents as programs see them: who is there, who is asked, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.chats import of
from tests.support.live_app import Chatter, LiveApp
from tests.support.waiting import eventually
from webapp.agents.cast import Member
from webapp.agents.scripted import CriticAgent, DemoAgent, EchoAgent


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveApp]:
    agents = [
        DemoAgent(word_delay=0),
        Member(agent=CriticAgent(word_delay=0), hue=20),
        Member(agent=EchoAgent(word_delay=0), present=False),
    ]
    with LiveApp(tmp_path_factory.mktemp("data"), agents=agents) as app:
        yield app


@pytest.fixture
def ana(app: LiveApp) -> Chatter:
    return Chatter(app)


def move(who: Chatter, chat_id: str, agent_id: str, *, present: bool) -> tuple[int, Any]:
    body = {"agentId": agent_id, "present": present}
    reply = who.http.post(f"/api/chats/{chat_id}/agents", json=body)
    return reply.status_code, reply.json()


def authors(who: Chatter, chat_id: str) -> list[str]:
    """Who has spoken, once nobody speaks any more."""
    app = who.app
    assert isinstance(app, LiveApp)
    eventually(lambda: not app.run(lambda services: services.catalog.runs.unfinished(chat_id=chat_id)))
    return [each["metadata"].get("agentId", "person") for each in who.messages(chat_id)]


def test_agents_are_let_in_and_sent_away(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    present = {each["id"]: each["present"] for each in ana.snapshot(chat_id)["agents"]}
    assert present == {"demo": True, "critic": True, "echo": False}

    status, told = move(ana, chat_id, "echo", present=True)
    assert (status, told["changed"]) == (200, True)
    assert {"id": "echo", "name": "Echo", "present": True} in told["agents"]
    assert move(ana, chat_id, "echo", present=True)[1]["changed"] is False
    ben = ana.invited(chat_id, "chat")
    for agent in ("demo", "critic"):
        assert move(ben, chat_id, agent, present=False)[0] == 200

    status, refused = move(ana, chat_id, "echo", present=False)
    assert (status, refused["code"]) == (409, "last-agent")
    status, refused = move(ana, chat_id, "nobody", present=True)
    assert (status, refused["code"]) == (400, "unknown-agent")
    assert move(ana.invited(chat_id, "view"), chat_id, "demo", present=True)[0] == 403
    ana.send(chat_id, "Hello")
    assert authors(ana, chat_id) == ["person", "echo"]
    page = ana.http.get(f"/chat/{chat_id}").text
    assert page.index("let Echo in") < page.index("sent Demo away") < page.index("Echo: Hello")
    assert 'value="demo" aria-checked="false"' in page


def test_an_agent_is_asked_by_its_id(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "Hello @Demo", data={"agentId": "critic"})
    ana.send(chat_id, "Hello", forwardedProps={"agentId": "echo"})
    assert authors(ana, chat_id) == ["person", "critic", "person", "echo"]
    for unknown in ("nobody", ""):
        refused = ana.send(chat_id, "Hello", data={"agentId": unknown})
        assert (refused.status_code, refused.json()["code"]) == (400, "unknown-agent")
    ana.send(chat_id, "Hello", data={"agentId": 3})
    assert authors(ana, chat_id)[-1] == "demo"


def test_an_agents_message_is_answered_again(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    ana.send(chat_id, "@Critic /debate", message_id="m-1")
    assert authors(ana, chat_id) == ["person", *["critic", "demo"] * 3]
    asked = ana.messages(chat_id)[1]

    def again(agent_id: str | None, run_id: str) -> Any:
        body = {"messages": [asked], "runId": run_id, "data": {"agentId": agent_id} if agent_id else {}}
        return ana.http.post("/api/chat", params={"id": chat_id, "mode": "await"}, json=body)

    assert again("demo", "r-again").status_code == 200
    assert again("demo", "r-again").status_code == 200
    assert again("critic", "r-own").status_code == 400
    assert again(None, "r-none").status_code == 400
    assert authors(ana, chat_id) == ["person", *["critic", "demo"] * 3, "demo"]
    newest = ana.messages(chat_id)[-1]
    assert newest["metadata"]["parentId"] == asked["id"]
    notes = ana.snapshot(chat_id)["notes"]
    assert [note["kind"] for note in notes] == ["chat.waiting-for-person"]


def test_a_form_and_a_request_scoped_reply_address_agents_too(ana: Chatter) -> None:
    chat_id = ana.create_chat()
    form = {"text": "@Critic, please", "messageId": "m-form"}
    assert ana.http.post(f"/chat/{chat_id}", data=form).status_code == 303
    assert authors(ana, chat_id) == ["person", "critic"]
    message = {"id": "m-2", "role": "user", "parts": [{"type": "text", "content": "@Demo and @Critic"}]}
    reply = ana.http.post("/api/chat/sse", params={"id": chat_id}, json={"messages": [message]})
    assert "RUN_FINISHED" in reply.text
    assert '"agentId":"critic"' not in reply.text
    assert sorted(authors(ana, chat_id)[3:]) == ["critic", "demo"]


def test_what_is_written_of_it_is_ag_ui(ana: Chatter, app: LiveApp) -> None:
    from ag_ui.core import Event as AgUiEvent
    from pydantic import TypeAdapter

    chat_id = ana.create_chat()
    move(ana, chat_id, "echo", present=True)
    ana.send(chat_id, "@Demo @Echo /debate")
    authors(ana, chat_id)
    events = ana.http.get("/api/chat-stream", params={"id": chat_id, "offset": "-1"}).json()
    adapter: TypeAdapter[Any] = TypeAdapter(AgUiEvent)
    for event in events:
        adapter.validate_python(event)
    names = [each["name"] for each in of(events, "CUSTOM")]
    assert {"agent.joined", "chat.waiting-for-person"} <= set(names)
