"""The README is run: its commands work, its agent answers, its table of settings is complete."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from tests.support.live_app import Chatter
from tests.support.model_server import Answer, ModelServer
from tests.support.model_wire import Call, Text
from tests.support.server import ROOT, ServerProcess, ask, clean_environ
from tests.support.waiting import eventually, free_port
from webapp.settings import PREFIX, Settings

README = (ROOT / "README.md").read_text()
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def block(language: str, containing: str) -> str:
    (found,) = [text for text in blocks(language) if containing in text]
    return found


def serves(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether the command that ``process`` runs has come as far as to serve a page."""
    if process.poll() is not None:
        raise RuntimeError(f"{process.args!r} exited with {process.returncode}")
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_every_block_is_run_here() -> None:
    """A new block needs a new test; these are the ones there are."""
    assert len(blocks("python")) == 5
    assert len(blocks("bash")) == 6
    assert len(blocks("toml")) == 1


def test_the_agent_of_your_own(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    code = block("python", "my_agent.py")
    (tmp_path / "my_agent.py").write_text(code)
    (line,) = re.findall(r"DURABLE_CHAT_AGENT=(\S+) make run", block("bash", "my_agent"))
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    server = start_server(env={"DURABLE_CHAT_AGENT": line, "PYTHONPATH": path})
    assert "> Pieces of eight" in ask(server.url, "Pieces of eight")
    written = [text for text in code.splitlines() if text.strip() and not text.startswith(("#", "import"))]
    assert len(written) <= 10


def test_several_agents(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    (tmp_path / "my_team.py").write_text(block("python", "my_team.py"))
    (tmp_path / "agents.toml").write_text(block("toml", "agents.toml"))
    (line,) = re.findall(r"DURABLE_CHAT_AGENTS=(\S+) make run", block("bash", "agents.toml"))
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    server = start_server(env={"DURABLE_CHAT_AGENTS": str(tmp_path / line), "PYTHONPATH": path})
    me = Chatter(server)
    chat_id = me.create_chat()

    def answers(text: str, count: int) -> list[str]:
        """The answers to it, as soon as there are so many."""
        before = len(me.messages(chat_id)) + 1
        me.send(chat_id, text)
        eventually(lambda: len(me.messages(chat_id)) == before + count and not running(), what=text)
        return [f"{each['name']}: {each['parts'][0]['content']}" for each in me.messages(chat_id)[before:]]

    def running() -> list[str]:
        return list(me.snapshot(chat_id)["activeRuns"])

    both = answers("A plan", 2)
    name = me.messages(chat_id)[0]["name"]
    assert both == [
        f"Optimist: Splendid, {name}! What do you say, @Pessimist?",
        "Pessimist: I have my doubts, Optimist.",
    ]
    doubts = [f"Pessimist: I have my doubts, {name}."]
    assert answers("Why so?", 1) == answers("Is there a risk?", 1) == doubts
    assert answers("@optimist, is it a risk?", 2) == both


def test_the_app_of_your_own(tmp_path: Path) -> None:
    code = block("python", "my_app.py")
    (tmp_path / "my_app.py").write_text(code)
    (command,) = re.findall(r"^# my_app.py: (.+)$", code, re.M)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", *command.split(), "--port", str(port)],
        cwd=tmp_path,
        env=clean_environ({"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}),
    )
    chat, stream = (f"http://127.0.0.1:{port}/api/{path}?id=c" for path in ("chat", "chat-stream"))
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "content": "Pieces of eight"}]}
    try:
        eventually(lambda: serves(stream, process), timeout=25)
        for _ in range(2):
            sent = httpx.post(chat, json={"messages": [message], "runId": "r"})
            assert sent.status_code == 202, sent.text
        eventually(lambda: "RUN_FINISHED" in httpx.get(stream).text)
        events = httpx.get(stream).json()
        said = [event["delta"] for event in events if event["type"] == "TEXT_MESSAGE_CONTENT"]
        assert said == ["Pieces of eight", "You said: Pieces of eight"]
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_a_real_model(tmp_path: Path) -> None:
    """The command reaches the model, on a server of ours, with the key it names."""
    pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")
    port = free_port()
    environ = {"ARGS": f"--port {port} --data-dir {tmp_path / 'data'} --access open"}
    with ModelServer() as model:
        environ |= {"OPENAI_BASE_URL": f"{model.url}/v1", "DURABLE_CHAT_TITLES": "off"}
        process = subprocess.Popen(
            ["bash", "-euc", block("bash", "OPENAI_API_KEY")],
            cwd=ROOT,
            env=clean_environ(environ),
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: serves(url, process), timeout=60)
            model.will(Answer.of(Text("Hello.")))
            assert ask(url, "Hi") == "Hello."
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(15)
        (asked,) = model.asked
    assert asked.body["model"] == "gpt-5.1"
    assert asked.headers["authorization"] == "Bearer sk-..."


@pytest.mark.slow
def test_tools_for_a_model(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")
    (tmp_path / "my_model.py").write_text(block("python", "my_model.py"))
    assert "`DURABLE_CHAT_AGENT=my_model:agent make run`" in README
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    with ModelServer() as model:
        # A whole agent says itself which interface it speaks: OpenAI's responses.
        environ = {**model.environ("key"), "DURABLE_CHAT_AGENT": "my_model:agent", "PYTHONPATH": path}
        environ["DURABLE_CHAT_TITLES"] = "off"
        server = start_server(env=environ)
        model.will(Answer.of(Call("who_is_asking", ("{}",), "call-1")), Answer.of(Text("I see.")))
        assert ask(server.url, "Who am I?") == "I see."
        (speaker,) = re.findall(r'<message from="(.*?)"', model.asked[1].body["input"][0]["content"])
        assert model.asked[1].body["input"][-1]["output"] == speaker


@pytest.mark.slow
def test_tools_that_need_consent(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")
    code = block("python", "my_post.py")
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith("#")]) <= 10
    (tmp_path / "my_post.py").write_text(code)
    assert "`DURABLE_CHAT_AGENT=my_post:agent make run`" in README
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    with ModelServer() as model:
        environ = {**model.environ("key"), "DURABLE_CHAT_AGENT": "my_post:agent", "PYTHONPATH": path}
        server = start_server(env=environ | {"DURABLE_CHAT_TITLES": "off"})
        arguments = '{"to": "Eva", "text": "Hello"}'
        model.will(Answer.of(Call("send_postcard", (arguments,), "call-1")), Answer.of(Text("Sent.")))
        ana = Chatter(server)
        chat_id = ana.create_chat()
        ana.send(chat_id, "A card to Eva, please")
        assert len(model.asked) == 1
        (run,) = ana.snapshot(chat_id)["runs"].values()
        (interrupt,) = run["interrupts"]
        payload = {"approved": True, "arguments": arguments}
        resume = [{"interruptId": interrupt["id"], "status": "resolved", "payload": payload}]
        reply = ana.http.post(
            "/api/chat", params={"id": chat_id, "mode": "await"}, json={"messages": [], "resume": resume}
        )
        assert reply.status_code == 200, reply.text
        assert model.asked[1].body["input"][-1]["output"] == "On its way to Eva: Hello"


def test_the_same_by_http(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(env={"DURABLE_CHAT_AGENT": "echo"})
    script = block("bash", "curl").replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    events = json.loads(done.stdout)
    assert "".join(event.get("delta", "") for event in events).endswith("Echo: Hello")
    assert events[-1]["type"] == "RUN_FINISHED"


def test_several_processes(tmp_path: Path) -> None:
    """What is said to one of them is seen on the other."""
    script = block("bash", "durable-chat streams").replace("/srv/chat", str(tmp_path))
    ports = {old: free_port() for old in (4437, 8001, 8002)}
    for old, new in ports.items():
        script = script.replace(str(old), str(new))
    script = script.replace("durable-chat ", f"{sys.executable} -m webapp ").replace(
        "export ", "export DURABLE_CHAT_AGENT=echo DURABLE_CHAT_ACCESS=open ", 1
    )
    process = subprocess.Popen(
        ["bash", "-euc", f"{script}wait"],
        cwd=ROOT,
        env=clean_environ(),
        stdin=subprocess.DEVNULL,
        process_group=0,
    )
    one, two = (f"http://127.0.0.1:{ports[port]}" for port in (8001, 8002))
    try:
        eventually(lambda: serves(one, process) and serves(two, process), timeout=25)
        chat = httpx.post(f"{one}/api/chats", json={}).json()
        message = {"id": "m-1", "role": "user", "content": "Hello"}
        query = {"id": chat["id"], "mode": "await"}
        sent = httpx.post(f"{one}/api/chat", params=query, json={"messages": [message]}, timeout=20)
        assert sent.status_code == 200, sent.text
        seen = httpx.get(f"{two}/api/chats/{chat['id']}/snapshot").json()["messages"]
        assert seen[-1]["parts"][0]["content"] == "Echo: Hello"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(15)


def test_the_two_commands(tmp_path: Path) -> None:
    """``make run`` serves; ``make test`` is what runs this test."""
    commands = [line.split("#")[0].strip() for line in block("bash", "make test").splitlines()]
    assert commands == ["make run", "make test"]
    port = free_port()
    arguments = f"ARGS=--port {port} --data-dir {tmp_path / 'data'}"
    process = subprocess.Popen(
        ["make", "run", arguments], cwd=ROOT, env=clean_environ(), stdin=subprocess.DEVNULL, process_group=0
    )
    try:
        eventually(lambda: serves(f"http://127.0.0.1:{port}", process), timeout=25)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(15)


def test_make_names_what_the_docs_name() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for document in PAGES:
        named = set(re.findall(r"`[^`\n]*\bmake ([a-z-]+)[^`\n]*`", document.read_text()))
        assert named <= targets, f"{document.name} names {named - targets}"


def test_every_setting_is_in_the_table() -> None:
    table = README[README.index("## Settings") : README.index("## What is promised")]
    documented = set(re.findall(rf"`{PREFIX}([A-Z_]+)`", table))
    areas = (type(getattr(Settings(), area.name)) for area in fields(Settings))
    existing = {setting.metadata["key"] for area in areas for setting in fields(area)}
    assert documented == existing


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("name", ["runtime", "llm", "dev"])
def test_locks_fit_the_project_and_name_no_address(name: str) -> None:
    """What ``make lock`` guarantees, in case it was not called."""
    lock = (ROOT / "requirements" / f"{name}.lock").read_text()
    assert "://" not in lock
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock, re.M))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"].get(name, [])
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[requirement.name]), requirement
