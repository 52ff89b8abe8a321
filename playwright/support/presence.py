"""What a page shows of who is here. The only place that knows the ids and classes of that."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator

from support.chat_page import ChatPage
from tests.support.waiting import eventually

# A tab is in the background, as far as its page can tell.
HIDE = """
hidden => {
  Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event('visibilitychange'));
}
"""

# Everything that the faces have said, and what was announced.
KEEP = """
() => {
  window.__kept = {faces: [], announced: []};
  const keep = (list, text) => text && list.at(-1) !== text && list.push(text);
  const faces = document.querySelector('.company');
  const polite = document.getElementById('announce-polite');
  const look = () => {
    keep(window.__kept.faces, faces.getAttribute('aria-label'));
    keep(window.__kept.announced, polite.textContent);
  };
  new MutationObserver(look).observe(faces, {attributes: true});
  new MutationObserver(look).observe(polite, {childList: true, characterData: true, subtree: true});
  look();
}
"""


class Faces:
    """The faces in the header of a chat."""

    def __init__(self, chat: ChatPage) -> None:
        self.chat = chat
        self.button = chat.page.locator(".company")

    def face(self, name: str) -> Locator:
        return self.button.locator(f'.face[title="{name}"]')

    @property
    def here(self) -> dict[str, tuple[str, str]]:
        """By name: active or away, and the badge."""
        read = """faces => Object.fromEntries(faces.map(face => [face.title, [
            face.dataset.state, face.querySelector('.face-badge')?.textContent ?? '']]))"""
        found: dict[str, list[str]] = self.button.locator(".face:not(.more)").evaluate_all(read)
        return {name: (state, badge) for name, (state, badge) in found.items()}

    def wait(self, expected: dict[str, tuple[str, str]], *, timeout: float = 20) -> None:
        def so() -> bool:
            assert self.here == expected
            return True

        eventually(so, timeout=timeout, what=f"{expected} in the header")

    def keep(self) -> None:
        self.chat.page.evaluate(KEEP)

    def kept(self) -> dict[str, Any]:
        return dict(self.chat.page.evaluate("() => window.__kept"))

    def people(self) -> list[str]:
        """The lines of the list, which is opened."""
        if not self.chat.page.locator("#people").is_visible():
            self.button.click()
        lines = self.chat.page.locator("#people li > span:last-child")
        return [" ".join(line.inner_text().split()) for line in lines.all()]

    def activity(self) -> str:
        return self.chat.page.locator("#activity").inner_text()


def hide(chat: ChatPage, *, hidden: bool = True) -> None:
    """Have the page think it is in the background."""
    chat.page.evaluate(HIDE, hidden)


def name_of(chat: ChatPage) -> str:
    return chat.page.locator(".whoami b").inner_text()


def rename(chat: ChatPage, name: str, *, hue: int | None = None) -> None:
    """Choose another name, and another colour, in the dialog."""
    chat.page.locator(".whoami").click()
    dialog = chat.page.locator("dialog.me")
    dialog.get_by_label("Name").fill(name)
    if hue is not None:
        dialog.locator(f'input[name=hue][value="{hue}"]').check()
    dialog.get_by_role("button", name="Save").click()
    dialog.wait_for(state="detached")
