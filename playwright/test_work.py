"""What an answer costs the page while it is written (AC-44): counted, because time is the machine's.

How busy the main thread is at 100 and 500 words a second is in ``make bench``.
"""

from __future__ import annotations

from itertools import pairwise

from support.people import People

SERVER_ENV = {"DURABLE_CHAT_DEMO_WORD_DELAY": "0.001"}
LETTERS = 20_000
WORDS = 3_700

# Of each frame: the tasks that changed the page, the nodes they put in or took out, the nodes they made, how
# often they asked where something is, and how many letters there are by now.
COUNT = """
(() => {
  const frames = window.__frames = [];
  const none = {tasks: 0, nodes: 0, made: 0, places: 0};
  let now = {...none, letters: 0};
  const look = () => {
    frames.push(now);
    now = {...none, letters: now.letters};
    requestAnimationFrame(look);
  };
  for (const [type, names] of [
    [Element, ['scrollTop', 'scrollHeight', 'clientHeight', 'clientWidth']],
    [HTMLElement, ['offsetHeight', 'offsetTop', 'offsetWidth', 'innerText']],
  ]) for (const name of names) {
    const {get, set, ...rest} = Object.getOwnPropertyDescriptor(type.prototype, name);
    const counted = {...rest, set, get() { now.places += 1; return get.call(this) }};
    Object.defineProperty(type.prototype, name, counted);
  }
  for (const name of ['getBoundingClientRect', 'getClientRects', 'checkVisibility']) {
    const real = Element.prototype[name];
    Element.prototype[name] = function () { now.places += 1; return real.apply(this, arguments) };
  }
  for (const name of ['createElement', 'createTextNode']) {
    const real = Document.prototype[name];
    Document.prototype[name] = function () { now.made += 1; return real.apply(this, arguments) };
  }
  document.addEventListener('DOMContentLoaded', () => {
    const transcript = document.querySelector('#transcript');
    new MutationObserver(changes => {
      now.tasks += 1;
      for (const {addedNodes, removedNodes} of changes) now.nodes += addedNodes.length + removedNodes.length;
      now.letters = transcript.querySelector('.agent .message-body')?.textContent.length ?? 0;
    }).observe(transcript, {childList: true, subtree: true, characterData: true});
    look();
  });
})()
"""


def test_a_long_answer_costs_no_more_at_its_end_than_at_its_beginning(people: People) -> None:
    """AC-44: once a frame the page changes, by what is new; per frame, not per word, it asks where it is."""
    person = people.join()
    person.context.add_init_script(COUNT)
    chat = person.new_chat()
    chat.send(f"/long {WORDS}")
    chat.wait_words(30)
    chat.page.evaluate("__frames.length = 0")
    chat.page.locator("#stop").wait_for(state="hidden", timeout=25_000)
    frames: list[dict[str, int]] = chat.page.evaluate("__frames")
    writing = [(was, frame) for was, frame in pairwise(frames) if frame["letters"] > was["letters"]]
    assert writing[-1][1]["letters"] > LETTERS
    assert len(writing) > 10
    for was, frame in writing:
        new = frame["letters"] - was["letters"]
        assert frame["tasks"] == 1
        assert frame["places"] <= 16
        assert frame["nodes"] <= 4 + new / 20, frame
        assert frame["made"] <= 10 + new / 20, frame
