"""Who is here, who types, who is gone: in real browsers, with shortened times."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from playwright.sync_api import Browser, Error, Playwright

from support import chromium
from support.people import People
from support.presence import Faces, hide, name_of
from tests.support.live_app import Chatter
from tests.support.server import ServerProcess
from tests.support.waiting import eventually, free_port

TTL = 6
"""Seconds. A tab gives a sign of life every two of them."""

SERVER_ENV = {"DURABLE_CHAT_AGENT": "echo", "DURABLE_CHAT_PRESENCE_TTL": str(TTL)}

# The browser's clock is wrong by so many hours; timers are not.
SHIFT = "const Now = Date.now; Date.now = () => Now() + {hours} * 3600e3;"

# What a page says as it goes: browsers hide it after they have told it so.
GOES = """
() => {
  const said = [];
  const send = window.fetch;
  window.fetch = (url, init) => {
    said.push(JSON.parse(init.body).state);
    return send(url, init);
  };
  window.dispatchEvent(new PageTransitionEvent('pagehide'));
  Object.defineProperty(document, 'hidden', {get: () => true});
  document.dispatchEvent(new Event('visibilitychange'));
  return said;
}
"""


def test_a_tab_more_and_a_tab_less(people: People) -> None:
    """AC-58, and what the list behind the faces says."""
    ana, ben = people.join(), people.join()
    hers = ana.new_chat()
    his = ben.open(hers.share("view"))
    faces = Faces(his)
    me, her = name_of(his), name_of(hers)
    faces.wait({her: ("active", ""), me: ("active", "")})
    second = ana.open(hers.url)
    faces.wait({her: ("active", "2"), me: ("active", "")})
    assert faces.people() == [
        f"{her} guest manages this chat · in 2 tabs on a computer",
        f"{me} you reads along · in this tab",
    ]
    faces.keep()
    second.page.close(run_before_unload=True)
    faces.wait({her: ("active", ""), me: ("active", "")})
    hers.reload().wait_live()
    eventually(lambda: her in Faces(his).here)
    assert hers.page.evaluate(GOES)[-1] == "gone"
    hers.page.close()
    eventually(lambda: her not in faces.here, what="she has left")
    # A reload was no leave, and a leave is worth a word only after a while.
    kept = faces.kept()
    assert all(her in each for each in kept["faces"][:-1]), kept
    assert not any("left" in each or "joined" in each for each in kept["announced"]), kept


def test_signs_of_life(people: People, server: ServerProcess, playwright: Playwright, tmp_path: Path) -> None:
    """AC-56, 57 and 59: a browser that dies is gone, a hidden tab is away and never left, typing ends."""
    ana, ben = people.join(), people.join()
    hers = ana.new_chat()
    link = hers.share("chat")
    his = ben.open(link)
    faces = Faces(hers)
    me, him = name_of(hers), name_of(his)
    browser = DyingBrowser(playwright, tmp_path)
    lost = browser.open(link)
    vanishing = Chatter(server)
    vanishing.http.get(link)
    typist = vanishing.http.get("/api/me").json()["name"]
    faces.wait({me: ("active", ""), him: ("active", ""), lost: ("active", "")})
    faces.keep()
    hide(his)
    faces.wait({me: ("active", ""), him: ("away", ""), lost: ("active", "")})
    began = time.monotonic()
    browser.kill()
    # Whoever types vanishes too, with their last word a beat.
    words = {"tab": "t", "seq": 1, "state": "active", "typing": True}
    assert vanishing.http.post(f"/api/chats/{hers.id}/presence", json=words).status_code == 204
    eventually(lambda: faces.activity() == f"{typist} is typing…", what="typing is said")
    eventually(lambda: not faces.activity(), what="typing ends")
    faces.wait({me: ("active", ""), him: ("away", "")})
    eventually(lambda: time.monotonic() > began + 1.5 * TTL, what="he is hidden for long")
    assert all(f"{him} (away)" in each for each in faces.kept()["faces"][1:])
    hide(his, hidden=False)
    faces.wait({me: ("active", ""), him: ("active", "")})
    # Neither of them has come or gone: only the typist has come.
    assert [each for each in faces.kept()["announced"] if him in each] == []
    assert f"{typist} has joined" in faces.kept()["announced"]


def test_a_restart_leaves_no_ghosts(people: People, server: ServerProcess) -> None:
    """AC-56: who leaves while the server is down is gone when it is back, whoever stays is still here."""
    ana, ben, cleo = people.join(), people.join(), people.join()
    for person in (ana, ben, cleo):
        person.expect_broken_network()
    hers = ana.new_chat()
    link = hers.share("chat")
    his, other = ben.open(link), cleo.open(link)
    names = [name_of(each) for each in (hers, his, other)]
    Faces(hers).wait(dict.fromkeys(names, ("active", "")))
    server.kill9()
    other.page.close()
    server.start()
    hers.retry_now()
    his.retry_now()
    for chat in (hers, his):
        chat.wait_live()
        Faces(chat).wait(dict.fromkeys(names[:2], ("active", "")), timeout=30)


def test_two_who_type_are_named(people: People) -> None:
    ana, ben, cleo = people.join(), people.join(), people.join()
    hers = ana.new_chat()
    link = hers.share("chat")
    his, other = ben.open(link), cleo.open(link)
    faces = Faces(hers)
    his.composer.press_sequentially("I think")
    eventually(lambda: faces.activity() == f"{name_of(his)} is typing…", what="one who types")
    place = hers.page.locator("#composer").bounding_box()
    first, second = sorted([name_of(his), name_of(other)])

    def both() -> bool:
        for chat in (his, other):
            chat.composer.press_sequentially(" so")
        return faces.activity() == f"{first} and {second} are typing…"

    eventually(both, interval=0.2, what="two who type")
    assert hers.page.locator("#composer").bounding_box() == place
    # What is sent is no longer being typed; nobody is told of themselves.
    assert name_of(his) not in Faces(his).activity()
    for chat in (his, other):
        chat.composer.press("Enter")
    eventually(lambda: "typing" not in faces.activity(), what="nobody types")


def test_clocks_that_are_wrong_change_no_order(people: People) -> None:
    """AC-60: the server's order and times, for browsers an hour before and behind."""
    ana, ben = people.join(), people.join()
    ana.context.add_init_script(SHIFT.format(hours=1))
    ben.context.add_init_script(SHIFT.format(hours=-1))
    hers = ana.new_chat()
    his = ben.open(hers.share("chat"))
    for count, chat in enumerate((hers, his, his, hers), start=1):
        chat.send(f"message {count}")
        for each in (hers, his):
            each.wait_rows(2 * count)
    texts = [[row.text for row in chat.rows][::2] for chat in (hers, his)]
    assert texts[0] == texts[1] == [f"message {count}" for count in range(1, 5)]
    ana.equals_fresh(hers)
    ben.equals_fresh(his)
    created = [one["metadata"]["createdAt"] for one in hers.snapshot()["messages"]]
    assert created == sorted(created)
    assert abs(created[-1] / 1000 - time.time()) < 600
    for chat in (hers, his):
        Faces(chat).wait({name_of(hers): ("active", ""), name_of(his): ("active", "")})


class DyingBrowser:
    """A browser process of its own, which can be killed: nothing in it gets to say goodbye."""

    def __init__(self, playwright: Playwright, directory: Path) -> None:
        port = free_port()
        options = chromium.launch_options()
        flags = [*options["args"], "--headless=new", f"--remote-debugging-port={port}"]  # type: ignore[misc]
        path = str(options.get("executable_path") or playwright.chromium.executable_path)
        self._process = subprocess.Popen(
            [path, *flags, f"--user-data-dir={directory / 'profile'}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._browser = eventually(
            lambda: _connected(playwright, f"http://127.0.0.1:{port}"), timeout=20, what="a browser to kill"
        )

    def open(self, url: str) -> str:
        """Open it in a tab; the name of whoever looks at it."""
        page = self._browser.contexts[0].new_page()
        page.goto(url)
        page.locator("#chat[data-live=live]").wait_for(timeout=20_000)
        return page.locator(".whoami b").inner_text()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)


def _connected(playwright: Playwright, url: str) -> Browser | None:
    try:
        return playwright.chromium.connect_over_cdp(url, timeout=2000)
    except Error:
        return None
