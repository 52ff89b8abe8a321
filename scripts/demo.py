"""The five-minute tour in one: two browsers, one session, and everything that may go wrong.

With a display the windows are visible and slow enough to follow. Without one every step is kept as a pair of
pictures in ``build/demo``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.support.server import ROOT, ServerProcess
from tests.support.waiting import eventually

sys.path.insert(0, str(ROOT / "playwright"))
from support.chat_page import ChatPage
from support.chromium import launch_options
from support.people import People

PICTURES = ROOT / "build" / "demo"


@dataclass
class Stage:
    """Two tabs and the audience. ``pause`` is seconds after each step, for the eye only."""

    pages: dict[str, ChatPage]
    visible: bool
    pause: float
    steps: int = 0

    def show(self, sentence: str) -> None:
        self.steps += 1
        print(f"{self.steps}. {sentence}", flush=True)
        for name, chat in self.pages.items():
            if not self.visible:
                chat.page.screenshot(path=PICTURES / f"{self.steps:02d}-{name}.png")
        if self.visible:
            next(iter(self.pages.values())).page.wait_for_timeout(self.pause * 1000)


def tour(stage: Stage, server: ServerProcess) -> None:
    ana, ben = stage.pages["ana"], stage.pages["ben"]
    stage.show("Ana has made a chat, Ben has opened her link. Two browsers, two people, one stream.")
    ana.send("Hello! Who are you?")
    ben.wait_rows(2)
    stage.show("Ana has asked; the answer streams into both.")
    ben.send("/long 250")
    ana.wait_words(40)
    stage.show("Ben has asked for 250 words. They arrive on both screens.")
    ana.reload()
    ana.wait_words(60)
    stage.show("Ana refreshes in the middle: the text so far is in the page, the rest continues it.")
    ana.wait_words(100)
    server.kill9()
    eventually(lambda: ben.live in ("reconnecting", "offline"), what="Ben's page notices")
    stage.show("The server is killed (kill -9). Both pages keep what they have and say so.")
    server.start()
    ana.wait_state("interrupted")
    ben.wait_state("interrupted")
    stage.show("The server is back: nobody has reloaded, the half answer is there and marked.")
    ben.page.locator("[data-action=retry]").click()
    eventually(lambda: len(ana.rows) == 5 and len(ana.rows[-1].words) > 30, timeout=30, what="the retry")
    stage.show("Ben retries.")
    ana.page.locator("#stop").click()
    ben.wait_state("stopped")
    stage.show("Ana stops it, for everybody.")
    eventually(lambda: ana.rows == ben.rows, what="equal transcripts")
    stage.show("Both screens show the same, word for word.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--headless", action="store_true", help="take pictures even where there is a display")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds to look at each step")
    options = parser.parse_args()
    display = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    visible = bool(display) and not options.headless
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir(parents=True)

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        launch: dict[str, Any] = launch_options(headless=not visible)
        browser = playwright.chromium.launch(**launch)
        with ServerProcess(Path(folder) / "data") as server, People(browser, server.url) as people:
            ana, ben = people.join(), people.join()
            for person in (ana, ben):
                person.expect_broken_network()
            hers = ana.new_chat()
            stage = Stage({"ana": hers, "ben": ben.open(hers.share())}, visible, options.pause)
            tour(stage, server)
        browser.close()
    if not visible:
        print(f"pictures: {PICTURES.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
