"""Pictures of the main states. ``make screenshot`` puts them into ``docs``."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.chat_page import ChatPage
from support.people import DESKTOP, PHONE, People, Person
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.01"}
DOCS = Path(__file__).parents[1] / "docs"
UPDATE = bool(os.environ.get("UPDATE_SCREENSHOTS"))
LOOKS = [("desktop", "light"), ("phone", "dark"), ("desktop", "dark"), ("phone", "light")]
DEVICES = {"desktop": DESKTOP, "phone": PHONE}
TALK = "What happens if I close this tab while you are talking?"

Shot = Callable[[str], None]


def test_picture(people: People, tmp_path: Path) -> None:
    """The README's."""
    chat = people.join(device_scale_factor=2).new_chat()
    guest = people.join().open(chat.share("chat"))
    chat.send(TALK)
    chat.wait_rows(2)
    guest.send("/tool")
    chat.wait_text("in week")
    chat.send("/long 300")
    chat.wait_text("10. Nothing that was written here")
    path = DOCS / "screenshot.png" if UPDATE else tmp_path / "screenshot.png"
    chat.page.screenshot(path=path)
    assert path.stat().st_size > 20_000


@pytest.mark.parametrize(("device", "theme"), LOOKS if UPDATE else LOOKS[:2])
def test_main_states(people: People, tmp_path: Path, device: str, theme: str) -> None:
    person = people.join(**DEVICES[device], color_scheme=theme, reduced_motion="reduce")
    folder = DOCS / "screenshots" if UPDATE else tmp_path
    folder.mkdir(exist_ok=True)
    start(person, folder / f"start-{device}-{theme}.webp")
    chat = person.new_chat()

    def shot(state: str) -> None:
        take(chat, folder / f"{state}-{device}-{theme}.webp")

    talk(chat, people, shot)
    dialogs(chat, shot)
    assert all(3_000 < file.stat().st_size < 150_000 for file in folder.iterdir())


def start(person: Person, path: Path) -> None:
    page = person.context.new_page()
    page.goto(person.origin)
    take(ChatPage(page, page.url, person.guard), path)
    page.close()


def talk(chat: ChatPage, people: People, shot: Shot) -> None:
    say(chat, TALK)
    chat.wait_rows(2)
    say(chat, "/tool")
    chat.wait_text("in week")
    guest = people.join().open(chat.share("chat"))
    guest.send("I am here too. @Critic, what do you make of it?")
    chat.wait_text("Demo needed")
    chat.page.locator("#stop").wait_for(state="hidden")
    chat.page.locator(".bar .company").wait_for()
    shot("chat")
    say(chat, "/approve")
    chat.page.locator(".approval-form").wait_for()
    shot("approval")
    chat.page.locator(".approval-form [value=approve]").click()
    chat.page.locator(".part-approval:not([data-open])").wait_for()
    chat.page.locator("#stop").wait_for(state="hidden")
    say(chat, "/long 3000")
    chat.wait_words(70)
    guest.send("May I ask something next?")
    chat.page.locator(".queue-item").wait_for()
    shot("streaming")
    chat.page.locator("#stop").click()
    guest.page.close()
    eventually(lambda: chat.page.locator("#stop").is_hidden(), what="quiet")


def dialogs(chat: ChatPage, shot: Shot) -> None:
    page = chat.page
    page.locator(".agent [data-action=more]").last.click()
    page.locator("#message-menu").wait_for()
    shot("menu")
    page.keyboard.press("Escape")
    chat.composer.fill("/")
    page.locator("#commands").wait_for()
    shot("commands")
    chat.composer.fill("")
    page.locator("#share").focus()  # on a phone, the header is hidden while one reads on
    page.locator("#share").click()
    page.locator("#share-dialog").wait_for()
    shot("share")
    page.keyboard.press("Escape")
    page.locator("#scroller").focus()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    shot("keys")


def say(chat: ChatPage, text: str) -> None:
    chat.composer.fill(text)
    chat.page.locator("#send").click()  # on a phone, Enter breaks the line


def take(chat: ChatPage, path: Path) -> None:
    """A third of the size of a PNG."""
    devtools = chat.page.context.new_cdp_session(chat.page)
    picture = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": 90})
    path.write_bytes(base64.b64decode(picture["data"]))
