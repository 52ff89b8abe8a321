"""The transport lab in one tab. The only place that knows its ids and attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from playwright.sync_api import Page

from tests.support.waiting import eventually

PATIENCE = 20.0
LANES = ("plain", "sse", "ndjson", "ws", "durable")

READ = """() => Object.fromEntries([...document.querySelectorAll('.lane')].map(lane => {
  const counts = [...lane.querySelectorAll('data')].map(data => [data.dataset.count, Number(data.value)]);
  return [lane.dataset.lane, {
    state: lane.dataset.state,
    sentence: lane.querySelector('.verdict-text').textContent,
    text: lane.querySelector('.said').textContent,
    ...Object.fromEntries(counts),
  }];
}))"""


@dataclass(frozen=True, slots=True)
class Lane:
    """What a lane says of itself, and the text it shows."""

    state: str
    sentence: str
    text: str
    arrived: int
    lost: int
    twice: int
    connections: int
    received: int


class LabPage:
    """A tab on the lab."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, url: str) -> Self:
        self.page.goto(url)
        return self

    @property
    def lanes(self) -> dict[str, Lane]:
        return {name: Lane(**found) for name, found in self.page.evaluate(READ).items()}

    @property
    def durable(self) -> Lane:
        return self.lanes["durable"]

    def ask(self, prompt: str) -> None:
        self.page.locator("#prompt").fill(prompt)
        self.page.locator("#prompt").press("Enter")

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def wait_arrived(self, count: int, *names: str) -> None:
        """Wait until so many characters have come over each lane."""

        def enough() -> bool:
            lanes = self.lanes
            assert all(lanes[name].arrived >= count for name in names or LANES), lanes
            return True

        eventually(enough, timeout=PATIENCE, what=f"{count} characters")

    def wait_back(self, name: str, before: Lane) -> None:
        """Wait until the lane, ``before`` when it was cut, hears something over a new connection."""
        # The durable stream is first read as far as it goes, and then followed.
        needed = before.connections + (2 if name == "durable" else 1)
        eventually(lambda: self.lanes[name].connections >= needed, timeout=PATIENCE, what=f"{name} connects")
        arrived = self.lanes[name].arrived
        eventually(lambda: self.lanes[name].arrived > arrived, timeout=PATIENCE, what=f"{name} is back")

    def cut(self) -> int:
        """Cut the network; the number of connections that the server says it has cut."""
        with self.page.expect_response("**/api/lab/cut") as reply:
            self.press("Cut the network")
        return int(reply.value.json()["cut"])

    def wait_states(self, **states: str) -> dict[str, Lane]:
        def reached() -> dict[str, Lane]:
            lanes = self.lanes
            assert {name: lanes[name].state for name in states} == states, {
                name: (lane.state, lane.sentence, lane.arrived) for name, lane in lanes.items()
            }
            return lanes

        return eventually(reached, timeout=PATIENCE, what=f"lanes are {states}") or {}
