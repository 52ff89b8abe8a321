"""What every reply carries: a snapshot per kind of route."""

from __future__ import annotations

import re

import pytest

from tests.security.routes import CHAT_ROUTES
from tests.support.live_app import Chatter, LiveApp
from webapp.assets import locate

SECURITY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@pytest.fixture(scope="module")
def owner(app: LiveApp) -> tuple[Chatter, str]:
    chatter = Chatter(app)
    chat_id = chatter.create_chat()
    chatter.send(chat_id, "first", message_id="m-first")
    return chatter, chat_id


def test_every_reply_carries_them(app: LiveApp, owner: tuple[Chatter, str]) -> None:
    chatter, chat_id = owner
    replies = [route.call(chatter.http, chat_id) for route in CHAT_ROUTES]
    replies += [route.call(app.client(), chat_id) for route in CHAT_ROUTES]
    replies += [
        chatter.http.get(path)
        for path in ("/", "/nowhere", "/api/nowhere", "/healthz", "/static/x/css/app.css")
    ]
    replies += [
        chatter.http.put("/"),
        chatter.http.options("/"),
        chatter.http.get("/", headers={"Host": "evil"}),
    ]
    for reply in replies:
        found = {name: reply.headers.get(name) for name in SECURITY}
        assert found == SECURITY, reply.request.url
        assert "server" not in reply.headers
        assert "access-control-allow-origin" not in reply.headers


def test_nothing_private_is_kept(owner: tuple[Chatter, str]) -> None:
    chatter, chat_id = owner
    for route in CHAT_ROUTES:
        reply = route.call(chatter.http, chat_id)
        catch_up = route.template == "/api/chat-stream"
        assert reply.headers["cache-control"] == ("private, no-cache" if catch_up else "no-store"), route.name
        assert reply.headers["vary"] == "Cookie"
    live = {"id": chat_id, "offset": "now", "live": "sse"}
    with chatter.http.stream("GET", "/api/chat-stream", params=live) as reply:
        assert reply.headers["cache-control"] == "no-store"
        assert {name: reply.headers.get(name) for name in SECURITY} == SECURITY


def test_the_cookie_is_secure_behind_https(app: LiveApp) -> None:
    header = app.client().get("/", headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} <= set(header.split("; "))


def test_no_template_has_inline_code() -> None:
    for template in locate("templates").rglob("*.html"):
        text = re.sub(r"\{#.*?#\}", "", template.read_text(), flags=re.DOTALL)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text), template
        for script in re.findall(r"<script\b[^>]*>", text):
            assert "src=" in script or 'type="application/json"' in script, template
