"""Several agents in one chat: side by side on every screen, called by name, let in and sent away."""

from __future__ import annotations

from support.chat_page import ChatPage, Row, same_everywhere
from support.people import PHONE, People
from tests.support.server import ROOT
from tests.support.waiting import eventually

SERVER_ENV = {
    "DURABLE_CHAT_AGENTS": str(ROOT / "tests" / "support" / "two_demos.toml"),
    "DURABLE_CHAT_DEMO_WORD_DELAY": "0.02",
    "DURABLE_CHAT_AGENT_TURNS": "4",
}

# Everything in the transcript, in order, and its colour.
# The line before what is new is a reader's own.
ORDER = """
() => [...document.querySelectorAll('#transcript > :not(.unread)')].map(row => [
  row.dataset.messageId ?? row.dataset.noteId ?? row.dataset.runId,
  [...row.classList].find(name => name.startsWith('hue-')) ?? row.textContent,
])
"""


def order(chat: ChatPage) -> list[list[str]]:
    return list(chat.page.evaluate(ORDER))


def same_order(*pages: ChatPage) -> None:
    """Rows and notes stand in one order on every screen, and on one that is loaded now."""
    fresh = pages[0].page.context.new_page()
    fresh.goto(pages[0].url)
    expected = fresh.evaluate(ORDER)
    fresh.close()
    for page in pages:
        eventually(lambda page=page: order(page) == expected, what=f"{expected}")


def both_write(*pages: ChatPage) -> None:
    for page in pages:
        eventually(
            lambda page=page: (
                [row.state for row in page.rows[-2:]] == ["streaming"] * 2
                and all(len(row.words) > 5 for row in page.rows[-2:])
            ),
            what="two answers that grow",
        )


def said_by(chat: ChatPage, agent: str) -> Row:
    """The agent's only row."""
    rows = chat.page.locator("#transcript article", has=chat.page.locator(".name", has_text=agent))
    row_id = rows.get_attribute("data-message-id")
    return next(row for row in chat.rows if row.id == row_id)


def test_two_agents_interleave_in_two_browsers(people: People) -> None:
    """AC-15, too: one of them is stopped, and the other goes on."""
    ana, ben = people.join(), people.join()
    hers = ana.new_chat()
    his = ben.open(hers.share("chat"))
    viewer = people.join().open(hers.share("view"))

    hers.send("@Oak @Elm /long 150")
    both_write(hers, his, viewer)
    activity = his.page.locator("#activity")
    # Which of the two began first is a matter of luck, and the same for everybody.
    assert {each.inner_text() for each in activity.locator(".doing").all()} == {
        "Oak is writing…\nStop",
        "Elm is writing…\nStop",
    }
    assert viewer.page.locator("#activity button").count() == 0
    assert viewer.page.locator("#activity .doing").count() == 2

    his.page.get_by_role("button", name="Stop Elm").click()
    for page in (hers, his, viewer):
        eventually(lambda page=page: said_by(page, "Elm").state == "stopped", what="Elm is stopped")
    assert said_by(hers, "Oak").state == "streaming"
    assert activity.locator("button").count() == 0

    eventually(lambda: said_by(hers, "Oak").state == "done", timeout=20, what="Oak is done")
    assert len(said_by(hers, "Oak").words) >= 150
    assert len(said_by(hers, "Elm").words) < 150
    same_everywhere(hers, his, viewer)
    same_order(hers, his)
    ana.equals_fresh(hers)
    assert {hue for _, hue in order(hers)[1:]} == {"hue-10", "hue-20"}


def test_agents_that_talk_to_each_other_wait_for_a_person(people: People) -> None:
    """AC-52."""
    ana = people.join()
    hers = ana.new_chat()
    his = people.join().open(hers.share("chat"))
    hers.send("/debate")
    for page in (hers, his):
        page.page.locator(
            ".note", has_text="Oak and Elm have talked 4 times. Waiting for a person."
        ).wait_for()
    hers.wait_rows(5)
    same_order(hers, his)

    his.send("Go on, both of you")
    hers.wait_rows(7)
    same_order(hers, his)
    assert hers.page.locator(".note").count() == 1


def test_agents_are_let_in_and_sent_away_on_every_screen(people: People) -> None:
    ana = people.join()
    hers = ana.new_chat()
    his = people.join().open(hers.share("chat"))
    viewer = people.join().open(hers.share("view"))
    name = hers.page.locator(".whoami b").inner_text()
    for page in (hers, his, viewer):
        page.page.get_by_role("button", name="Agents in this chat").click()
    switch = {page: page.page.get_by_role("switch", name="Ash Tree") for page in (hers, his, viewer)}
    for each in switch.values():
        assert each.get_attribute("aria-checked") == "false"
    assert viewer.page.get_by_role("switch", name="Oak").is_disabled()

    switch[hers].click()

    for page in (hers, his, viewer):
        page.page.locator(".note", has_text=f"{name} let Ash Tree in").wait_for()
        eventually(lambda page=page: switch[page].get_attribute("aria-checked") == "true")
    his.page.keyboard.press("Escape")
    his.send("@Ash Tree, what do you think?")
    hers.wait_rows(2)
    switch[hers].click()
    his.page.locator(".note", has_text=f"{name} sent Ash Tree away").wait_for()
    same_order(hers, his, viewer)
    oak, elm = (hers.page.get_by_role("switch", name=other) for other in ("Oak", "Elm"))
    oak.click()
    eventually(lambda: oak.get_attribute("aria-checked") == "false", what="Oak has gone")
    elm.click()
    hers.page.locator("#connection", has_text="Somebody has to answer").wait_for()
    hers.guard.allow(r"409")


def test_a_name_is_found_behind_an_at(people: People) -> None:
    ana = people.join()
    hers = ana.new_chat()
    his = people.join().open(hers.share("chat"))
    his.send("Hello")
    hers.wait_rows(2)
    person = his.page.locator(".whoami b").inner_text()
    menu, box = hers.page.get_by_role("listbox"), hers.composer

    box.press_sequentially("@")
    options = menu.get_by_role("option")
    eventually(lambda: options.all_inner_texts() == ["Oak\nagent", "Elm\nagent", f"{person}\nperson"])
    assert box.get_attribute("aria-controls") == "mentions"
    assert box.get_attribute("aria-activedescendant") == "mentions-0"
    box.press("ArrowDown")
    assert box.get_attribute("aria-activedescendant") == "mentions-1"
    assert menu.get_by_role("option", selected=True).inner_text() == "Elm\nagent"
    box.press("Enter")
    assert box.input_value() == "@Elm "
    assert not menu.is_visible()
    assert box.get_attribute("aria-controls") is None
    box.press_sequentially("and @o")
    menu.wait_for()
    box.press("Tab")
    assert box.input_value() == "@Elm and @Oak "

    box.press_sequentially("@el")
    menu.wait_for()
    box.press("Escape")
    assert not menu.is_visible()
    box.press_sequentially("m")
    assert not menu.is_visible()
    assert box.input_value() == "@Elm and @Oak @elm"
    box.press("Enter")
    hers.wait_text("^@Elm and @Oak @elm$")
    eventually(lambda: len(hers.rows) == 5, what="two answers")
    for quiet in ("me@oak", "a @ b"):
        box.fill(quiet)
        assert not menu.is_visible()


def test_a_name_is_taken_with_a_finger(people: People) -> None:
    phone = people.join(**PHONE).new_chat()
    phone.composer.tap()
    phone.composer.press_sequentially("Ask @")
    option = phone.page.get_by_role("option", name="Elm")
    option.wait_for()
    box, width = option.bounding_box(), PHONE["viewport"]["width"]
    assert box is not None
    assert box["height"] >= 44
    assert box["x"] + box["width"] <= width
    option.tap()
    assert phone.composer.input_value() == "Ask @Elm "
    assert phone.page.evaluate("document.activeElement.id") == "composer-input"


def test_an_input_method_at_work_takes_no_name(people: People) -> None:
    chat = people.join().new_chat()
    chat.composer.press_sequentially("@")
    menu = chat.page.get_by_role("listbox")
    menu.wait_for()
    keyboard = chat.page.context.new_cdp_session(chat.page)
    keyboard.send("Input.imeSetComposition", {"text": "え", "selectionStart": 1, "selectionEnd": 1})
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    assert chat.composer.input_value() == "@え"
    keyboard.send("Input.insertText", {"text": "え"})
    assert chat.composer.input_value() == "@え"
    assert chat.rows == []
