"""Canaries: no secret shows up in a response, a log line or a file that is not its own."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.support.server import ServerProcess

KEY = "canary-secret-key-0123456789"
READ = "canary-read-token-0123456789"
WRITE = "canary-write-token-0123456789"
CANARY = "canary-from-an-exception"
AGENT = "tests.security.leaky_agent:leaky"


def test_secrets_stay_where_they_belong(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(
        env={
            "DURABLE_CHAT_SECRET_KEY": KEY,
            "DURABLE_CHAT_STREAMS_SERVER_READ_TOKEN": READ,
            "DURABLE_CHAT_STREAMS_SERVER_WRITE_TOKEN": WRITE,
            "DURABLE_CHAT_AGENT": AGENT,
        }
    )
    seen: list[bytes] = []

    def remember(reply: httpx.Response) -> None:
        seen.append(str(reply.headers).encode() + reply.read())

    with httpx.Client(base_url=server.url, event_hooks={"response": [remember]}, timeout=20) as http:
        http.get("/")
        chat = http.post("/api/chats", json={}).json()
        link = http.post(f"/api/chats/{chat['id']}/shares", json={"role": "chat"}).json()["url"]
        body = {"messages": [{"id": "m", "role": "user", "content": "fail, please"}]}
        assert http.post(f"/api/chat?id={chat['id']}&mode=await", json=body).status_code == 200
        snapshot = http.get(f"/api/chats/{chat['id']}/snapshot").json()
        assert [run["status"] for run in snapshot["runs"].values()] == ["failed"]
        handed_out = len(seen)
        for path in (
            f"/chat/{chat['id']}",
            f"/api/chat-stream?id={chat['id']}&offset=-1",
            "/nowhere",
            "/readyz",
        ):
            http.get(path)
        http.get("/v1/stream/x", headers={"Authorization": f"Bearer {READ}"})
        http.get("/api/chats", headers={"Authorization": "Bearer wrong"})
        with httpx.Client(base_url=server.url) as guest:
            reply = guest.get(link)
            assert reply.status_code == 303
            seen.append(str(reply.headers).encode() + reply.content)
            assert guest.get(reply.headers["location"]).status_code == 200
    token = link.rsplit("/", 1)[1]
    server.sigterm()

    for text in seen:
        for secret in (KEY, READ, WRITE, CANARY):
            assert secret.encode() not in text
    for text in seen[handed_out:]:
        assert token.encode() not in text
        assert chat["token"].encode() not in text
    for secret in (KEY, READ, WRITE, token, chat["token"]):
        assert secret not in server.log
    stored = b"".join(file.read_bytes() for file in server.data_dir.rglob("*") if file.is_file())
    for secret in (KEY, READ, WRITE, token, chat["token"], CANARY):
        assert secret.encode() not in stored
    assert not (server.data_dir / "secret-key").exists()
