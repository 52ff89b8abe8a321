"""axe-core in a page: before the page's own scripts, because the page's policy lets nothing in later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page

SOURCE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"

# Best practices too. Contexts need reduced motion: what fades in has no contrast yet.
RUN = "options => axe.run(document, options)"
OPTIONS: dict[str, Any] = {"resultTypes": ["violations"]}


def inject(context: BrowserContext) -> None:
    """For every page that the context opens from now on."""
    context.add_init_script(path=SOURCE)


def violations(page: Page) -> list[str]:
    """What axe finds wrong with the page as it is now, one line for each element."""
    found = page.evaluate(RUN, OPTIONS)["violations"]
    return [
        f"{one['id']}: {one['help']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for one in found
        for node in one["nodes"]
    ]
