"""Ten tabs of two people do whatever they like; afterwards all of them show what the log says."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Error, TimeoutError

from support.chat_page import ChatPage, text_of
from support.people import People, Person
from tests.support.waiting import eventually
from webapp.chat.branches import Branches
from webapp.chat.reducer import Snapshot, materialize

SERVER_ENV = {
    "DURABLE_CHAT_AGENT": "tests.support.agents:slow_echo",
    "DURABLE_CHAT_RUNS_PER_PERSON": "0",
    "DURABLE_CHAT_RUNS_PER_CHAT": "0",
}
TABS = 5
WORDS = ("harbour", "lantern", "river", "letter", "window", "story", "number", "patience", "boat", "tide")
DONE = 60.0
# What becomes of a question to a page that loads itself again just then.
REPLACED = re.compile("Execution context was destroyed|Not attached to an active page")

# What a tab shows: its rows, which version of each group it looks at, the title, and what is under way.
SHOWN = """() => ({
  rows: [...document.querySelectorAll('#transcript article[data-message-id]')].map(row => ({
    id: row.dataset.messageId,
    state: row.dataset.state,
    delivery: row.dataset.delivery ?? null,
    words: row.querySelector('.message-body').innerText.split(/\\s+/).filter(Boolean),
  })),
  versions: Object.fromEntries([...document.querySelectorAll('#transcript .versions')].map(
    each => [each.dataset.group, each.querySelector('.version-pin').value])),
  title: document.querySelector('.bar-title').textContent,
  live: document.querySelector('#chat').dataset.live,
})"""

# Pressed as it is, whatever else goes on in the page: Playwright would wait until a row stands still.
PRESS = """([selector, at]) => {
  const buttons = [...document.querySelectorAll(selector)].filter(each => !each.hidden);
  if (buttons.length) buttons[Math.floor(at * buttons.length)].click();
  return buttons.length > 0;
}"""

# Written and sent in one go, as a program would; where the page's own script is not there yet, as a form.
SAY = """text => {
  const input = document.querySelector('#composer-input');
  input.value = text;
  input.dispatchEvent(new InputEvent('input', {bubbles: true}));
  input.form.requestSubmit();
  return document.querySelector('#chat').dataset.live === 'live';
}"""


@dataclass
class Player:
    """Does things at random, in tabs of two people on one chat, and notes what was said."""

    people: People
    rng: random.Random
    owners: list[Person] = field(default_factory=list)
    tabs: list[ChatPage] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)
    """Said in a page that was being replaced, or not wholly there: nobody can tell whether it heard."""
    done: Counter[str] = field(default_factory=Counter)

    def sit_down(self) -> None:
        ana, ben = self.people.join(), self.people.join()
        first = ana.new_chat()
        other = ben.open(first.share("chat"))
        self.owners = [ana] * TABS + [ben] * TABS
        more = [owner.open(chat.url) for owner, chat in ((ana, first), (ben, other)) for _ in range(TABS - 1)]
        self.tabs = [first, *more[: TABS - 1], other, *more[TABS - 1 :]]

    def text(self) -> str:
        text = " ".join([f"t{len(self.said)}", *self.rng.choices(WORDS, k=self.rng.randrange(1, 12))])
        self.said.append(text)
        return text

    def act(self) -> None:
        acts = (
            [self.send] * 6
            + [self.stop] * 2
            + [self.edit] * 3
            + [self.reload] * 2
            + [self.rename, self.leave]
        )
        act, place = self.rng.choice(acts), self.rng.randrange(len(self.tabs))
        act(place)
        self.done[act.__name__] += 1

    def send(self, place: int) -> None:
        text = self.text()
        try:
            heard = self.tabs[place].page.evaluate(SAY, text)
        except Error as error:
            if not REPLACED.search(str(error)):
                raise
            heard = False
        if not heard:
            self.doubtful.add(text)

    def press(self, place: int, selector: str, at: float = 0) -> bool:
        """Whether there was anything to press. A page that is being replaced has nothing."""
        try:
            return bool(self.tabs[place].page.evaluate(PRESS, [selector, at]))
        except Error as error:
            if not REPLACED.search(str(error)):
                raise
            return False

    def stop(self, place: int) -> None:
        self.press(place, "#stop")

    def edit(self, place: int) -> None:
        if self.press(place, "#transcript [data-action=revise]", self.rng.random()):
            self.send(place)

    def rename(self, place: int) -> None:
        if not self.press(place, ".bar-rename"):
            return
        field, title = self.tabs[place].page.locator(".bar-input"), f"Title {self.rng.randrange(100)}"
        try:
            field.fill(title, timeout=3000)
            field.press("Enter", timeout=3000)
        except TimeoutError:
            pass  # the page was replaced, and the field with it

    def last_words(self, place: int) -> None:
        """Said in a page that is wholly there: until then it has no store to put them in."""
        self.tabs[place].wait_live()
        self.send(place)

    def reload(self, place: int) -> None:
        """Often right after Enter, so that what was said has to outlive the page."""
        if self.rng.random() < 0.5:
            self.last_words(place)
        try:
            self.tabs[place].page.reload(wait_until="domcontentloaded")
        except Error as error:
            if not REPLACED.search(str(error)):
                raise

    def leave(self, place: int) -> None:
        """The tab is closed as soon as something was said in it, and another opened."""
        self.last_words(place)
        self.tabs[place].page.close()
        page = self.owners[place].context.new_page()
        page.goto(self.tabs[place].url, wait_until="domcontentloaded")
        self.tabs[place] = ChatPage(page, page.url, self.owners[place].guard)

    def account(self) -> Snapshot:
        """What the log says, by the Python reducer."""
        tab = self.tabs[0]
        query = f"id={tab.id}&offset=-1"
        events: list[Any] = []
        while True:
            reply = tab.page.context.request.get(f"{tab.origin}/api/chat-stream?{query}")
            assert reply.ok, reply.status
            events += reply.json()
            if "stream-up-to-date" in reply.headers:
                return materialize(events)
            query = f"id={tab.id}&offset={reply.headers['stream-next-offset']}"

    def settle(self) -> Snapshot:
        def quiet() -> Snapshot | None:
            snapshot = self.account()
            heard = [text_of(each) for each in snapshot.messages if each["role"] == "user"]
            unsaid = self.doubtful - set(heard)
            said = [text for text in self.said if text not in unsaid]
            assert sorted(heard) == sorted(said), f"lost or repeated: {set(heard) ^ set(said)}"
            assert not snapshot.active_runs, snapshot.active_runs
            answered = {run.get("triggerId") for run in snapshot.runs.values()}
            answered |= {
                each["metadata"].get("parentId") for each in snapshot.messages if each["role"] != "user"
            }
            asked = [each["id"] for each in snapshot.messages if each["role"] == "user"]
            waiting = [asked.index(each) for each in asked if each not in answered]
            assert not waiting, f"not answered of {len(asked)}: {waiting}"
            return snapshot

        found = eventually(quiet, timeout=DONE, interval=0.1, what="everything is said and answered")
        assert found is not None
        return found

    def agree(self, snapshot: Snapshot) -> None:
        """Every tab shows the path of the log that it says it shows, word by word."""
        for place, tab in enumerate(self.tabs):
            eventually(
                lambda tab=tab: shows(tab, snapshot),
                timeout=DONE,
                what=f"tab {place} shows what the log says",
            )
        for owner in dict.fromkeys(self.owners):
            fresh = owner.open(self.tabs[0].url)
            eventually(lambda fresh=fresh: shows(fresh, snapshot), what="so does one that was just opened")
            fresh.page.close()


def shows(tab: ChatPage, snapshot: Snapshot) -> bool:
    try:
        shown = tab.page.evaluate(SHOWN)
    except Error as error:
        if not REPLACED.search(str(error)):
            raise
        return False
    path = Branches(snapshot.messages).path({**snapshot.pins, **shown["versions"]})
    rows = shown["rows"]
    assert shown["live"] == "live"
    assert len(rows) == len(path) or len(path) > len(rows) >= 50  # the rest is above, for who scrolls there
    expected = path[len(path) - len(rows) :]
    assert [row["id"] for row in rows] == [message["id"] for message in expected]
    for row, message in zip(rows, expected, strict=True):
        assert row["words"] == text_of(message).split()
        assert row["delivery"] is None
        assert row["state"] == state_of(message, snapshot)
    if snapshot.title:
        assert shown["title"] == snapshot.title
    return True


def state_of(message: dict[str, Any], snapshot: Snapshot) -> str:
    status = snapshot.runs.get(message.get("metadata", {}).get("runId", ""), {}).get("status", "done")
    return status if status == "stopped" else "done"


def play(people: People, rng: random.Random, *, acts: int) -> None:
    player = Player(people, rng)
    player.sit_down()
    for _ in range(acts):
        player.act()
    player.agree(player.settle())
    print(f"{dict(player.done)}: {len(player.said)} messages")
    for owner in dict.fromkeys(player.owners):
        owner.context.close()


@pytest.mark.slow
def test_ten_tabs_of_two_people_come_to_show_the_same(people: People, rng: random.Random) -> None:
    """AC-22 and F34, a sample."""
    play(people, rng, acts=40)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_ten_tabs_for_five_minutes(people: People, rng: random.Random) -> None:
    """AC-22 and F34."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        seed = rng.randrange(2**32)
        print(f"round {seed}")
        play(people, random.Random(seed), acts=150)
