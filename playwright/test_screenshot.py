"""The README's picture. It is taken by ``make screenshot``; an ordinary run only checks that it can be."""

from __future__ import annotations

import os
from pathlib import Path

from support.people import People

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.01"}
TARGET = Path(__file__).parents[1] / "docs" / "screenshot.png"


def test_picture(people: People, tmp_path: Path) -> None:
    chat = people.join(device_scale_factor=2).new_chat()
    guest = people.join().open(chat.share("chat"))
    chat.send("What happens if I close this tab while you are talking?")
    chat.wait_rows(2)
    guest.send("/tool")
    chat.wait_text("in week")
    chat.send("/long 300")
    chat.wait_text("10. Nothing that was written here")
    path = TARGET if os.environ.get("UPDATE_SCREENSHOTS") else tmp_path / "screenshot.png"
    chat.page.screenshot(path=path)
    assert path.stat().st_size > 20_000
