"""What the page says beside the conversation: who does what, how the connection is, and what was copied."""

from __future__ import annotations

import pytest

from support.chat_page import ChatPage
from support.people import People
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import eventually

SERVER_ENV = {"DURABLE_CHAT_AGENT": "tests.support.agents:slow_demo", "DURABLE_CHAT_PING_INTERVAL": "2"}

# Every text that an element has shown, in order.
LISTEN = """
() => {
  window.__said = {};
  for (const id of ['activity', 'announce-polite', 'announce-assertive', 'connection']) {
    const element = document.getElementById(id);
    const said = window.__said[id] = [];
    const listen = () => {
      const text = element.textContent.trim();
      if (text && said.at(-1) !== text) said.push(text);
    };
    new MutationObserver(listen).observe(element, {childList: true, subtree: true, characterData: true});
  }
}
"""


def listen(chat: ChatPage) -> ChatPage:
    chat.page.evaluate(LISTEN)
    return chat


def said(chat: ChatPage, where: str) -> list[str]:
    return list(chat.page.evaluate("where => window.__said[where]", where))


@pytest.mark.parametrize(
    ("command", "deeds", "level", "end"),
    [
        ("/think", ["thinking", "writing"], "polite", "’s answer is ready"),
        ("/tool", ["writing", "using current_time"], "polite", "’s answer is ready"),
        ("/approve", ["writing", "waiting for approval"], "polite", " is waiting for approval"),
        ("/fail", ["writing"], "assertive", " could not finish the answer"),
    ],
)
def test_what_the_agent_does_is_said_in_words(
    people: People, command: str, deeds: list[str], level: str, end: str
) -> None:
    """AC-66: the start and the end are announced, never the text."""
    chat = listen(people.join().new_chat())
    chat.send(command)
    eventually(lambda: said(chat, f"announce-{level}")[-1:] == [f"Demo{end}"], what="the end is announced")
    assert said(chat, "announce-polite")[0] == "Demo is answering"
    assert sum(len(said(chat, f"announce-{each}")) for each in ("polite", "assertive")) == 2
    for deed in deeds:
        assert f"Demo is {deed}…" in said(chat, "activity")
    waits = "Demo is waiting for approval…" if command == "/approve" else ""
    assert chat.page.locator("#activity").text_content() == waits


def test_a_tool_that_waits_for_consent_is_never_called_running_at_the_end(people: People) -> None:
    """Before the server's card is there, the page knows already."""
    chat = people.join().new_chat()
    chat.page.route("**/messages/*", lambda route: route.abort())
    chat.guard.allow("net::ERR_FAILED")
    chat.send("/approve")
    chat.wait_state("awaiting-approval")
    assert chat.page.locator("[data-tool-call-id] .tool-state").inner_text() == "waiting"


def test_the_state_of_the_connection_is_said_in_words(people_behind: People, proxy: FaultProxy) -> None:
    person = people_behind.join()
    person.expect_broken_network()
    chat = listen(person.new_chat())
    bar = chat.page.locator("#connection")
    assert not bar.is_visible(), "silent when all is well"
    proxy.down()
    bar.filter(has_text="Reconnecting…").wait_for()
    person.context.set_offline(True)
    bar.filter(has_text="Offline — messages will be sent when you are back").wait_for()
    chat.send("Written without a network")
    chat.page.locator("[data-delivery=sending]").wait_for()
    person.context.set_offline(False)
    proxy.up()
    chat.retry_now()
    eventually(lambda: chat.snapshot()["messages"], what="the message is accepted")
    bar.wait_for(state="hidden")
    assert any(text.startswith(("Caught up", "Connected again")) for text in said(chat, "connection"))
    asked = [message for message in chat.snapshot()["messages"] if message["role"] == "user"]
    assert len(asked) == 1


def test_copy_gives_the_source_of_a_message_and_the_text_of_a_block(people: People) -> None:
    chat = people.join(permissions=["clipboard-read", "clipboard-write"]).new_chat()
    source = "Some **bold** text\n\n```python\nprint('hello')\n```"
    chat.composer.fill(source)
    chat.page.locator("#send").click()
    row = chat.page.locator("article[data-message-id]").first
    row.hover()
    row.locator("[data-action=copy]").click()
    eventually(lambda: chat.clipboard() == source, what="the message")
    row.locator("[data-action=copy-code]").click()
    eventually(lambda: chat.clipboard() == "print('hello')\n", what="the code")


def test_without_a_clipboard_the_link_is_shown(people: People) -> None:
    """As on plain http, where browsers have none."""
    person = people.join()
    person.context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'clipboard', {value: undefined})"
    )
    chat = person.new_chat()
    chat.open_share()
    chat.page.locator("#copy-link").click()
    field = chat.page.locator("#share-url")
    field.wait_for()
    link = field.input_value()
    assert "/s/" in link
    assert field.evaluate("field => field.selectionEnd - field.selectionStart") == len(link)
    assert people.join().open(link).url == chat.url
