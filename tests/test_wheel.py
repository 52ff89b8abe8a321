"""The wheel is whole: installed into an empty environment it serves, without the source tree."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.support.server import ROOT, ServerProcess, ask, clean_environ

UV = ROOT / "scripts" / "uv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = target.glob("durable_chat-*.whl")
    return path


def test_it_holds_pages_and_scripts(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("static", "templates"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"webapp/_assets/{folder}/{path.relative_to(ROOT / folder)}" in names
    assert "webapp/streams/store/schema.sql" in names
    assert not any(name.startswith(("tests/", "playwright/", "benchmarks/")) for name in names)


@pytest.mark.slow
def test_it_serves_from_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    python = str(venv / "bin" / "python")
    install = [UV, "pip", "install", "--quiet", "--python", python]
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    locked = ["--require-hashes", "-r", ROOT / "requirements" / "runtime.lock"]
    subprocess.run([*install, *locked], check=True)
    subprocess.run([*install, "--no-deps", wheel], check=True)

    refused = subprocess.run(
        [venv / "bin" / "durable-chat", "serve", "--port", "0", "--data-dir", tmp_path / "refused"],
        env=clean_environ({"DURABLE_CHAT_AGENT": "openai:gpt-5.1", "PYTHONPATH": ""}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "pip install 'durable-chat[llm]'" in refused.stderr

    # The folder has nothing but an agent, and no PYTHONPATH leads to it.
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "my_agent.py").write_text('async def parrot(turn):\n    yield f"Parrot: {turn.text}"\n')
    command = (str(venv / "bin" / "durable-chat"),)
    env = {"PYTHONPATH": "", "DURABLE_CHAT_AGENT": "my_agent:parrot"}
    with ServerProcess(tmp_path / "data", executable=command, env=env, cwd=folder) as server:
        page = httpx.get(f"{server.url}/")
        assert page.status_code == 200
        assert "<h1" in page.text
        assets = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
        assert assets
        for asset in assets:
            assert httpx.get(server.url + asset).status_code == 200, asset
        assert ask(server.url, "hello") == "Parrot: hello"
        assert server.sigterm() == 0
