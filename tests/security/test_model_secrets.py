"""Canaries: neither the key of a model nor what its provider says when it fails shows up anywhere."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

pytest.importorskip("pydantic_ai", reason="the extra llm is not installed")

from tests.support.model_server import Answer, ModelServer, Refusal
from tests.support.model_wire import Call, Cut, Raw, Text, Thought
from tests.support.server import ServerProcess

KEY = "canary-key-0123456789"
SAID = "canary-of-the-provider"
REFUSED = f"Incorrect API key provided: {KEY}. {SAID}"
ERROR = f'data: {{"type": "error", "error": {{"type": "server_error", "message": "{REFUSED}"}}}}\n\n'

REPLIES: dict[str, list[Answer | Refusal]] = {
    "key": [Refusal(401, REFUSED, {"X-Request-Id": SAID})],
    "request": [Refusal(400, REFUSED)],
    "busy": [Refusal(429, REFUSED, {"Retry-After": "3600"})],
    "trouble": [Refusal(500, REFUSED), Refusal(403, REFUSED)],
    "stream": [Answer.of(Text("Hel"), Raw(f"event: error\n{ERROR}".encode()))],
    "no JSON": [Answer.of(Text("Hel"), Raw(f"event: ping\ndata: {REFUSED}\n\n".encode()))],
    "shape": [Answer.of(Text("Hel"), Raw(f'event: ping\ndata: {{"choices": "{REFUSED}"}}\n\n'.encode()))],
    "cut": [Answer.of(Thought("Hm"), Raw(f'data: {{"id": "{REFUSED}'.encode()), Cut())],
    "tool": [Answer.of(Call("broken", ("{}",), "call-1"))],
    "fine": [Answer.of(Text("Hello."))],
}


@pytest.mark.slow
@pytest.mark.parametrize("agent", ["openai:fake", "anthropic:fake", "tests.support.model_agents:weather"])
def test_they_stay_with_the_model(start_server: Callable[..., ServerProcess], agent: str) -> None:
    with ModelServer() as model:
        server = start_server(env={"DURABLE_CHAT_AGENT": agent, **model.environ(KEY)})
        seen: list[bytes] = []

        def remember(reply: httpx.Response) -> None:
            seen.append(str(reply.headers).encode() + reply.read())

        with httpx.Client(base_url=server.url, event_hooks={"response": [remember]}, timeout=20) as http:
            http.get("/")
            chat_id = http.post("/api/chats", json={}).json()["id"]
            for name, replies in REPLIES.items():
                if name != "tool" or agent.endswith("weather"):
                    model.will(*replies)
                    body = {"messages": [{"role": "user", "content": name}]}
                    assert http.post(f"/api/chat?id={chat_id}&mode=await", json=body).status_code == 200
            runs = http.get(f"/api/chats/{chat_id}/snapshot").json()["runs"].values()
            assert {run["status"] for run in runs} == {"failed"}
            assert len({run["code"] for run in runs}) > 4
            for path in (f"/chat/{chat_id}", f"/api/chat-stream?id={chat_id}&offset=-1", "/readyz"):
                assert http.get(path).status_code == 200
        assert b"Hello." in seen[-2]
        assert KEY in str(model.asked[0].headers)
    assert server.sigterm() == 0
    assert "failed in run" in server.log
    stored = b"".join(file.read_bytes() for file in server.data_dir.rglob("*") if file.is_file())
    for secret in (KEY, SAID):
        assert secret.encode() not in b"".join(seen)
        assert secret not in server.log
        assert secret.encode() not in stored
