"""Approvals as people see them: a card with buttons for those who may decide, and what came of it for all."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from support.chat_page import PATIENCE, ChatPage
from support.people import PHONE, People
from tests.support.server import ServerProcess
from tests.support.waiting import eventually

expect.set_options(timeout=PATIENCE * 1000)

PLACE = Path(tempfile.mkdtemp(prefix="postman-"))
SERVER_ENV = {
    "DURABLE_CHAT_AGENT": "tests.support.agents:postman",
    "POSTMAN_LOG": str(PLACE / "posted"),
    "POSTMAN_GO": str(PLACE / "go"),
}

# Both browsers are told a moment, and press then.
PRESS_AT = """
([name, at]) => {
  const buttons = [...document.querySelectorAll('.part-approval[data-open] button')];
  const button = buttons.find((each) => each.textContent === name);
  setTimeout(() => button.click(), at - Date.now());
}
"""


@pytest.fixture(autouse=True)
def posted() -> Path:
    log = PLACE / "posted"
    log.write_text("")
    return log


def cards(chat: ChatPage) -> Locator:
    return chat.page.locator(".part-approval")


def button(card: Locator, name: str) -> Locator:
    return card.get_by_role("button", name=name, exact=True)


def in_list(chat: ChatPage) -> Locator:
    """The chat's row in the sidebar."""
    return chat.page.locator(f"#sidebar [data-chat-id='{chat.id}']")


def titles(chat: ChatPage) -> list[str]:
    return cards(chat).locator(".approval-title").all_inner_texts()


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_only_who_may_decide_has_buttons(people: People) -> None:
    ana, eva = people.join(), people.join()
    chat = ana.new_chat()
    viewer = eva.open(chat.share("view"))
    chat.send("send letter")
    for page in (chat, viewer):
        expect(cards(page)).to_contain_text('"what": "letter"')
        expect(page.page.locator("#pending")).to_have_text("1 approval waiting")
        expect(in_list(page)).to_contain_text("1 approval waiting")
    button(cards(chat), "Approve").wait_for()
    name = chat.page.locator(".whoami b").inner_text()
    expect(cards(viewer)).to_contain_text(f"{name} can decide.")
    expect(cards(viewer).locator("button")).to_have_count(0)
    reply = eva.context.request.post(
        f"{chat.origin}/api/chat?id={chat.id}",
        data={"messages": [], "resume": [{"interruptId": "x", "status": "resolved"}]},
    )
    assert reply.status == 403
    for person, page in ((ana, chat), (eva, viewer)):
        person.equals_fresh(page)


def test_a_person_approves_and_everybody_sees_who(people: People, posted: Path) -> None:
    ana, ben = people.join(), people.join()
    chat = ana.new_chat()
    approver = ben.open(chat.share("approve"))
    chat.send("send letter")
    expect(cards(approver)).to_contain_text("You can decide.")
    button(cards(approver), "Approve").click()
    name = approver.page.locator(".whoami b").inner_text()
    for person, page in ((ana, chat), (ben, approver)):
        expect(cards(page).locator(".approval-title")).to_have_text(f"Approved by {name}")
        expect(cards(page)).to_have_attribute("data-state", "done")
        expect(page.page.locator("#pending")).to_be_hidden()
        expect(in_list(page)).not_to_contain_text("waiting")
        expect(cards(page).locator("button")).to_have_count(0)
        page.wait_text("That is that")
        person.equals_fresh(page)
    chat.reload().wait_live()
    assert titles(chat) == [f"Approved by {name}"]
    assert posted.read_text() == "letter\n"


@pytest.mark.parametrize("attempt", range(2))
def test_two_people_press_at_once(people: People, posted: Path, attempt: int) -> None:
    ana, ben = people.join(), people.join()
    chat = ana.new_chat()
    other = ben.open(chat.share("approve"))
    for person in (ana, ben):
        person.guard.allow("status of 409")
    chat.send("send letter")
    for page in (chat, other):
        button(cards(page), "Approve").wait_for()
    at = chat.page.evaluate("Date.now() + 600")
    chat.page.evaluate(PRESS_AT, ["Approve", at])
    other.page.evaluate(PRESS_AT, ["Deny", at])
    for page in (chat, other):
        expect(cards(page).locator(".approval-title")).to_contain_text(re.compile("(Approved|Denied) by"))
        page.wait_text("That is that")
    assert titles(chat) == titles(other)
    (decision,) = [each for run in chat.snapshot()["runs"].values() for each in run.get("decisions", ())]
    assert posted.read_text() == ("letter\n" if decision["approved"] else "")
    ana.equals_fresh(chat)
    ben.equals_fresh(other)


def test_each_tool_is_decided_on_its_own_and_may_be_edited(people: People, posted: Path) -> None:
    ana = people.join(viewport=PHONE["viewport"])
    chat = ana.new_chat()
    chat.send("send letter parcel")
    pending = chat.page.locator("#pending")
    expect(pending).to_have_text("2 approvals waiting")
    button(cards(chat).nth(0), "Deny").click()
    expect(pending).to_have_text("1 approval waiting")
    ana.equals_fresh(chat)
    pending.click()
    expect(cards(chat).nth(1)).to_be_in_viewport()
    parcel = cards(chat).nth(1)
    parcel.get_by_text("Edit", exact=True).click()
    text = parcel.locator("textarea")
    text.fill("no JSON")
    button(parcel, "Approve with these").click()
    expect(parcel.get_by_role("alert")).to_have_text("The arguments are not valid JSON.")
    text.fill('{"what": "box"}')
    button(parcel, "Approve with these").click()
    chat.wait_text("That is that")
    expect(parcel).to_contain_text("Approved with changes by")
    expect(cards(chat).nth(0)).to_have_attribute("data-state", "denied")
    ana.equals_fresh(chat)
    assert posted.read_text() == "box\n"


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_pending_card_outlives_a_refresh_and_a_restart(
    people: People, server: ServerProcess, posted: Path
) -> None:
    ana = people.join()
    chat = ana.new_chat()
    chat.send("send letter")
    button(cards(chat), "Approve").wait_for()
    chat.reload().wait_live()
    expect(button(cards(chat), "Approve")).to_be_visible()
    ana.expect_broken_network()
    server.kill9()
    server.restart()
    chat.wait_live()
    button(cards(chat), "Approve").click()
    chat.wait_text("That is that")
    ana.equals_fresh(chat)
    assert posted.read_text() == "letter\n"


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_crash_leaves_it_unknown_and_another_try_asks_again(
    people: People, server: ServerProcess, posted: Path
) -> None:
    ana = people.join()
    chat = ana.new_chat()
    chat.send("hold letter")
    button(cards(chat), "Approve").click()
    expect(cards(chat)).to_have_attribute("data-state", "running")
    eventually(lambda: posted.read_text() == "letter\n")
    ana.expect_broken_network()
    server.kill9()
    server.restart()
    chat.wait_live()
    expect(cards(chat)).to_have_attribute("data-state", "unknown")
    expect(cards(chat)).to_contain_text("It is not known whether this ran.")
    ana.equals_fresh(chat)
    chat.page.get_by_role("button", name="Retry").click()
    button(cards(chat), "Deny").click()
    chat.wait_text("That is that")
    ana.equals_fresh(chat)
    assert posted.read_text() == "letter\n"


def test_it_works_without_javascript(people: People, posted: Path) -> None:
    ana = people.join()
    chat = ana.new_chat()
    chat.send("send letter")
    button(cards(chat), "Approve").wait_for()
    plain = people.join(java_script_enabled=False)
    plain.context.add_cookies(ana.context.cookies())  # type: ignore[arg-type]
    page = plain.context.new_page()
    page.goto(chat.url)
    expect(page.locator("#pending")).to_have_text("1 approval waiting")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator(".approval-title")).to_contain_text("Approved by")
    chat.wait_text("That is that")
    assert posted.read_text() == "letter\n"


def test_tools_in_a_row_fold(people: People) -> None:
    ana = people.join()
    chat = ana.new_chat()
    chat.send("tools 4")
    chat.wait_text("I looked")
    group = chat.page.locator(".part-tools")
    expect(group.locator(".tools-label")).to_have_text("Used 4 tools")
    ana.equals_fresh(chat)
    group.locator(".tools-label").click()
    line = group.locator(".part-tool").nth(2)
    expect(line.locator("summary")).to_contain_text(re.compile(r"look\s*at: 2\s*done\s*<?0"))
    line.locator("summary").click()
    expect(line).to_contain_text("nothing")
    line.locator("summary").click()
    group.locator(".tools-label").click()
    chat.send("tools 1")
    expect(chat.page.locator(".part-tools")).to_have_count(1)
    expect(chat.page.locator(".part-tool")).to_have_count(5)
    ana.equals_fresh(chat)
