/** What a reader sees of a conversation that branches, and what becomes of what they write meanwhile. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { PageSession } from "../../../static/js/page/page-session.js";

/** @typedef {import("../../../static/js/types.js").Batch} Batch */

/** @param {string} id @param {Record<string, any>} metadata */
const start = (id, metadata) => ({ type: "TEXT_MESSAGE_START", messageId: id, role: "user", name: "Ana", metadata });

/** @param {string} run @param {string} asked */
const answered = (run, asked) => [
  { type: "RUN_STARTED", runId: run, metadata: { agentId: "demo", agentName: "Demo", triggerId: asked } },
  { type: "TEXT_MESSAGE_START", messageId: `${run}~1`, role: "assistant", metadata: { runId: run, agentId: "demo", parentId: asked } },
  { type: "RUN_FINISHED", runId: run },
];

/** A session on a stream that the test writes, and what it asked of the server. @param {object} [options] */
function open(options = {}) {
  /** @type {((batch: Batch) => void) | undefined} */
  let deliver;
  /** @type {any[]} */
  const asked = [];
  /** @type {any[]} */
  const sent = [];
  const connection = /** @type {any} */ ({
    offset: "0",
    onStatus: () => () => {},
    retryNow() {},
    send: async (/** @type {any} */ [message]) => void sent.push(message),
    async *subscribeBatches() {
      for (;;) yield await new Promise((resolve) => (deliver = resolve));
    },
  });
  let made = 0;
  const session = new PageSession({
    connection,
    chatId: "c",
    me: { id: "ana", name: "Ana" },
    ids: () => `id-${++made}`,
    outline: [],
    choices: {},
    urls: { stop: "http://x/stop", branch: "http://x/branch", chat: "http://x/chat", continue: "http://x/continue" },
    fetchClient: async (/** @type {any} */ url, /** @type {any} */ { method, body }) => {
      asked.push([method, new URL(url).pathname, JSON.parse(body)]);
      return Response.json({});
    },
    ...options,
  });
  const outdated = { count: 0 };
  session.addEventListener("outdated", () => outdated.count++);
  session.start();
  const tick = () => new Promise((resolve) => setTimeout(resolve, 0));
  return {
    session,
    asked,
    sent,
    outdated,
    /** @param {...any} events */
    async tell(...events) {
      await tick();
      deliver?.({ items: events.flat(), offset: "1", upToDate: true });
      await tick();
      await tick();
    },
    get ids() {
      return session.view.messages.map(({ id }) => id);
    },
  };
}

const TALK = [start("u1", {}), ...answered("r1", "u1"), start("u2", { parentId: "r1~1" }), ...answered("r2", "u2")];

test("what is written follows what is on the screen", async () => {
  const chat = open();
  await chat.tell(TALK);
  chat.session.write("Next");
  chat.session.write("And next");
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(chat.sent.map(({ metadata }) => metadata), [
    { parentId: "r2~1", editOf: undefined },
    { parentId: "id-1", editOf: undefined },
  ]);
  chat.session.close();
});

test("an edit takes the place of its message at once, and again once it is stored", async () => {
  const chat = open();
  await chat.tell(TALK);
  chat.session.write("Two, again", "u2");
  assert.deepEqual(chat.ids, ["u1", "r1~1", "id-1"]);
  await chat.tell(start("id-1", { parentId: "r1~1", editOf: "u2", participantId: "ana" }), answered("r3", "id-1"));
  assert.deepEqual(chat.ids, ["u1", "r1~1", "id-1", "r3~1"]);
  assert.deepEqual(chat.sent[0].metadata, { parentId: "r1~1", editOf: "u2" });
  chat.session.close();
});

test("a choice is this reader's, is stored, and ends when something is pinned", async () => {
  const chat = open();
  await chat.tell(TALK, start("u1b", { editOf: "u1" }), answered("r4", "u1b"));
  assert.deepEqual(chat.ids, ["u1b", "r4~1"]);
  assert.equal(await chat.session.choose("u1", "u1"), true);
  assert.deepEqual(chat.ids, ["u1", "r1~1", "u2", "r2~1"]);
  assert.deepEqual(chat.asked, [["PUT", "/branch", { group: "u1", version: "u1", pin: false }]]);
  await chat.tell({ type: "CUSTOM", name: "branch.pinned", value: { group: "u1", version: "u1b" } });
  assert.deepEqual(chat.ids, ["u1b", "r4~1"]);
  await chat.session.choose("u1", "u1", true);
  assert.deepEqual(chat.ids, ["u1b", "r4~1"], "a pin comes by the stream");
  chat.session.close();
});

test("who waits for an answer stays with it when somebody edits what it follows", async () => {
  for (const stored of [false, true]) {
    const chat = open();
    await chat.tell(TALK);
    chat.session.write("Mine");
    const [begun] = answered("r3", "id-1");
    if (stored) await chat.tell(start("id-1", { parentId: "r2~1", participantId: "ana" }), begun);
    await chat.tell(start("u1b", { editOf: "u1", participantId: "ben" }));
    assert.deepEqual(chat.ids, ["u1", "r1~1", "u2", "r2~1", "id-1"]);
    assert.deepEqual(chat.asked, [["PUT", "/branch", { group: "u1", version: "u1", pin: false }]]);
    chat.session.close();
  }
});

test("who stays with what only the server can show asks it to", async () => {
  const outline = [{ id: "u0", role: "user", parts: [], metadata: {} }];
  const chat = open({ outline });
  await chat.tell(start("u1", { parentId: "u0" }), answered("r1", "u1"));
  chat.session.write("Mine");
  await chat.tell(start("u0b", { editOf: "u0", participantId: "ben" }));
  assert.deepEqual(chat.asked, [["PUT", "/branch", { group: "u0", version: "u0", pin: false }]]);
  assert.equal(chat.outdated.count, 1);
  chat.session.close();
});

test("who waits for nothing follows", async () => {
  const chat = open();
  await chat.tell(TALK, start("u3", { parentId: "r2~1", participantId: "ana" }), answered("r3", "u3"));
  await chat.tell(start("u1b", { editOf: "u1", participantId: "ben" }));
  assert.deepEqual([chat.ids, chat.asked], [["u1b"], []]);
  chat.session.close();
});

test("another answer is asked of the agent that gave the first, and seen by who asked", async () => {
  const chat = open({ choices: { "u2/demo": { version: "r2" } } });
  await chat.tell(TALK);
  assert.equal(chat.session.regenerate("r2~1"), "id-1");
  await chat.tell(answered("id-1", "u2"));
  assert.deepEqual(chat.ids, ["u1", "r1~1", "u2", "id-1~1"]);
  assert.equal(chat.sent[0].id, "u2");
  chat.session.close();
});

test("what branches above the page makes it outdated; what stands above it does not", async () => {
  const outline = [{ id: "u0", role: "user", parts: [], metadata: {} }];
  const chat = open({ outline });
  await chat.tell(start("u1", { parentId: "u0" }), answered("r1", "u1"));
  assert.deepEqual([chat.ids, chat.outdated.count], [["u1", "r1~1"], 0]);
  await chat.tell(start("u0b", { editOf: "u0" }));
  assert.deepEqual([chat.ids, chat.outdated.count], [["u0b"], 0]);
  assert.equal(await chat.session.choose("u0", "u0"), false, "only the server can show that version");
  await chat.tell(start("far", { editOf: "unheard-of" }));
  assert.equal(chat.outdated.count, 1);
  chat.session.close();
});
