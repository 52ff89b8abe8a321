"""Agents by name."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from webapp.agents.base import AgentTurn
from webapp.agents.registry import AgentNotFound, load_agent
from webapp.agents.scripted import DemoAgent, EchoAgent

SOURCE = """
class Plain:
    id = "plain-one"
    name = "Plain One"
    async def run(self, turn):
        yield {"type": "TEXT_MESSAGE_START", "messageId": "m"}

class NoName:
    async def run(self, turn):
        yield "hello " + turn.speaker

class Demanding:
    def __init__(self, key): ...

async def shout_back(turn):
    yield turn.text.upper()

async def coroutine(turn):
    return "x"

async def nothing_asked():
    yield "x"

class Coroutine:
    async def run(self, turn):
        return "x"

class Generator:
    def run(self, turn):
        yield "x"

class NoSelf:
    async def run(turn):
        yield "x"

class Box:
    agent = NoName()

instance = Plain()
number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_agents.py").write_text(SOURCE)
    (tmp_path / "broken_agents.py").write_text("import nothing_of_the_kind")
    (tmp_path / "leaving_agents.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("own_agents", "broken_agents"):
        sys.modules.pop(name, None)


def test_built_in() -> None:
    assert isinstance(load_agent("demo"), DemoAgent)
    assert isinstance(load_agent("echo"), EchoAgent)


@pytest.mark.parametrize(
    ("spec", "id", "name"),
    [
        ("own_agents:instance", "plain-one", "Plain One"),
        ("own_agents:Plain", "plain-one", "Plain One"),
        ("own_agents:NoName", "no-name", "No name"),
        ("own_agents:Box.agent", "agent", "Agent"),
        ("own_agents:shout_back", "shout-back", "Shout back"),
    ],
)
def test_own(spec: str, id: str, name: str) -> None:
    agent = load_agent(spec)
    assert (agent.id, agent.name) == (id, name)


async def test_a_function_is_enough() -> None:
    turn = AgentTurn(chat_id="c", run_id="r", messages=[], text="hi", speaker="Ana")
    answers: AsyncIterator[dict[str, object]] = load_agent("own_agents:shout_back").run(turn)
    assert [event.get("delta") async for event in answers] == [None, "HI", None]


@pytest.mark.parametrize(
    "spec",
    [
        "", "nobody", ":", "own_agents:", ":x", "own_agents:missing", "own_agents:number",
        "own_agents:coroutine", "own_agents:Demanding", "no_such_module:x", "broken_agents:x",
        "../x:y", "own_agents.py:shout_back", "leaving_agents:x",
        "own_agents:nothing_asked", "own_agents:Coroutine", "own_agents:Generator", "own_agents:NoSelf",
    ],
)  # fmt: skip
def test_what_is_no_agent_is_said_in_one_line(spec: str) -> None:
    with pytest.raises(AgentNotFound) as refused:
        load_agent(spec)
    line = str(refused.value)
    assert "\n" not in line
    assert repr(spec) in line


def test_it_is_said_where_a_module_was_looked_for() -> None:
    with pytest.raises(AgentNotFound) as refused:
        load_agent("no_such_module:x")
    assert str(Path.cwd()) in str(refused.value)
    with pytest.raises(AgentNotFound, match=r"No module named 'nothing_of_the_kind'$"):
        load_agent("broken_agents:x")


def test_a_file_name_is_put_right() -> None:
    with pytest.raises(AgentNotFound, match="own_agents:shout_back"):
        load_agent("own_agents.py:shout_back")


@pytest.mark.parametrize("spec", ["openai:gpt-5.1", "own_agents:of_a_model"])
def test_without_the_extra_it_is_said_what_to_install(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_agents.py").write_text("from pydantic_ai import Agent\nof_a_model = Agent()")
    # What ``import`` takes for a module that is not there.
    monkeypatch.setitem(sys.modules, "pydantic_ai", None)
    for name in [name for name in sys.modules if name.startswith("webapp.agents.pydantic_ai")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(AgentNotFound) as refused:
        load_agent(spec)
    line = str(refused.value)
    assert "\n" not in line
    assert repr(spec) in line
    assert "pip install 'durable-chat[llm]'" in line
