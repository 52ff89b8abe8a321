"""Names, colours and devices, as people change and see them."""

from __future__ import annotations

import re

from support.people import PHONE, People
from support.presence import Faces, name_of, rename
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_AGENT": "echo"}


def test_a_name_and_a_colour_are_chosen_and_everybody_sees_them(people: People) -> None:
    """In the header, on what is said from then on, and in the person's other tab."""
    ana, ben = people.join(), people.join()
    hers = ana.new_chat()
    other_tab = ana.open(hers.url)
    his = ben.open(hers.share("chat"))
    guest = name_of(hers)
    hers.send("before")
    his.wait_rows(2)
    assert his.page.locator("article.person .guest").count() == 1
    assert hers.page.locator("article.person .guest").count() == 0
    rename(hers, "Ana Banana", hue=7)
    assert name_of(hers) == "Ana Banana"
    eventually(lambda: name_of(other_tab) == "Ana Banana", what="the name in her other tab")
    eventually(lambda: Faces(his).here.get("Ana Banana") == ("active", "2"), what="the name in his header")
    assert guest not in Faces(his).here
    hers.send("after")
    his.wait_rows(4)
    row = his.page.locator("article.person").last
    assert row.locator(".name").inner_text() == "Ana Banana"
    assert row.locator(".avatar").inner_text() == "AB"
    assert re.search(r"\bhue-7\b", row.get_attribute("class") or "")
    assert his.page.locator("article.person .name").first.inner_text() == guest
    ana.equals_fresh(hers)
    ben.equals_fresh(his)


def test_a_name_that_cannot_be_is_refused_where_it_was_typed(people: People) -> None:
    chat = people.join().new_chat()
    chat.guard.allow("status of 4(00|09)")
    chat.page.locator(".whoami").click()
    dialog = chat.page.locator("dialog.me")
    for name, words in ((" … ", "a letter or a digit"), ("Echo", "An agent has this name")):
        dialog.get_by_label("Name").fill(name)
        dialog.get_by_role("button", name="Save").click()
        dialog.get_by_role("alert").filter(has_text=words).wait_for()
    chat.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert chat.page.evaluate("() => document.activeElement.classList.contains('whoami')")


def test_another_device_is_the_same_person(people: People) -> None:
    """AC-48, from the start page too: the link is shown, asks first, and is good once."""
    ana, phone = people.join(), people.join(**PHONE)
    hers = ana.new_chat()
    hers.send("from the desk")
    hers.wait_rows(2)
    rename(hers, "Ana")
    home = ana.context.new_page()
    home.goto(people.origin)
    home.locator(".whoami").click()
    home.get_by_role("button", name="Use on another device").click()
    picture = home.get_by_alt_text("The link as a QR code")
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 50
    link = home.get_by_label("open the link there").input_value()
    home.close()
    page = phone.context.new_page()
    page.goto(link)
    page.get_by_role("heading", name="Use this browser as Ana?").wait_for()
    page.reload()  # looking at it uses nothing up
    page.get_by_role("button", name="Yes, that is me").click()
    page.wait_for_url(f"{people.origin}/")
    there = phone.open(hers.url)
    assert there.page.locator("article.person").get_attribute("class") == hers.page.locator(
        "article.person"
    ).get_attribute("class")
    there.composer.fill("from the sofa")
    there.page.locator("#send").click()
    hers.wait_rows(4)
    assert hers.page.locator("article.person.mine").count() == 2
    Faces(hers).wait({"Ana": ("active", "2")})
    assert Faces(hers).people() == ["Ana you manages this chat · in this tab and 1 more"]
    assert "/d/" not in page.evaluate("() => document.referrer + JSON.stringify(performance.getEntries())")
    again = phone.context.new_page()
    phone.guard.allow("status of 404")
    reply = again.goto(link)
    assert reply is not None
    assert reply.status == 404
