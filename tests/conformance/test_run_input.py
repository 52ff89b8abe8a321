"""What our connection adapters post is AG-UI's RunAgentInput, by the word of AG-UI's own package."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from ag_ui.core import RunAgentInput

from tests.support.server import ROOT

SCRIPT = """
import { readFileSync } from "node:fs";
import { createRunInput } from "./static/js/run-input.js";
const { messages, data, run } = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(createRunInput(messages, data, run)));
"""

IMAGE = {"type": "image", "source": {"type": "url", "value": "https://example.org/a.png"}}
CALL = {"type": "tool-call", "id": "t1", "name": "clock", "arguments": "{}", "state": "complete"}

MESSAGES: list[dict[str, Any]] = [
    {"id": "s", "role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
    {"id": "u1", "role": "user", "name": "Ana", "parts": [{"type": "text", "content": "Hi"}]},
    {
        "id": "a1",
        "role": "assistant",
        "parts": [
            {"type": "thinking", "content": "Hm.", "stepId": "th"},
            {"type": "text", "content": "Let me see."},
            CALL,
            {"type": "tool-result", "toolCallId": "t1", "content": "12:00", "state": "complete"},
        ],
    },
    {"id": "u2", "role": "user", "parts": [{"type": "text", "content": "Look"}, IMAGE]},
]


def created(**given: Any) -> dict[str, Any]:
    node = shutil.which("node")
    assert node, "Node is needed to run the adapters"
    done = subprocess.run(
        [node, "--input-type=module", "-e", SCRIPT],
        cwd=ROOT,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    body: dict[str, Any] = json.loads(done.stdout)
    return body


def test_a_conversation_with_everything_in_it() -> None:
    run = {
        "threadId": "t",
        "runId": "r",
        "parentRunId": "p",
        "resume": [{"interruptId": "i", "status": "resolved", "payload": {"n": 1}}],
        "clientTools": [{"name": "clock", "description": "tells the time", "parameters": {"type": "object"}}],
    }
    read = RunAgentInput.model_validate(created(messages=MESSAGES, data={"tone": "dry"}, run=run))
    assert (read.thread_id, read.run_id, read.parent_run_id) == ("t", "r", "p")
    roles = ["system", "user", "reasoning", "assistant", "tool", "user"]
    assert [message.role for message in read.messages] == roles
    assert read.forwarded_props == {"tone": "dry"}
    assert [tool.name for tool in read.tools] == ["clock"]


def test_the_least_there_can_be() -> None:
    read = RunAgentInput.model_validate(created(messages=[{"role": "user", "content": "Hi"}]))
    assert read.messages[0].content == "Hi"
    assert read.run_id != read.thread_id
