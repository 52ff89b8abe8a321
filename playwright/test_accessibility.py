"""For everybody: axe-core on every page and open dialog, keys alone, 400 % zoom, forced colours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from support import axe
from support.chat_page import ChatPage
from support.people import People, Person
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.002"}
TALK = """Hello @Demo, **look**: `code`

```python
print('x')  # a comment
```

> said

| a | b |
|---|---|
| 1 | 2 |"""


def tour(person: Person, look: Callable[[Page, str], None]) -> ChatPage:
    """Every page, and a chat in all its states. ``look`` is called at each stop."""
    person.guard.allow("status of 404")
    page = person.context.new_page()
    for path in ("/", "/lab", "/nowhere"):
        page.goto(f"{person.origin}{path}")
        look(page, path)
    page.close()
    chat = person.new_chat()
    page = chat.page
    look(page, "an empty chat")
    chat.composer.fill(TALK)
    page.locator("#send").click()
    chat.wait_rows(2)
    for command, done in (("/tool", "in week"), ("/think", "nothing to add"), ("/fail", "namely that")):
        chat.composer.fill(command)
        page.locator("#send").click()
        chat.wait_text(done)
    eventually(lambda: page.locator("#stop").is_hidden(), what="an answer")
    for details in page.locator("#transcript details").all():
        details.evaluate("node => { node.open = true }")
    look(page, "a chat")
    chat.composer.fill("/approve")
    page.locator("#send").click()
    page.locator(".approval-form").wait_for()
    page.locator(".approval-form summary").click()
    look(page, "a card")
    page.locator(".agent [data-action=more]").first.click()
    page.locator("#message-menu").wait_for()
    look(page, "the menu of a message")
    page.get_by_role("menuitem", name="Raw events").click()
    page.locator(".raw-events li").first.wait_for()
    look(page, "raw events")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.locator("#scroller").focus()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    look(page, "the list of keys")
    page.keyboard.press("Escape")
    page.locator("[popovertarget=agents]").click()
    look(page, "the agents")
    page.keyboard.press("Escape")
    page.locator("#share").click()
    page.locator("#share-dialog").wait_for()
    look(page, "sharing")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_role("dialog", name="Search").wait_for()
    look(page, "the search")
    page.keyboard.press("Escape")
    if page.locator("[data-action=me]").is_visible():
        page.locator("[data-action=me]").click()
        page.locator("dialog#me").wait_for()
        look(page, "who I am")
        page.keyboard.press("Escape")
        page.locator("nav [aria-haspopup=menu]").first.click()
        page.locator("#chat-menu").wait_for()
        look(page, "the menu of a chat")
        page.keyboard.press("Escape")
    for sign, menu in (("/", "#commands"), ("@", "#mentions")):
        chat.composer.fill(sign)
        page.locator(menu).wait_for()
        look(page, menu)
        chat.composer.fill("")
    return chat


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(people: People, theme: str) -> None:
    person = people.join(color_scheme=theme, reduced_motion="reduce")
    axe.inject(person.context)
    found: list[str] = []
    tour(person, lambda page, stop: found.extend(f"{stop}: {one}" for one in axe.violations(page)))
    assert not found, "\n".join(found)


def test_axe_finds_what_is_wrong(people: People) -> None:
    """The other test can fail."""
    person = people.join()
    axe.inject(person.context)
    page = person.context.new_page()
    page.goto(people.origin)
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    assert any(one.startswith("button-name") for one in axe.violations(page))


def test_at_400_percent_nothing_scrolls_sideways(people: People) -> None:
    """1280 × 1024 at 400 %."""

    def look(page: Page, stop: str) -> None:
        wide = page.evaluate("""() => [
            document.scrollingElement, ...document.querySelectorAll('dialog, .scroller'),
        ].filter(each => each.scrollWidth > each.clientWidth + 1)
            .map(each => `${each.tagName} ${each.id || each.className}: ${each.scrollWidth}`)""")
        assert not wide, (stop, wide)
        cut = page.evaluate("""() => [...document.querySelectorAll('button, a, input, textarea, select')]
            .filter(each => each.checkVisibility() && !each.closest('.visually-hidden, pre'))
            .map(each => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
            .filter(([, box]) => box.width && (box.right > innerWidth + 1 || box.left < -1))
            .map(([what]) => what)""")
        assert not cut, (stop, cut)

    tour(people.join(viewport={"width": 320, "height": 256}), look)


def test_every_control_is_reached_by_tab(people: People) -> None:
    chat = people.join().new_chat()
    chat.send("/approve")
    page = chat.page
    page.locator(".approval-form").wait_for()
    controls = """() => [
        ...document.querySelectorAll('button, a[href], input, textarea, select, summary'),
    ].filter(each => each.checkVisibility({visibilityProperty: true}) && !each.disabled)
        .filter(each => each.type !== 'hidden')
        .map(each => each.outerHTML.slice(0, 120))"""
    wanted = set(page.evaluate(controls))
    page.evaluate("document.activeElement.blur()")
    reached: set[str] = set()
    for _ in range(len(wanted) + 10):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 120)"))
        ring = page.evaluate("""() => {
            const {activeElement: it} = document;
            const around = it.closest('.composer') ?? it;
            return it === document.body || [it, around].some(each => {
                const style = getComputedStyle(each);
                const outlined = style.outlineStyle !== 'none' && style.outlineWidth !== '0px';
                return outlined || each.matches('.composer');
            });
        }""")
        assert ring, page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
    assert wanted <= reached, wanted - reached


def test_with_forced_colours_shapes_are_still_there(people: People) -> None:
    person = people.join(forced_colors="active", reduced_motion="reduce")
    axe.inject(person.context)
    chat = person.new_chat()
    chat.send("/tool")
    chat.wait_text("in week")
    bare = chat.page.evaluate("""() => {
        const paper = getComputedStyle(document.body).backgroundColor;
        const shapes = document.querySelectorAll(
            '.dot, .deed, .send-button, .composer, .mine > .message-body')
        const shows = (node, part) => {
            const {backgroundColor, borderTopWidth} = getComputedStyle(node, part);
            return !['rgba(0, 0, 0, 0)', paper].includes(backgroundColor) || borderTopWidth !== '0px';
        };
        return [...shapes].filter(each => each.checkVisibility())
            .filter(each => !shows(each, null) && !shows(each, '::before')).map(each => each.className);
    }""")
    assert not bare
    assert not [one for one in axe.violations(chat.page) if not one.startswith("color-contrast")]
