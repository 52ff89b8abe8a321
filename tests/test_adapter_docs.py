"""docs/connection-adapters.md is run: its blocks as one module, against the app."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.support.node_tests import run_node_tests
from tests.support.server import ROOT, ServerProcess

PAGE = ROOT / "docs" / "connection-adapters.md"
ADAPTERS = ROOT / "static" / "js" / "connection-adapters.js"
WAITING = ROOT / "tests" / "js" / "support" / "waiting.js"
BLOCKS = re.findall(r"^```js\n(.*?)^```$", PAGE.read_text(), re.M | re.S)

CHECKS = """
await test("what the page says", async () => {
  const textOf = (chunks) => chunks.map(({ delta = "" }) => delta).join("");
  await eventually(() => textOf(heard).includes("Echo: And again"));
  leave.abort();
  await listening.catch((error) => assert.equal(error.name, "AbortError"));
  assert.match(textOf(heard), /^Hello.*Echo: Hello.*And again.*Echo: And again$/s);
  assert.equal(textOf(answer), "Echo: And again");
  assert.equal(answer.at(-1).type, "RUN_FINISHED");
  assert.deepEqual(joined, answer);
  assert.equal(parroted.value.type, "TEXT_MESSAGE_START");
});
"""


def test_every_block_runs(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = start_server(env={"DURABLE_CHAT_ACCESS": "open", "DURABLE_CHAT_AGENT": "echo"})
    script = tmp_path / "page.mjs"
    script.write_text(
        'import assert from "node:assert/strict";\nimport { test } from "node:test";\n'
        f'import {{ eventually }} from "{WAITING.as_uri()}";\n'
        f'const app = "{server.url}", chat = "a-chat-of-the-documentation";\n'
        + "".join(BLOCKS).replace("./static/js/connection-adapters.js", ADAPTERS.as_uri())
        + CHECKS
    )
    run_node_tests(script, passes=1, timeout=28)


def test_every_adapter_is_on_the_page() -> None:
    page = PAGE.read_text()
    exported = re.findall(r"^export \{ ([^}]*) \}", ADAPTERS.read_text(), re.M)
    adapters = [
        name
        for names in exported
        for name in names.split(", ")
        if re.match(r"fetch|stream$|rpc|webSocket|\w+Connection$|normalize", name)
    ]
    assert len(adapters) >= 7, adapters
    assert [name for name in adapters if f"`{name}`" not in page] == []
