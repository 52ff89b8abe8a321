"""Two apps on one stream server, one database and one secret: nobody can tell which of them they are on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from support.chat_page import ChatPage, same_everywhere
from support.people import People, Person
from tests.support.server import ServerProcess
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    folder = tmp_path_factory.mktemp("apps")
    with ExitStack() as stack:
        streams = stack.enter_context(ServerProcess(folder / "streams", command="streams"))
        env = {
            "DURABLE_CHAT_STREAMS_URL": streams.streams_url,
            "DURABLE_CHAT_DATABASE_URL": f"sqlite:///{folder / 'catalog.db'}",
            "DURABLE_CHAT_SECRET_KEY": "one-secret-for-both-of-them",
            "DURABLE_CHAT_DEMO_WORD_DELAY": "0.02",
        }
        yield [stack.enter_context(ServerProcess(folder / name, env=env)) for name in ("one", "two")]


@pytest.fixture
def here(browser: Browser, apps: list[ServerProcess]) -> Iterator[People]:
    """People on one of the apps."""
    with People(browser, apps[0].url) as people:
        yield people


@pytest.fixture
def there(browser: Browser, apps: list[ServerProcess]) -> Iterator[People]:
    """People on the other."""
    with People(browser, apps[1].url) as people:
        yield people


def invite(host: ChatPage, guest: Person) -> ChatPage:
    """A link made on one app, opened on the guest's own."""
    return guest.open(host.share("chat").replace(host.origin, guest.origin))


def test_each_sees_what_is_sent_on_the_other_as_it_streams(here: People, there: People) -> None:
    ana = here.join()
    hers = ana.new_chat()
    his = invite(hers, there.join())
    device = there.join(storage_state=ana.context.storage_state())
    hers_too = device.open(hers.url.replace(hers.origin, device.origin))

    hers.send("/long 100")
    for page in (hers, his, hers_too):
        page.wait_state("streaming")
    his.wait_words(20)
    his.send("And hello from the other app")
    for page in (hers, his, hers_too):
        page.wait_rows(4)
    same_everywhere(hers, his, hers_too)
    eventually(lambda: hers.structure() == hers_too.structure(), what="one person's screens are the same")
    assert hers.snapshot() == his.snapshot()
    device.equals_fresh(hers_too)


def test_an_answer_of_the_other_app_is_stopped(here: People, there: People) -> None:
    hers = here.join().new_chat()
    his = invite(hers, there.join())
    hers.send("/long 500")
    his.wait_words(5)
    his.page.locator("#stop").click()
    for page in (hers, his):
        page.page.get_by_text("Stopped by").wait_for()
        assert 5 <= len(page.wait_state("stopped").words) < 500
    same_everywhere(hers, his)
    assert hers.snapshot()["activeRuns"] == his.snapshot()["activeRuns"] == []
