"""The transport lab as a newcomer uses it: a real cut, a refresh, a second tab, and counts that are true."""

from __future__ import annotations

import re

import pytest

from support.lab_page import LANES, LabPage
from support.people import PHONE, People, Person
from tests.support.server import ServerProcess

pytestmark = pytest.mark.timeout(60)  # a real answer of some seconds, by a machine that may be busy

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.02"}

RESUMED = ("sse", "ndjson", "ws")
ALL_BUT_PLAIN = dict.fromkeys(LANES, "complete") | {"plain": "lost"}


def enter(people: People, **options: object) -> tuple[Person, LabPage]:
    person = people.join(**options)
    person.expect_broken_network()
    return person, LabPage(person.context.new_page()).open(f"{people.origin}/lab")


def log_text(person: Person, lab: LabPage) -> str:
    """What the agent said, by the server's account."""
    chat_id = lab.page.url.partition("#")[2]
    events = person.context.request.get(f"{person.origin}/api/chat-stream?id={chat_id}&offset=-1").json()
    agents = {
        event["messageId"]
        for event in events
        if event["type"] == "TEXT_MESSAGE_START" and event["role"] == "assistant"
    }
    return "".join(
        event["delta"]
        for event in events
        if event["type"] == "TEXT_MESSAGE_CONTENT" and event["messageId"] in agents
    )


def test_untroubled_every_lane_is_complete(people: People) -> None:
    person, lab = enter(people)
    lab.press("Ask over all five")  # the prompt that is there is one that works
    lab.wait_arrived(1)
    chat_id = lab.page.url.partition("#")[2]
    assert person.context.request.post(f"{people.origin}/api/chat/stop", data={"id": chat_id}).ok
    lanes = lab.wait_states(**dict.fromkeys(LANES, "complete"))
    said = log_text(person, lab)
    for name, lane in lanes.items():
        assert (lane.text, lane.arrived, lane.lost, lane.twice) == (said, len(said), 0, 0), name
        assert lane.received > len(said), name
    assert [lanes[name].connections for name in ("plain", *RESUMED)] == [1, 1, 1, 1]
    # One message and one run, however many ways it was asked.
    lab.page.get_by_role("link", name="See it as a chat").click()
    assert lab.page.locator("article[data-message-id]").count() == 2


@pytest.mark.parametrize("cuts", [1, 2])
def test_a_cut_costs_the_plain_lane_its_rest_and_nobody_else_anything(people: People, cuts: int) -> None:
    person, lab = enter(people)
    lab.ask(f"/long {150 * (cuts + 1)}")
    for number in range(cuts):
        alive = LANES if number == 0 else LANES[1:]
        before = lab.wait_streaming(200, *alive)
        assert lab.cut() >= len(alive)
        for name in LANES[1:]:
            lab.wait_back(name, before[name])
    lanes = lab.wait_states(**ALL_BUT_PLAIN)
    said = log_text(person, lab)
    plain = lanes.pop("plain")
    assert said.startswith(plain.text)
    assert plain.lost == len(said) - plain.arrived > 0
    assert (plain.twice, plain.connections) == (0, 1)
    for name, lane in lanes.items():
        assert (lane.text, lane.lost, lane.twice) == (said, 0, 0), name
        assert lane.connections > cuts, name


def test_a_refresh_in_the_middle(people: People) -> None:
    person, lab = enter(people)
    lab.ask("/long 200")
    lab.wait_arrived(200)
    with lab.page.expect_navigation():
        lab.press("Refresh")
    lab.wait_arrived(201, *RESUMED, "durable")
    lanes = lab.wait_states(**ALL_BUT_PLAIN)
    said = log_text(person, lab)
    assert (lanes["plain"].arrived, lanes["plain"].lost) == (0, len(said))
    assert lanes["plain"].sentence == "The reply went with the page"
    for name in (*RESUMED, "durable"):
        assert (lanes[name].text, lanes[name].lost, lanes[name].twice) == (said, 0, 0), name


def test_a_second_tab_converges_by_the_durable_stream_alone(people: People) -> None:
    person, lab = enter(people)
    lab.ask("/long 200")
    lab.wait_arrived(100)
    with person.context.expect_page() as opened:
        lab.press("Second tab")
    second = LabPage(opened.value)
    second.page.locator("[data-lane=durable]").wait_for()
    second.wait_arrived(101, "durable")
    lab.wait_states(**dict.fromkeys(LANES, "complete"))
    lanes = second.wait_states(**dict.fromkeys(("plain", *RESUMED), "lost"), durable="complete")
    said = log_text(person, lab)
    assert (lanes["durable"].text, lanes["durable"].twice) == (said, 0)
    assert lanes["sse"].sentence == "This tab asked for nothing"

    # What the second tab asks, the first one sees by the durable stream and by no other.
    second.ask("/long 20")
    first = lab.wait_states(**dict.fromkeys(("plain", *RESUMED), "lost"), durable="complete")
    whole = log_text(person, lab)
    assert whole.startswith(said)
    assert first["durable"].text == whole
    assert first["sse"].text == said
    assert "missed" in first["sse"].sentence


def test_a_cut_is_in_all_of_ones_tabs_and_in_nobody_elses(people: People, server: ServerProcess) -> None:
    person, lab = enter(people)
    lab.ask("/long 200")
    lab.wait_streaming(50)
    chat_id = lab.page.url.partition("#")[2]
    shared = person.context.request.post(f"{people.origin}/api/chats/{chat_id}/shares", data={"role": "chat"})
    guest = people.join()  # and whose network is never broken
    guest_page = guest.context.new_page()
    guest_page.goto(shared.json()["url"])
    theirs = LabPage(guest_page).open(f"{people.origin}/lab#{chat_id}")
    theirs.wait_arrived(50, "durable")
    before = theirs.durable.connections
    assert lab.cut() >= 5
    lab.wait_states(plain="lost", durable="complete")
    assert theirs.wait_states(durable="complete")["durable"].connections == before
    assert "Traceback" not in server.log


def test_somebody_elses_lab_stays_theirs(people: People) -> None:
    _, lab = enter(people)
    lab.ask("/long 1")
    lab.wait_states(durable="complete")
    stranger = people.join()
    stranger.guard.allow("status of 404")
    other = LabPage(stranger.context.new_page()).open(lab.page.url)
    other.page.locator("#log", has_text="This lab is somebody else's, or gone.").wait_for()
    assert other.durable.arrived == 0


def test_by_keyboard_and_by_ear(people: People) -> None:
    _, lab = enter(people)
    page = lab.page
    page.locator("#prompt").focus()
    page.locator("#prompt").fill("/long 100")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    lab.wait_streaming(10)
    page.keyboard.press("Tab")
    with page.expect_response("**/api/lab/cut"):
        page.keyboard.press("Enter")
    page.locator("#announce", has_text=re.compile(r"The server cut \d connections\.")).wait_for()
    page.locator("#announce", has_text="Durable stream: Complete.").wait_for()
    assert page.evaluate("document.activeElement.id") == "cut"
    assert page.locator("[aria-live]").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(people: People, scheme: str) -> None:
    _, lab = enter(people, **PHONE, color_scheme=scheme)
    assert lab.page.evaluate("document.documentElement.scrollWidth") <= 390
    lab.ask("/long 30")
    lab.wait_states(durable="complete")
    assert lab.page.evaluate("document.documentElement.scrollWidth") <= 390
    lab.page.locator("[data-lane=durable]").scroll_into_view_if_needed()
    lab.page.locator("#cut").click(trial=True)  # it is still in reach
    assert lab.page.locator("#cut").evaluate("button => button.getBoundingClientRect().height") >= 44


def test_the_start_page_leads_here(people: People) -> None:
    page = people.join().context.new_page()
    page.goto(people.origin)
    page.get_by_role("link", name="transport lab").click()
    page.get_by_role("heading", name="Transport lab").wait_for()
