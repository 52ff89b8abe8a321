/**
 * The tabs of one browser against a real server: real locks, real channels, real streams. Run by test_tab_hub.py,
 * which starts the server and says where it is.
 */

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { materialize } from "../../../static/js/chat-reducer.js";
import { browserEnvironment } from "../../../static/js/follow.js";
import { TabHub } from "../../../static/js/page/tab-hub.js";
import { eventually, watchTimers } from "../support/waiting.js";
import { createWorld, seeded } from "../support/world.js";

const { URL: base = "", CUT_URL: behind = "", COOKIE: cookie = "", TOKEN: token = "", ME: me = "" } = process.env;
const ASK = 60;

/** @typedef {{id: string, live: string}} Asked */
/** Requests for live replies that are under way. @type {Set<Asked>} */
const open = new Set();
/** All that there were. @type {Asked[]} */
let asked = [];
/** @type {Tab[]} */
let tabs = [];
let names = 0;
let sent = 0;

/** @param {string} path @param {RequestInit} [init] @param {Record<string, string>} [headers] */
const ask = (path, init, headers = { cookie }) => fetch(base + path, { ...init, headers: { "content-type": "application/json", ...headers } });
const newChat = async () => (await (await ask("/api/chats", { method: "POST", body: "{}" })).json()).id;
/** @param {string} chat @param {string} [offset] @returns {Promise<any[]>} */
const log = async (chat, offset = "-1") => (await ask(`/api/chat-stream?id=${chat}&offset=${encodeURIComponent(offset)}`)).json();

/** Says something; the echo answers. @param {string} chat */
async function say(chat) {
  const message = { id: `m-${process.pid}-${++sent}`, role: "user", parts: [{ type: "text", content: `words of ${sent}` }] };
  const reply = await ask(`/api/chat?id=${chat}&mode=await`, { method: "POST", body: JSON.stringify({ messages: [message] }) });
  assert.equal(reply.status, 200);
}

/** @param {string} path @param {string} method @param {object} [body] */
async function write(path, method, body) {
  const reply = await ask(`/v1/stream/${path}`, { method, body: body && JSON.stringify(body) }, { authorization: `Bearer ${token}` });
  assert.ok(reply.ok, `${method} ${path}: ${reply.status}`);
}

class Tab {
  /** What each chat has told, from its offset. @type {Record<string, {from: string, items: any[], states: string[], over: boolean}>} */
  chats = {};
  /** @type {any[]} */
  mine = [];
  /** As a browser does it: nothing is heard, said or read, and locks are kept. */
  frozen = /** @type {boolean} */ (false);
  /** Of a connection made in another network nothing is heard any more, not even its end. */
  network = 1;
  /** Of what others say, so much is lost. @type {(message: any) => boolean} */
  loses = () => false;
  leaving = new AbortController();
  /** @type {Promise<void>[]} */
  #reading = [];

  /** @param {string} name @param {any} [options] */
  constructor(name, options) {
    const tab = this;
    class Channel extends BroadcastChannel {
      /** @override @param {any} message */
      postMessage(message) {
        if (!tab.frozen) super.postMessage(message);
      }
      /** @override */
      set onmessage(/** @type {any} */ listener) {
        super.onmessage = (/** @type {any} */ event) => tab.frozen || tab.loses(event.data) || listener(event);
      }
    }
    this.hub = new TabHub({ name, url: `${base}/api/live`, ping: 1000, ask: ASK, Channel: /** @type {any} */ (Channel), fetchClient: this.#fetch, ...options });
    this.hub.addEventListener("mine", (event) => this.mine.push(/** @type {CustomEvent} */ (event).detail));
    tabs.push(this);
  }

  /** @type {typeof fetch} */
  #fetch = async (input, init) => {
    while (this.frozen) await new Promise((resolve) => setTimeout(resolve, 5));
    const { searchParams } = new URL(String(input));
    const request = { id: searchParams.get("chats") ?? "", live: searchParams.get("live") ?? "" };
    asked.push(request);
    if (request.live !== "no") open.add(request);
    const close = () => open.delete(request);
    init?.signal?.addEventListener("abort", close);
    const response = await fetch(input, { ...init, headers: { cookie } });
    const { network } = this;
    const isHeld = () => this.frozen || (this.network !== network && !init?.signal?.aborted);
    const held = new TransformStream({
      async transform(bytes, controller) {
        while (isHeld()) await new Promise((resolve) => setTimeout(resolve, 5));
        controller.enqueue(bytes);
      },
      flush: () => void close(),
    });
    return new Response(response.body?.pipeThrough(held), response);
  };

  /** @param {string} chat @param {string} [from] */
  follow(chat, from = "-1") {
    const connection = this.hub.connection(chat, { sendUrl: `${base}/api/chat?id=${chat}`, initialOffset: from });
    const told = (this.chats[chat] = { from, items: /** @type {any[]} */ ([]), states: /** @type {string[]} */ ([]), over: /** @type {boolean} */ (false) });
    connection.onStatus(({ state }) => told.states.push(state));
    const read = async () => {
      for await (const { items } of connection.subscribeBatches(this.leaving.signal)) told.items.push(...items);
      told.over = true;
    };
    this.#reading.push(read());
    return this;
  }

  /** @param {string} chat */
  state(chat) {
    return this.chats[chat].states.at(-1);
  }

  async close() {
    this.frozen = false;
    this.leaving.abort();
    this.hub.close();
    tabs = tabs.filter((each) => each !== this);
    await Promise.all(this.#reading);
  }
}

const name = () => `live ${process.pid} ${++names}`;
const live = () => eventually(() => tabs.every((tab) => Object.keys(tab.chats).every((chat) => tab.state(chat) === "live")), "all are live");

/** Everybody has what the log has, in order and once. */
async function converge() {
  for (const tab of tabs) {
    for (const [chat, { from, items }] of Object.entries(tab.chats)) {
      const all = await log(chat, from);
      await eventually(() => items.length >= all.length, `${items.length} of ${all.length}`);
      assert.deepEqual(items, all);
    }
  }
}

afterEach(async () => {
  await Promise.all(tabs.map((tab) => tab.close()));
  await eventually(() => open.size === 0, "every connection is let go");
  asked = [];
});

test("many tabs on the same and on different chats: one connection, and everybody hears what is theirs", async () => {
  const chats = await Promise.all([1, 2, 3].map(newChat));
  const shared = name();
  for (let n = 0; n < 9; n++) new Tab(shared).follow(chats[n % 3]);
  await live();
  assert.equal(open.size, 1);
  await Promise.all(chats.map(say));
  await converge();
  assert.equal(open.size, 1);
  const reopened = asked.length;
  assert.ok(reopened <= 4, `${reopened} requests: what comes together is asked for together`);
  // Leaving, and coming back to a chat that is still followed, asks for nothing.
  await tabs[8].close();
  new Tab(shared).follow(chats[2], "-1");
  await live();
  await converge();
  assert.deepEqual([open.size, asked.filter(({ live }) => live !== "no").length], [1, asked.filter(({ live }) => live === "sse").length]);
});

test("the leader goes: the next goes on without a gap, to the last", async () => {
  const chats = [await newChat(), await newChat()];
  const shared = name();
  for (let n = 0; n < 5; n++) new Tab(shared).follow(chats[n % 2]);
  await live();
  while (tabs.length > 1) {
    const saying = Promise.all(chats.map(say));
    await tabs[0].close();
    await saying;
    await converge();
    assert.equal(open.size, 1);
  }
});

test("a frozen leader is replaced within two questions; when it wakes it follows, and has everything", async () => {
  const chat = await newChat();
  const shared = name();
  const first = new Tab(shared).follow(chat);
  await live();
  const second = new Tab(shared).follow(chat);
  await live();
  first.frozen = true;
  const at = Date.now();
  await say(chat);
  await eventually(() => second.chats[chat].items.length > 4, "the second has taken over");
  assert.ok(Date.now() - at < 50 * ASK); // three questions, were the machine idle
  first.frozen = false;
  await say(chat);
  await converge();
  await eventually(() => open.size === 1, "the first has let go");
});

test("AC-25: the end of an answer that is lost between tabs is found again, and nobody is shown writing", async () => {
  const chat = await newChat();
  const shared = name();
  new Tab(shared).follow(chat);
  await live();
  const other = new Tab(shared).follow(chat);
  await live();
  let lost = 0;
  other.loses = ({ type, batch }) => {
    const loses = type === "batch" && batch.items.some((/** @type {any} */ item) => item.type === "RUN_FINISHED");
    lost += Number(loses);
    return loses;
  };
  await say(chat);
  await converge();
  assert.ok(lost > 0);
  assert.deepEqual(materialize(other.chats[chat].items).activeRuns, []);
});

test("a chat that is gone ends for those who follow it, and for nobody else", async () => {
  const [kept, deleted] = [await newChat(), await newChat()];
  const shared = name();
  for (const chat of [kept, deleted, kept, deleted]) new Tab(shared).follow(chat);
  await live();
  await say(deleted);
  await write(`chats/${deleted}`, "DELETE");
  await eventually(() => tabs.filter((tab) => tab.chats[deleted]).every((tab) => tab.chats[deleted].over));
  const enders = tabs.filter((tab) => tab.chats[deleted]);
  for (const tab of enders) assert.equal(tab.state(deleted), "gone");
  await Promise.all(enders.map((tab) => tab.close()));
  const requests = asked.length;
  await say(kept);
  await converge();
  assert.ok(asked.length <= requests + 1, "a tab that had not heard may have asked again");
});

test("what is the person's own is told in every tab, once, also what happens while nobody listens", async () => {
  const chat = await newChat();
  const shared = name();
  new Tab(shared).follow(chat);
  await live();
  new Tab(shared).follow(chat);
  await live();
  /** What was told by us: of real chats the server tells, when it comes to it. @param {Tab} tab */
  const ours = ({ mine }) => mine.map(({ chatId }) => chatId).filter((id) => ["one", "two"].includes(id));
  await write(`people/${me}`, "POST", [{ kind: "chats", chatId: "one" }]);
  await eventually(() => tabs.every((tab) => ours(tab).length === 1));
  await tabs[0].close();
  await write(`people/${me}`, "POST", [{ kind: "chats", chatId: "two" }]);
  await eventually(() => ours(tabs[0]).length === 2);
  assert.deepEqual(ours(tabs[0]), ["one", "two"]);
});

test("F33: after an hour of sleep every tab goes on, by one connection, where it was", async () => {
  let slept = 0;
  const env = { ...browserEnvironment(), now: () => Date.now() + slept };
  const chats = [await newChat(), await newChat()];
  const shared = name();
  const quiet = { env, ask: 3_600_000 }; // nobody says again what they want
  const leader = new Tab(shared, quiet).follow(chats[0]);
  await live();
  const other = new Tab(shared, quiet).follow(chats[1]);
  await live();
  /** @param {number} hours */
  const sleep = (hours) => {
    asked = [];
    slept += 3_600_000 * hours;
    leader.network += 1;
  };
  sleep(1);
  await eventually(() => asked.length > 0, "what was open before is given up");
  for (const chat of chats) assert.ok(asked[0].id.includes(chat), `${chat} is asked for at once`);
  await Promise.all(chats.map(say));
  await converge();
  await other.close();
  // Alone it has nobody who asks whether it is there.
  sleep(2);
  await eventually(() => asked.length > 0);
  await say(chats[0]);
  await converge();
  assert.equal(leader.state(chats[0]), "live");
});

test("without Web Locks a tab has its own connection while it is in view", async () => {
  const world = createWorld();
  const env = { ...world.env, setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, now: Date.now };
  const page = Object.assign(new EventTarget(), { hidden: false, baseURI: base });
  Object.assign(globalThis, { document: page });
  /** @param {boolean} hidden */
  const turn = (hidden) => {
    page.hidden = hidden;
    world.fire("visibilitychange");
  };
  try {
    const chat = await newChat();
    const tab = new Tab(name(), { locks: null, env }).follow(chat);
    await live();
    assert.equal(open.size, 1);
    turn(true);
    await eventually(() => open.size === 0, "hidden tabs let go");
    await say(chat);
    turn(false);
    await converge();
    world.fire("pagehide");
    await eventually(() => open.size === 0);
    await say(chat);
    world.fire("pageshow", { persisted: true });
    await converge();
    await eventually(() => tab.state(chat) === "live");
  } finally {
    Reflect.deleteProperty(globalThis, "document");
  }
});

test("a tab that is closed leaves no lock, no timer and no request", async () => {
  const timers = watchTimers();
  const chat = await newChat();
  const shared = name();
  for (let n = 0; n < 3; n++) new Tab(shared).follow(chat);
  await live();
  await Promise.all(tabs.map((tab) => tab.close()));
  await eventually(() => open.size === 0 && timers.pending === 0, "nothing is left");
  await eventually(async () => {
    const { held = [], pending = [] } = await navigator.locks.query();
    return ![...held, ...pending].some((lock) => lock.name === shared);
  });
  timers.restore();
});

test("any coming, going, freezing and losing: everybody has a whole stretch of each log", async (context) => {
  const seed = Number(process.env.SEED);
  context.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  const chats = await Promise.all([1, 2, 3].map(newChat));
  const shared = name();
  /** @template T @param {T[]} list @returns {T} */
  const pick = (list) => list[Math.floor(random() * list.length)];
  const cut = { url: `${behind}/api/live` };
  for (let step = 0; step < Number(process.env.STEPS); step++) {
    const what = random();
    if (tabs.length === 0 || (what < 0.25 && tabs.length < 8)) {
      const tab = new Tab(shared, cut).follow(pick(chats));
      const other = pick(chats);
      if (random() < 0.3 && !tab.chats[other]) tab.follow(other);
    } else if (what < 0.4) await pick(tabs).close();
    else if (what < 0.5) {
      const tab = pick(tabs);
      tab.frozen = !tab.frozen;
    } else if (what < 0.6) {
      const tab = pick(tabs);
      tab.loses = () => random() < 0.3;
      setTimeout(() => (tab.loses = () => false), 3 * ASK);
    } else await say(pick(chats));
    if (random() < 0.3) await new Promise((resolve) => setTimeout(resolve, random() * 3 * ASK));
  }
  for (const tab of tabs) tab.frozen = false;
  await converge();
  await eventually(() => open.size === Math.min(tabs.length, 1), "one connection");
});
