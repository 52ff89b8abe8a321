"""Agents out of a file, and what is said of a file that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from webapp.agents.cast import BadCast, Cast, Member, trigger
from webapp.agents.cast_file import load_cast
from webapp.agents.registry import AgentNotFound
from webapp.agents.scripted import CriticAgent, DemoAgent, EchoAgent

MODULE = """
from webapp.agents.scripted import CriticAgent, EchoAgent
from webapp.agents.cast import Member

async def shout(turn):
    yield turn.text.upper()

agents = [EchoAgent(), Member(agent=CriticAgent(), hue=3)]
by_id = {"echo": EchoAgent()}
number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_cast.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))


def load(tmp_path: Path, text: str) -> Cast:
    file = tmp_path / "agents.toml"
    file.write_text(text)
    return load_cast(str(file))


def test_a_whole_file(tmp_path: Path) -> None:
    cast = load(
        tmp_path,
        """
        [[agents]]
        id = "demo"
        model = "demo"
        present = false

        [[agents]]
        id = "second-echo"
        model = "echo"
        name = "Écho Deux"
        color = 23
        triggers = ["new york", '/^\\d+$/']
        default = true

        [[agents]]
        id = "loud"
        model = "my_cast:shout"
        color = "teal"
        """,
    )
    told = [(each.id, each.name, each.hue, each.present, each.scripted) for each in cast]
    assert told == [
        ("demo", "Demo", None, False, True),
        ("second-echo", "Écho Deux", 23, True, True),
        ("loud", "Loud", 12, True, False),
    ]
    assert cast.default.id == "second-echo"
    assert cast.get("nobody") is None
    words, digits = cast.default.triggers
    assert words.search("In New  York.")
    assert not words.search("new yorker")
    assert digits.search("12")
    assert not digits.search("12a")


ECHO = '[[agents]]\nid = "echo"\nmodel = "echo"\n'
CRITIC = ECHO.replace("echo", "critic")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no [[agents]]"),
        ("agents = 1", "there is no [[agents]]"),
        ("agents = []", "there is no [[agents]]"),
        ("[[agents]", "agents.toml: "),
        ("model = 'echo'\n" + ECHO, "model: every agent begins with [[agents]]"),
        ('[[agents]]\nmodel = "echo"', "agent 1, id: "),
        ('[[agents]]\nid = "echo"', "agent 1 (echo), model: "),
        ('[[agents]]\nid = "E cho"\nmodel = "echo"', "agent 1 (E cho), id: "),
        (ECHO + "name = 3", "agent 1 (echo), name: "),
        (ECHO + 'name = ""', "agent 1 (echo), name: "),
        (ECHO + 'colour = "red"', "agent 1 (echo), colour: "),
        (ECHO + 'color = "mauve"', "color: must be 0 to 23 or one of rose, red"),
        (ECHO + "color = 24", "color: must be 0 to 23"),
        (ECHO + "color = true", "color: "),
        (ECHO + 'triggers = "x"', "triggers: "),
        (ECHO + 'triggers = ["/(/"]', "triggers: '/(/' is no regular expression"),
        (ECHO + 'triggers = [" "]', "triggers: an empty one"),
        (ECHO + 'tools = ["x"]', "tools: 'x' must be module:function"),
        (ECHO + 'tools = ["my_cast:nothing"]', "tools: 'my_cast:nothing': my_cast has no nothing."),
        (ECHO + 'tools = ["my_cast:number"]', "tools: 'my_cast:number' is no function"),
        (ECHO + 'tools = ["my_cast:shout"]', "model: Agent 'echo' is no model"),
        (ECHO + 'instructions = "Be brief."', "model: Agent 'echo' is no model"),
        ('[[agents]]\nid = "x"\nmodel = "nothing"', "agent 1 (x), model: Unknown agent 'nothing'"),
        (ECHO + "present = false", "no agent is present from the start"),
        (ECHO + "default = true\npresent = false", "agent 1 (echo), default: the default must be present"),
        (
            ECHO + "default = true\n" + ECHO.replace("echo", "critic") + "default = true",
            "agent 2 (critic), def",
        ),
        (ECHO + ECHO, "two agents are called echo: echo and echo"),
        (ECHO + ECHO.replace('id = "echo"', 'id = "b"\nname = "Echo"'), "two agents are called echo"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadCast) as refused:
        load(tmp_path, text)
    line = str(refused.value)
    assert line.startswith(str(tmp_path / "agents.toml"))
    assert said in line
    assert "\n" not in line


def test_no_file() -> None:
    with pytest.raises(OSError, match=r"nowhere\.toml"):
        load_cast("nowhere.toml")


def test_an_entry_module() -> None:
    echo, critic = load_cast("my_cast:agents")
    assert (echo.id, critic.id, critic.hue) == ("echo", "critic", 3)
    assert [each.id for each in load_cast("my_cast:by_id")] == ["echo"]
    with pytest.raises(BadCast, match="my_cast:number is neither"):
        load_cast("my_cast:number")
    with pytest.raises(AgentNotFound, match="my_cast has no nothing"):
        load_cast("my_cast:nothing")


def test_a_cast_from_python() -> None:
    cast = Cast.of({"demo": DemoAgent(), "critic": Member(agent=CriticAgent(), present=False)})
    assert Cast.of(cast) is cast
    assert [(each.id, each.present) for each in cast] == [("demo", True), ("critic", False)]
    assert len(cast) == 2
    with pytest.raises(BadCast):
        Cast.of([])
    with pytest.raises(BadCast):
        Cast.of([EchoAgent(), EchoAgent()])


@pytest.mark.parametrize(
    ("text", "heard", "not_heard"),
    [
        ("review", "Please REVIEW this", "reviewer"),
        ("c++", "what of C++?", "c+"),
        ("/^fix:/", "fix: it", "a fix: it"),
        ("/", "a / b", "a/b/c".replace("/", "")),
    ],
)
def test_triggers(text: str, heard: str, not_heard: str) -> None:
    assert trigger(text).search(heard)
    assert not trigger(text).search(not_heard)
