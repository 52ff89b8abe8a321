"""The list of chats: live in every tab (AC-24), steady under the hand (AC-23), and searchable."""

from __future__ import annotations

from playwright.sync_api import Locator, Page

from support.chat_page import ChatPage
from support.people import People, Person
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.01"}

ORDER = """() => [...document.querySelectorAll('#chat-list li')].map(row => row.dataset.chatId)"""


def row(page: Page, chat_id: str) -> Locator:
    return page.locator(f"#chat-list li[data-chat-id='{chat_id}']")


def section(page: Page, name: str) -> Locator:
    return page.locator(f"#chat-list [data-section='{name}']")


def choose(page: Page, chat_id: str, item: str) -> None:
    page.bring_to_front()  # where nobody looks, nothing is drawn
    row(page, chat_id).hover()
    row(page, chat_id).locator(".row-menu").click()
    page.get_by_role("menuitem", name=item, exact=True).click()


def create(person: Person, title: str) -> str:
    reply = person.context.request.post(f"{person.origin}/api/chats", data={"title": title})
    assert reply.status == 201
    return str(reply.json()["id"])


def test_every_tab_of_everybody_follows_what_happens(people: People) -> None:
    """In other chats, in other tabs, on the start page."""
    ana, ben = people.join(), people.join()
    first = ana.new_chat()
    start = ana.context.new_page()
    start.goto(ana.origin)
    second = ana.new_chat()
    elsewhere = [first.page, start]
    for page in elsewhere:
        row(page, second.id).wait_for()

    second.send("A question that names the chat")
    for page in (*elsewhere, second.page):
        row(page, second.id).get_by_text("A question that names the chat").wait_for()
    second.wait_rows(2)
    for page in elsewhere:
        row(page, second.id).locator(".running").wait_for(state="detached")
        row(page, second.id).locator(".unread-count").wait_for(state="detached")  # read where it was written

    theirs = ben.open(second.share("chat"))
    row(theirs.page, second.id).wait_for()
    row(first.page, second.id).locator(".faces .avatar").wait_for()
    second.page.goto(ana.origin)
    theirs.send("/long 60")
    row(first.page, second.id).locator(".running").wait_for()
    row(first.page, second.id).locator(".unread-count").wait_for()
    row(first.page, second.id).locator(".shared").wait_for(state="attached")  # the faces say it
    theirs.wait_rows(4)
    for page in elsewhere:
        row(page, second.id).locator(".unread-count", has_text="2").wait_for()
        row(page, second.id).locator(".running").wait_for(state="detached")
    again = ana.open(second.url)
    again.wait_rows(4)
    for page in elsewhere:
        row(page, second.id).locator(".unread-count").wait_for(state="detached")

    choose(first.page, second.id, "Rename")
    first.page.keyboard.type("Plans")
    first.page.keyboard.press("Enter")
    for page in (start, theirs.page, again.page):
        row(page, second.id).get_by_text("Plans", exact=True).wait_for()
    choose(first.page, second.id, "Pin")
    section(start, "Pinned").get_by_text("Plans").wait_for()
    choose(start, second.id, "Archive")
    section(first.page, "Archived").wait_for()
    assert section(theirs.page, "Archived").count() == 0, "that is hers alone"
    section(theirs.page, "Today").get_by_text("Plans").wait_for()


def test_nothing_is_taken_out_of_anybodys_hands(people: People) -> None:
    """While the list changes, focus, an open menu and a title being written stay."""
    ana = people.join()
    ids = [create(ana, f"Chat {number}") for number in range(4)]
    chat = ana.open(f"{ana.origin}/chat/{ids[0]}")
    page, other = chat.page, ids[1]

    def shuffle(text: str) -> None:
        """Another tab makes another chat the first."""
        body = {"messages": [{"role": "user", "content": text}]}
        reply = ana.context.request.post(f"{ana.origin}/api/chat?id={ids[2]}&mode=await", data=body)
        assert reply.ok

    row(page, other).locator("a").focus()
    shuffle("first")
    eventually(lambda: page.evaluate(ORDER)[0] == ids[2], what="the list changed its order")
    assert page.evaluate("document.activeElement.closest('li')?.dataset.chatId") == other

    row(page, other).hover()
    row(page, other).locator(".row-menu").click()
    menu = page.get_by_role("menu")
    renamed = ana.context.request.patch(f"{ana.origin}/api/chats/{ids[3]}", data={"title": "Changed"})
    assert renamed.ok
    row(page, ids[3]).get_by_text("Changed").wait_for()
    assert menu.is_visible()
    page.get_by_role("menuitem", name="Rename").click()
    page.keyboard.type("Half a ti")
    assert ana.context.request.patch(f"{ana.origin}/api/chats/{ids[3]}", data={"title": "Again"}).ok
    shuffle("second")
    page.keyboard.type("tle")
    assert row(page, other).locator("input").input_value() == "Half a title"
    page.keyboard.press("Enter")
    row(page, other).get_by_text("Half a title").wait_for()
    row(page, ids[3]).get_by_text("Again").wait_for()


def test_the_menu_works_from_the_keyboard(people: People) -> None:
    ana = people.join()
    chat = ana.new_chat()
    page = chat.page
    button = row(page, chat.id).locator(".row-menu")
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Pin").wait_for()
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == "Pin"
    page.keyboard.press("Escape")
    page.get_by_role("menu").wait_for(state="detached")
    eventually(lambda: button.evaluate("button => button === document.activeElement"), what="focus is back")
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Pin").press("Enter")
    section(page, "Pinned").wait_for()


def test_search_finds_a_message_and_leads_to_it(people: People) -> None:
    ana = people.join()
    chat = ana.new_chat()
    chat.send("The albatross lands at noon")
    chat.wait_rows(2)
    here = ana.new_chat()
    page = here.page
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search in all chats")
    field.fill("ALBATR")
    eventually(lambda: page.locator("#search-results mark").count() >= 1, what="matches are marked")
    field.press("ArrowDown")
    field.press("ArrowUp")
    field.press("Enter")
    page.wait_for_url(f"**/chat/{chat.id}*")
    found = ChatPage(page, page.url, here.guard)
    found.wait_text("albatross lands")
    page.keyboard.press("Control+k")
    page.locator("dialog.search").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog.search").wait_for(state="hidden")


def test_a_fork_is_made_from_a_message_and_its_tree_is_shown(people: People) -> None:
    ana = people.join()
    chat = ana.new_chat()
    chat.send("First question")
    chat.wait_rows(2)
    chat.send("Second question")
    chat.wait_rows(4)
    first = chat.rows[1].id
    chat.page.evaluate(
        """id => {
          const button = document.createElement('button');
          button.dataset.action = 'fork';
          document.querySelector(`[data-message-id="${id}"] footer`).append(button);
          button.click();
        }""",
        first,
    )
    chat.page.wait_for_url(lambda url: "/chat/" in url and chat.id not in url)
    fork = ChatPage(chat.page, chat.page.url, chat.guard).wait_live()
    assert [row.id for row in fork.wait_rows(2)][1] == first
    fork.send("Only here")
    fork.wait_rows(4)
    choose(fork.page, fork.id, "Show its forks")
    fork.page.get_by_role("dialog", name="Forks of this chat").get_by_text(
        "First question", exact=True
    ).click()
    fork.page.wait_for_url(f"**/chat/{chat.id}")


def test_a_chat_that_is_deleted_elsewhere_says_so_and_comes_back(people: People) -> None:
    """AC-26: a clear state and no error loop; undone, everybody has it again."""
    ana, ben = people.join(), people.join()
    for person in (ana, ben):
        person.guard.allow("the server responded with a status of 404")
    chat = ana.new_chat()
    chat.send("Keep this")
    chat.wait_rows(2)
    theirs = ben.open(chat.share("chat"))
    elsewhere = ana.context.new_page()
    elsewhere.goto(ana.origin)
    choose(elsewhere, chat.id, "Delete")
    for tab in (chat, theirs):
        said = tab.page.locator("#connection", has_text="This chat was deleted.")
        said.get_by_role("link", name="All chats").wait_for()
        assert tab.live == "gone"
        row(tab.page, chat.id).wait_for(state="detached")
        tab.wait_rows(2)
    asked = len(ana.guard.requests)
    elsewhere.get_by_text("Deleted “Keep this”.").wait_for()
    elsewhere.get_by_role("button", name="Undo").click()
    for tab in (chat, theirs):
        tab.wait_live()
        row(tab.page, chat.id).wait_for()
        tab.wait_rows(2)
    loops = [url for url in ana.guard.requests[asked:] if "/api/live" in url or "/api/chat-stream" in url]
    assert len(loops) < 12, loops


def test_whoever_leaves_a_chat_is_out_of_it(people: People) -> None:
    ana, ben = people.join(), people.join()
    ben.guard.allow("the server responded with a status of 404")
    chat = ana.new_chat()
    theirs = ben.open(chat.share("chat"))
    choose(theirs.page, chat.id, "Leave")
    theirs.page.wait_for_url(f"{ben.origin}/")
    assert row(theirs.page, chat.id).count() == 0
