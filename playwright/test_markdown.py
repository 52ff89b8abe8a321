"""What agents and people write: the live page equals the reloaded one, and nothing in it ever runs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from support.chat_page import ChatPage
from support.people import People
from tests.support.agents import GOLDEN

SERVER_ENV = {"DURABLE_CHAT_AGENT": "tests.support.agents:recite"}

CORPUS = sorted((GOLDEN / "markdown").glob("*.md"))
HOSTILE = sorted((GOLDEN / "hostile").glob("*.md"))

# Everything in a message body that could act, fetch or leave its place.
DANGERS = """
() => {
  const found = [];
  for (const body of document.querySelectorAll('#transcript .message-body')) {
    for (const element of body.querySelectorAll('*')) {
      const name = element.tagName.toLowerCase();
      if (/^(script|iframe|object|embed|img|svg|math|style|link|meta|base|form|video|audio)$/.test(name))
        found.push(name);
      for (const {name: attribute, value} of element.attributes) {
        if (attribute === 'hx-disable') continue;
        if (/^(on|hx-|data-hx-|style$|srcset$|formaction$|action$|srcdoc$)/i.test(attribute))
          found.push(`${name} ${attribute}=${value}`);
        if (/^(href|src)$/i.test(attribute)) {
          const {protocol} = new URL(value, document.baseURI);
          if (!['http:', 'https:', 'mailto:'].includes(protocol)) found.push(`${name} ${attribute}=${value}`);
        }
      }
    }
  }
  return found;
}
"""


def recite(chat: ChatPage, path: Path, seed: int, pause: float = 0) -> None:
    before = len(chat.rows)
    chat.send(f"recite {path.parent.name}/{path.name} {seed} {pause}")
    chat.wait_rows(before + 2)


def test_the_live_page_equals_the_reloaded_page(people: People, rng: random.Random) -> None:
    person = people.join()
    chat = person.new_chat()
    for path in CORPUS:
        recite(chat, path, rng.randrange(10**6))
    person.equals_fresh(chat)


def test_text_typed_by_people_is_markdown_too(people: People) -> None:
    person = people.join()
    chat = person.new_chat()
    texts = [path.read_text() for path in CORPUS if path.stem in ("prose", "code", "lists")]
    for count, text in enumerate(texts, start=1):
        chat.composer.fill(text)
        chat.page.locator("#send").click()
        chat.wait_rows(2 * count)
    person.equals_fresh(chat)


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.stem)
def test_hostile_text_does_nothing(people: People, rng: random.Random, path: Path) -> None:
    """AC-45, with random splits. The guard fails the test on a dialog, a CSP report or a foreign request."""
    person = people.join()
    chat = person.new_chat()
    for round in range(3):
        recite(chat, path, rng.randrange(10**6), pause=2 if round == 0 else 0)
        assert chat.page.evaluate(DANGERS) == []
    fresh = person.open(chat.url)
    assert fresh.page.evaluate(DANGERS) == []
    person.equals_fresh(chat)
    assert chat.page.url == chat.url


def test_hostile_text_from_a_person_does_nothing(people: People) -> None:
    person = people.join()
    chat = person.new_chat()
    for count, path in enumerate(HOSTILE, start=1):
        chat.composer.fill(path.read_text())
        chat.page.locator("#send").click()
        chat.wait_rows(2 * count)
        assert chat.page.evaluate(DANGERS) == []
    chat.reload().wait_live()
    assert chat.page.evaluate(DANGERS) == []


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", HOSTILE + CORPUS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_many_splits(people: People, path: Path) -> None:
    person = people.join()
    chat = person.new_chat()
    for seed in range(28):  # 56 rows: what a fresh page shows without asking for older ones
        recite(chat, path, seed, pause=1)
        assert chat.page.evaluate(DANGERS) == []
    person.equals_fresh(chat)
