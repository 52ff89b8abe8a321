"""What can be done with a message, and with the keyboard."""

from __future__ import annotations

import json

from playwright.sync_api import Locator, expect

from support.chat_page import ChatPage
from support.people import PHONE, People
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.002"}
CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}


def menu_of(chat: ChatPage, index: int) -> Locator:
    chat.page.locator(".message [data-action=more]").nth(index).click()
    menu = chat.page.locator("#message-menu")
    menu.wait_for()
    return menu


def items(menu: Locator) -> list[str]:
    return menu.locator("[role=menuitem]").all_inner_texts()


def test_every_message_has_one_menu_in_one_order(people: People) -> None:
    ana = people.join(**CLIPBOARD)
    chat = ana.new_chat()
    chat.send("Tell me **something**")
    chat.wait_rows(2)
    before = chat.structure()
    menu = menu_of(chat, 0)
    common = ["Copy", "Copy as Markdown", "Link to this message"]
    assert [each for each in items(menu) if each != "Fork from here"] == [
        *common,
        "Edit and send again",
        "Raw events",
    ]
    menu.get_by_text("Copy", exact=True).click()
    eventually(lambda: chat.clipboard() == "Tell me something", what="the words")
    menu_of(chat, 0).get_by_text("Copy as Markdown").click()
    eventually(lambda: chat.clipboard() == "Tell me **something**", what="the source")

    menu = menu_of(chat, 1)
    found = [each for each in items(menu) if each != "Fork from here"]
    assert found == [*common, "Answer again", "Let Critic answer", "Raw events"]
    menu.get_by_text("Link to this message").click()
    answer = chat.rows[1].id
    eventually(lambda: chat.clipboard().endswith(f"?at={answer}"), what="a link")
    linked = ana.open(chat.clipboard())
    assert [row.id for row in linked.rows][-1] == answer
    assert chat.structure() == before, "the menu leaves no trace"


def test_another_agent_answers_from_the_menu(people: People) -> None:
    chat = people.join().new_chat()
    chat.send("Who is there?")
    chat.wait_rows(2)
    menu_of(chat, 1).get_by_text("Let Critic answer").click()
    rows = chat.wait_rows(3)
    assert chat.page.locator(f"[data-message-id='{rows[2].id}'] .name").inner_text() == "Critic"
    menu_of(chat, 1).get_by_text("Answer again").click()
    chat.page.locator(".version-count", has_text="2 / 2").wait_for()


def test_raw_events_are_those_of_the_message(people: People) -> None:
    chat = people.join().new_chat()
    chat.send("First")
    chat.wait_rows(2)
    chat.send("Second")
    rows = chat.wait_rows(4)
    menu_of(chat, 3).get_by_text("Raw events").click()
    lines = chat.page.locator("dialog .raw-events li")
    lines.first.wait_for()
    events = [json.loads(line) for line in lines.all_inner_texts()]
    assert {event.get("messageId", rows[3].id) for event in events} == {rows[3].id}
    assert events[0]["type"] == "RUN_STARTED"
    assert events[-1]["type"] == "RUN_FINISHED"
    chat.page.keyboard.press("Escape")
    expect(chat.page.locator("dialog")).to_have_count(0)


def test_what_is_far_above_is_reached_too(people: People) -> None:
    """A card that waits, and a message to be said anew, above the window of the page."""
    ana = people.join()
    chat = ana.new_chat()
    chat.send("/approve")
    chat.page.locator(".approval-form").wait_for()
    url = f"{chat.origin}/api/chat?id={chat.id}&mode=await"
    for number in range(61):
        parts = [{"type": "text", "content": "/silent"}]
        message = {"id": f"m-{number}", "role": "user", "parts": parts}
        assert ana.context.request.post(url, data={"messages": [message]}).status == 200
    chat.reload().wait_live()
    assert chat.page.locator(".part-approval").count() == 0
    chat.page.locator("#pending").click()
    card = chat.page.locator(".part-approval")
    expect(card).to_be_in_viewport()
    asked = chat.page.locator(".mine").first
    expect(asked).to_contain_text("/approve")
    asked.locator("[data-action=more]").click()
    chat.page.locator("#message-menu").get_by_text("Edit and send again").click()
    eventually(lambda: chat.composer.input_value() == "/approve", what="what was said")
    chat.page.locator("[data-action=keep-message]").click()

    card.get_by_label("Reason").fill("The moon has no letter box.")
    card.get_by_role("button", name="Deny").click()
    expect(card).to_contain_text("The moon has no letter box.")
    ana.open(f"{chat.url}?at={chat.rows[0].id}").page.get_by_text("The moon has no letter box.").wait_for()


def test_who_is_named_is_marked(people: People) -> None:
    ana = people.join()
    chat = ana.new_chat()
    name = chat.page.locator(".whoami b").inner_text()
    chat.send(f"@Demo, ask **@critic** about `@demo` and {name.lower()}, I mean @{name.lower()}")
    chat.wait_rows(3)
    asked = chat.page.locator(".message").first.locator(".mention")
    assert asked.all_inner_texts() == ["@Demo", "@critic", f"@{name.lower()}"]
    assert "me" in (asked.last.get_attribute("class") or "").split()
    ana.equals_fresh(chat)


def test_a_menu_by_keyboard_and_by_touch(people: People) -> None:
    chat = people.join().new_chat()
    chat.send("Hello")
    chat.wait_rows(2)
    more = chat.page.locator(".message [data-action=more]").nth(1)
    more.focus()
    chat.page.keyboard.press("Enter")
    menu = chat.page.locator("#message-menu")
    menu.wait_for()
    focused = "document.activeElement.innerText"
    assert chat.page.evaluate(focused) == "Copy"
    chat.page.keyboard.press("ArrowDown")
    assert chat.page.evaluate(focused) == "Copy as Markdown"
    chat.page.keyboard.press("End")
    assert chat.page.evaluate(focused) == "Raw events"
    chat.page.keyboard.press("Escape")
    menu.wait_for(state="detached")
    assert more.evaluate("node => node === document.activeElement"), "the focus is where it was"

    phone = people.join(**PHONE).open(chat.share("view"))
    phone.page.locator(".message [data-action=more]").nth(1).tap()
    sheet = phone.page.locator("#message-menu")
    sheet.wait_for()
    assert "Answer again" not in items(sheet)
    box = sheet.bounding_box() or {}
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert box["y"] + box["height"] <= 844


def test_keys(people: People) -> None:
    chat = people.join(**CLIPBOARD).new_chat()
    chat.send("First")
    chat.wait_rows(2)
    chat.send("Second **bold**")
    rows = chat.wait_rows(4)
    page = chat.page
    focused = "document.activeElement.dataset.messageId ?? document.activeElement.id"
    page.locator("#scroller").focus()
    page.keyboard.press("k")
    eventually(lambda: page.evaluate(focused) == rows[3].id, what="the last message")
    page.keyboard.press("k")
    page.keyboard.press("ArrowUp")
    eventually(lambda: page.evaluate(focused) == rows[1].id, what="two up")
    page.keyboard.press("j")
    eventually(lambda: page.evaluate(focused) == rows[2].id, what="one down")
    page.keyboard.press("/")
    eventually(lambda: page.evaluate(focused) == "composer-input", what="the message box")
    assert chat.composer.input_value() == ""
    page.keyboard.press("ArrowUp")
    eventually(lambda: chat.composer.input_value() == "Second **bold**", what="what I said last")
    page.locator("[data-action=keep-message]").click()
    assert chat.composer.input_value() == ""

    page.keyboard.press("Control+Shift+C")
    source = chat.snapshot()["messages"][-1]["parts"][0]["content"]
    eventually(lambda: chat.clipboard() == source, what="the last answer")
    page.locator("#scroller").focus()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == "scroller"
    page.locator("[data-action=keys]").click()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("Control+Shift+O")
    page.wait_for_url(lambda url: url != chat.url and "/chat/" in url)


def test_commands(people: People) -> None:
    chat = people.join().new_chat()
    chat.composer.press_sequentially("/t")
    menu = chat.page.get_by_role("listbox", name="Commands")
    menu.wait_for()
    assert [text.split("\n")[0] for text in menu.locator("li").all_inner_texts()] == [
        "/tool",
        "/think",
        "/theme",
    ]
    chat.composer.press("ArrowDown")
    chat.composer.press("Enter")
    assert chat.composer.input_value() == "/think "
    chat.composer.press("Enter")
    chat.wait_rows(2)
    chat.composer.press_sequentially("/th")
    chat.composer.press("Escape")
    assert chat.composer.input_value() == "/th"
    chat.composer.fill("")
    chat.composer.fill("/them")
    menu.wait_for()
    theme = "document.documentElement.dataset.theme"
    chat.composer.press("Enter")
    eventually(lambda: chat.page.evaluate(theme) == "dark", what="the other theme")
    assert chat.composer.input_value() == ""
    chat.composer.press_sequentially("not /t")
    assert menu.is_hidden()
    assert len(chat.rows) == 2


def test_the_header_makes_room_while_one_reads_on(people: People) -> None:
    phone = people.join(**PHONE).new_chat()
    phone.composer.fill("/long 900")
    phone.page.locator("#send").click()
    phone.wait_words(890)
    phone.page.locator("#stop").wait_for(state="hidden")
    bar = phone.page.locator(".bar")
    expect(bar).to_be_in_viewport()
    move = """top => new Promise(resolve => {
        document.querySelector('#scroller').scrollTop = top;
        requestAnimationFrame(() => requestAnimationFrame(resolve));
    })"""
    phone.page.evaluate(move, 100)
    phone.page.evaluate(move, 300)
    expect(bar).not_to_be_in_viewport()
    phone.page.evaluate(move, 200)
    expect(bar).to_be_in_viewport()


def test_the_id_of_an_error_can_be_copied(people: People) -> None:
    ana = people.join(**CLIPBOARD)
    ana.guard.allow("status of 404")
    page = ana.context.new_page()
    page.goto(f"{people.origin}/nowhere")
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("code").inner_text()
