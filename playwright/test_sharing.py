"""Sharing, as people do it: one dialog, links of every kind, and an end to all of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserType, Page, expect

from support import chromium
from support.chat_page import ChatPage
from support.people import PHONE, People, Person
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

CANARY = "canary7f3e"
CLIPBOARD = ["clipboard-read", "clipboard-write"]
ENDED = "Your access to this chat has ended."
# A page that is left lets go of what it was loading.
LEFT = "Failed to fetch dynamically imported module"
LOST = rf"status of 40[34]|ERR_INCOMPLETE_CHUNKED_ENCODING|{LEFT}"


def shared(people: People) -> tuple[Person, ChatPage]:
    host = people.join(permissions=CLIPBOARD)
    chat = host.new_chat()
    chat.send("what was said first")
    chat.wait_state("done")
    return host, chat


def offered(chat: ChatPage, **options: str) -> str:
    """A link made in the dialog with these options, as it was copied."""
    dialog = chat.open_share()
    dialog.locator("summary").click()
    for name, value in options.items():
        dialog.locator(f"#share-{name}").select_option(value)
    dialog.locator("#copy-link").click()
    dialog.locator("#copy-link", has_text="Copied").wait_for()
    link = dialog.locator("#share-url").input_value()
    assert chat.clipboard() == link
    chat.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    return link


def shows_gone(chat: ChatPage, sentence: str = ENDED) -> None:
    chat.page.locator("#chat[data-live=gone]").wait_for()
    expect(chat.page.locator("#connection")).to_contain_text(sentence)
    expect(chat.composer).to_be_hidden()


def test_who_is_in_and_by_which_link(people: People) -> None:
    """Roles are changed where they stand; who is sent away sees a clear end, and nothing more."""
    _, chat = shared(people)
    ben, eva = people.join(), people.join()
    his, hers = ben.open(offered(chat)), eva.open(offered(chat, role="view"))
    assert not hers.composer.is_visible()  # AC-46
    assert hers.page.request.post(f"{hers.origin}/api/chat?id={hers.id}", data={"messages": []}).status == 403

    dialog = chat.open_share()
    people_in = dialog.locator("[data-person]")
    expect(people_in).to_have_count(2)
    expect(dialog.locator("[data-link]")).to_have_count(2)
    expect(dialog.locator("[data-link] small").first).to_contain_text("opened 1 time, by")
    eva.guard.allow(LOST)
    people_in.nth(1).locator("select").select_option("chat")
    expect(dialog.locator("#share-said")).to_have_text("Changed")
    hers.reload().wait_live()
    hers.send("now I may")
    chat.wait_text("now I may")

    ben.guard.allow(LOST)
    people_in.nth(0).get_by_role("button", name="Remove").click()
    expect(people_in).to_have_count(1)
    shows_gone(his)
    hers.send("and I go on")
    chat.wait_text("and I go on")
    assert "and I go on" not in his.page.content()
    his.reload()
    expect(his.page.locator("h1")).to_have_text("Not Found")


def test_a_link_that_is_revoked_while_its_page_is_open(people: People) -> None:
    """AC-47; and going back shows nothing that was kept."""
    _, chat = shared(people)
    ben = people.join()
    his = ben.open(offered(chat))
    ben.guard.allow(LOST)
    asked: list[str] = []
    dialog = chat.open_share()
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog.locator("#share-state")).to_contain_text("The chat is private")
    shows_gone(his)
    his.page.on("request", lambda request: asked.append(request.url))
    his.page.goto(his.origin)
    his.page.go_back()
    expect(his.page.locator("h1")).to_have_text("Not Found")
    assert "what was said first" not in his.page.content()
    assert not [url for url in asked if "chat-stream" in url]


def test_a_deleted_chat_says_so_where_it_is_open(people: People) -> None:
    host, chat = shared(people)
    ben = people.join()
    his = ben.open(chat.share("chat"))
    for person in (host, ben):
        person.guard.allow(LOST)
    assert chat.page.request.delete(f"{chat.origin}/api/chats/{chat.id}").ok
    shows_gone(his, "This chat was deleted.")
    shows_gone(chat, "This chat was deleted.")
    assert chat.page.request.post(f"{chat.origin}/api/chats/{chat.id}/restore").ok
    for page in (chat, his):  # both come back by themselves
        page.wait_live().wait_text("what was said first")


def test_live_or_frozen(people: People) -> None:
    """AC-50"""
    _, chat = shared(people)
    live = people.join().open(offered(chat, role="view"))
    reader = people.join()
    reader.guard.allow(LEFT)
    frozen = reader.open(offered(chat, frozen="1"))
    assert frozen.id != chat.id
    chat.send("what came later")
    live.wait_text("what came later")
    frozen.reload()
    frozen.wait_text("what was said first")
    assert "what came later" not in frozen.page.content()
    expect(frozen.page.locator(".read-only")).to_contain_text("frozen copy")
    expect(frozen.page.locator("#connection")).to_be_hidden()


def test_from_a_message_on(people: People) -> None:
    host = people.join(permissions=CLIPBOARD)
    chat = host.new_chat()
    for number, text in enumerate((f"{CANARY} is a secret", "from here on", "and on"), 1):
        chat.send(text)
        chat.wait_rows(2 * number)
    dialog = chat.open_share()
    dialog.locator("summary").click()
    dialog.locator("#share-from").select_option(label="from here on")
    expect(dialog.locator("#share-preview")).to_contain_text("sees what was said from “from here on” on")
    dialog.locator("#copy-link").click()
    dialog.locator("#copy-link", has_text="Copied").wait_for()
    link = chat.clipboard()
    chat.page.keyboard.press("Escape")

    guest = people.join()
    seen = guest.open(link)
    bodies: list[str] = []
    seen.page.on("response", lambda reply: bodies.append(reply.url))
    seen.send("hello from the guest")
    chat.wait_text("hello from the guest")
    seen.wait_state("done")
    assert seen.rows[0].text == "from here on"
    assert CANARY not in seen.page.content()
    loaded = guest.open(seen.url)
    assert CANARY not in loaded.page.content()
    assert loaded.rows[0].text == "from here on"
    guest.equals_fresh(seen)


def test_a_token_is_in_one_request_and_nowhere_else(people: People) -> None:
    _, chat = shared(people)
    dialog = chat.open_share()
    dialog.locator("[data-share=qr]").click()
    expect(dialog.locator("#share-qr")).to_be_visible()
    assert (dialog.locator("#share-qr").get_attribute("src") or "").startswith("data:image/svg+xml")
    link = dialog.locator("#share-url").input_value()
    token = link.rsplit("/", 1)[1]
    dialog.locator("#copy-link").click()
    dialog.locator("#copy-link", has_text="Copied").wait_for()
    assert chat.clipboard() == link  # one link, however it is handed on
    expect(dialog.locator("[data-link]")).to_have_count(1)

    guest = people.join()
    page = guest.context.new_page()
    asked: list[tuple[str, str]] = []
    page.on("request", lambda request: asked.append((request.url, str(request.all_headers()))))
    page.goto(link)
    his = ChatPage(page, page.url, guest.guard).wait_live()
    his.send("I am in")
    chat.wait_text("I am in")
    assert [url for url, _ in asked if token in url] == [link]
    assert not [headers for _, headers in asked if token in headers]
    assert token not in his.page.content()


def test_the_dialog_on_a_phone(people: People) -> None:
    """The title has its room; the dialog is within the screen, and focus comes back."""
    person = people.join(**PHONE)
    chat = person.new_chat()
    chat.composer.fill("a title that is rather long, so that it has to be cut somewhere")
    chat.page.locator("#send").click()
    chat.wait_state("done")
    width = chat.page.evaluate("innerWidth")
    assert chat.page.locator(".bar-title").bounding_box()["width"] > 0.3 * width  # type: ignore[index]
    dialog = chat.open_share()
    expect(dialog.locator("#copy-link")).to_be_focused()
    box = dialog.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= width
    chat.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(chat.page.locator("#share")).to_be_focused()


NAME = "chat.lan"


@pytest.fixture
def lan(
    browser_type: BrowserType, server: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[People]:
    """People on another machine of the network: they ask by a name, over plain http."""
    env = {"DURABLE_CHAT_ACCESS": "open", "DURABLE_CHAT_ALLOWED_HOSTS": NAME}
    options = chromium.launch_options()
    options["args"] = [*options["args"], f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]  # type: ignore[misc]
    open_server = ServerProcess(tmp_path_factory.mktemp("lan") / "data", env=env)
    with open_server, People(browser_type.launch(**options), f"http://{NAME}:{open_server.port}") as there:  # type: ignore[arg-type]
        yield there
        there.browser.close()


def test_open_access_by_a_name_on_the_network(lan: People) -> None:
    """No secure context: whoever knows the address takes part, and everything works that does elsewhere."""
    ana, ben, eva = lan.join(), lan.join(), lan.join()
    for person in (ana, ben, eva):
        person.guard.allow("Cross-Origin-Opener-Policy header has been ignored")
    page = ana.context.new_page()
    page.goto(f"{lan.origin}/chat/a-chat-on-the-network")
    hers = ChatPage(page, page.url, ana.guard).wait_live()
    assert not _secure(page)
    his = ben.open(hers.url)
    hers.send("hello")
    his.wait_text("hello")
    his.send("hello from another machine")
    hers.wait_text("hello from another machine")
    eventually(lambda: len(hers.rows) == len(his.rows) == 4)
    hers.wait_state("done")
    dialog = hers.open_share()
    dialog.locator("#copy-link").click()
    field = dialog.locator("#share-url")
    field.wait_for()
    assert field.input_value().startswith(f"{lan.origin}/s/")
    assert eva.open(field.input_value()).url == hers.url


def _secure(page: Page) -> bool:
    return bool(page.evaluate("isSecureContext"))
