"""docs/session-helpers.md is run: its blocks, one after the other, as if they were typed."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from typing import Any

from tests.support.server import ROOT, ServerProcess
from tests.support.session_app import events_in, served
from webapp import session

PAGE = ROOT / "docs" / "session-helpers.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


async def type_in(block: str, namespace: dict[str, Any]) -> None:
    code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(code, namespace)
    if inspect.isawaitable(outcome):
        await outcome


async def test_every_block_runs_and_every_response_is_one(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("streams", command="streams")
    namespace: dict[str, Any] = {}
    statuses: list[int] = []

    async def respond(scope: Any, body: bytes) -> Any:
        return namespace.pop("response")

    async with served(respond) as client:
        for block in BLOCKS:
            await type_in(block.replace("http://127.0.0.1:4437", server.url), namespace)
            if "response" in namespace:
                statuses.append((await client.get("/", params={"offset": "-1"})).status_code)
        # What the page says about a stream elsewhere holds for one that is there.
        await session.append_sanitized_chunks_to_stream(
            await session.ensure_durable_chat_session_stream(namespace["remote"]), namespace["chunks"]
        )
        assert await events_in(namespace["remote"]) == namespace["chunks"]
    assert statuses == [200, 200, 200, 200, 404]
    assert b"".join(namespace["pieces"]).count(b"\n") > 5


def test_every_name_is_on_the_page_and_is_described() -> None:
    page = PAGE.read_text()
    for name in session.__all__:
        described = getattr(session, name)
        assert inspect.getdoc(described), name
        if inspect.isfunction(described) and name != "to_server_sent_events_stream":
            assert name in page, name
