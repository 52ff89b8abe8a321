/** The outbox without a browser's store: real Web Locks and real BroadcastChannels between pages of one person. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { ChatSession } from "../../static/js/chat-session.js";
import { Outbox } from "../../static/js/outbox.js";
import { open } from "./support/chat-server.js";
import { eventually } from "./support/waiting.js";

/** @import {Parcel, ParcelStore} from "../../static/js/types.js" */

/** Time passes a hundred times as fast, and nobody waits for jitter. @type {import("../../static/js/types.js").Environment} */
const env = {
  now: () => Date.now(),
  random: () => 0,
  setTimeout: (callback, ms) => setTimeout(callback, ms / 100),
  clearTimeout: (timer) => clearTimeout(timer),
  online: () => true,
  events: undefined,
};

let person = "";
let people = 0;
/** @type {Map<string, Parcel>} */
let kept;
/** @type {any[]} */
let posts;
/** @type {(body: any, init: RequestInit) => Response | Promise<Response>} */
let reply;
/** @type {Outbox[]} */
let pages;

beforeEach(() => {
  person = `p-${process.pid}-${++people}`;
  kept = new Map();
  posts = [];
  pages = [];
  reply = () => new Response(null, { status: 202 });
});
afterEach(() => pages.forEach((page) => page.close()));

/** @returns {ParcelStore} */
const store = () => ({
  put: async (parcel) => kept.set(parcel.id, structuredClone(parcel)),
  remove: async (id) => kept.delete(id),
  all: async () => structuredClone([...kept.values()]),
});

/** A page of the person, and what its outbox has told. @param {any} [options] */
function page({ chatId = "c1", ...options } = {}) {
  const outbox = new Outbox({
    participantId: person,
    chatId,
    sendUrl: `http://chat.test/api/chat?id=${chatId}`,
    store: store(),
    env,
    fetchClient: async (url, init = {}) => {
      const body = JSON.parse(String(init.body));
      posts.push({ chatId: new URL(String(url)).searchParams.get("id"), id: body.messages[0].id, tools: body.tools, headers: init.headers });
      init.signal?.throwIfAborted();
      return reply(body, init);
    },
    ...options,
  });
  /** @type {[string, string, string | undefined][]} */
  const told = [];
  outbox.addEventListener("parcel", (event) => {
    const { id, state, error, own } = /** @type {CustomEvent<Parcel>} */ (event).detail;
    told.push([id, own ? "own" : state, error]);
  });
  pages.push(outbox);
  return Object.assign(outbox, { told, state: (/** @type {string} */ id) => told.findLast(([each]) => each === id)?.[1] });
}

/** @param {string} id */
const parcel = (id) => ({
  id,
  runId: `r-${id}`,
  message: { id, role: "user", parts: [{ type: "text", content: id }] },
  body: { messages: [{ id, role: "user", parts: [] }], runId: `r-${id}`, tools: [{ name: "clock" }] },
});
const ids = () => posts.map(({ id }) => id);

test("what several pages keep leaves once, in its order, and everybody is told", async () => {
  const [one, two] = [page(), page()];
  for (const id of ["a", "b", "c"]) await one.keep(parcel(id));
  await two.keep(parcel("d"));
  await eventually(() => ["a", "b", "c", "d"].every((id) => one.state(id) === "sent" && two.state(id) === "sent"));
  assert.deepEqual(ids(), ["a", "b", "c", "d"]);
  assert.equal(kept.size, 0);
  assert.equal(posts[0].headers.get("X-Participant"), person);
});

test("nobody sends before it is kept, and it is kept until it is answered", async () => {
  const here = page();
  /** @type {boolean[]} */
  const there = [];
  reply = ({ messages: [{ id }] }) => {
    there.push(kept.has(id));
    return new Response(null, { status: 202 });
  };
  await here.keep(parcel("a"));
  await eventually(() => here.state("a") === "sent");
  assert.deepEqual(there, [true]);
});

test("without a network it waits, and goes when it is told that there is one", async () => {
  const here = page({ env: { ...env, random: () => 1000 } });
  reply = () => Promise.reject(new TypeError("network error"));
  for (const id of ["a", "b"]) await here.keep(parcel(id));
  await eventually(() => posts.length === 1);
  assert.deepEqual(here.told.map(([, state]) => state), ["sending", "sending"]);
  reply = () => new Response(null, { status: 202 });
  await page().flush(); // on whichever page
  await eventually(() => here.state("b") === "sent");
  assert.deepEqual(ids(), ["a", "a", "b"]);
});

test("what is refused is kept with the reason, holds nothing up, and goes again as the same message", async () => {
  const here = page();
  reply = ({ messages: [{ id }] }) => (id === "a" ? Response.json({ error: "Not this." }, { status: 403 }) : new Response(null, { status: 202 }));
  for (const id of ["a", "b"]) await here.keep(parcel(id));
  await eventually(() => here.state("b") === "sent");
  assert.deepEqual(here.told.find(([id, state]) => id === "a" && state === "failed"), ["a", "failed", "Not this."]);
  assert.equal(kept.get("a")?.state, "failed");
  const later = page();
  await later.start();
  assert.deepEqual(later.told, [["a", "failed", "Not this."]]);
  reply = () => new Response(null, { status: 202 });
  await later.keep(parcel("a"));
  await eventually(() => here.state("a") === "sent");
  assert.equal(kept.size, 0);
});

test("a store that takes no more hides no answer, and nothing is sent in a circle for it", async () => {
  let full = false;
  const whole = store();
  const put = async (/** @type {Parcel} */ each) => (full ? Promise.reject(new DOMException("full", "QuotaExceededError")) : whole.put(each));
  const here = page({ store: { ...whole, put } });
  reply = ({ messages: [{ id }] }) => {
    full = true;
    return id === "a" ? Response.json({ error: "Not this." }, { status: 403 }) : new Response(null, { status: 202 });
  };
  await here.keep(parcel("a"));
  await eventually(() => here.state("a") === "failed");
  assert.deepEqual(here.told.at(-1), ["a", "failed", "Not this."]);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(ids(), ["a"]);
  await assert.rejects(here.keep(parcel("b")), { name: "QuotaExceededError" });
});

test("five failures while all else works are enough", async () => {
  const here = page({ connected: () => true });
  reply = () => new Response(null, { status: 500 });
  await here.keep(parcel("a"));
  await eventually(() => here.state("a") === "failed");
  assert.equal(posts.length, 5);
});

test("what the stream has, or its writer has taken back, is not sent again by any page", async () => {
  for (const how of /** @type {const} */ (["arrived", "drop"])) {
    posts = [];
    const [here, other] = [page(), page()];
    reply = () => Promise.reject(new TypeError("network error"));
    await here.keep(parcel(how));
    await eventually(() => posts.length > 1);
    if (how === "arrived") await here.arrived(how);
    else other.drop(how);
    await eventually(() => kept.size === 0);
    reply = () => assert.fail("sent again");
    await here.flush();
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (how === "drop") assert.equal(here.state(how), "dropped");
  }
});

test("a page that was left hears nothing, and once it is back what has become of all", async () => {
  const events = new EventTarget();
  const [here, there] = [page({ env: { ...env, events } }), page()];
  events.dispatchEvent(new Event("pagehide"));
  reply = () => Response.json({ error: "Not this." }, { status: 403 });
  await there.keep(parcel("a"));
  await eventually(() => there.state("a") === "failed");
  assert.deepEqual(here.told, []);
  events.dispatchEvent(new Event("pageshow"));
  events.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  await eventually(() => here.state("a") === "failed");
  reply = () => new Response(null, { status: 202 });
  await there.keep(parcel("a"));
  await eventually(() => here.state("a") === "sent");
});

test("a chat in trouble holds up no other chat", async () => {
  const [one, two] = [page({ chatId: "busy" }), page({ chatId: "free" })];
  reply = ({ messages: [{ id }] }) => new Response(null, id === "a" ? { status: 503, headers: { "retry-after": "600" } } : { status: 202 });
  await one.keep(parcel("a"));
  await eventually(() => posts.length === 1);
  await two.keep(parcel("b"));
  await eventually(() => two.state("b") === "sent");
  assert.equal(kept.size, 1);
  one.drop("a");
});

test("a page that is frozen loses its turn, and one that only waits keeps it", async () => {
  /** @type {(reply: Response) => void} */
  let thaw = () => {};
  class Deaf extends BroadcastChannel {
    /** @override @param {any} message */
    postMessage(message) {
      if (!message.here) super.postMessage(message);
    }
  }
  const frozen = page({ Channel: Deaf, env: { ...env, setTimeout: () => 0 } });
  const first = reply;
  reply = () => new Promise((resolve) => (thaw = resolve));
  await frozen.keep(parcel("a"));
  await eventually(() => posts.length === 1);
  reply = first;
  const other = page();
  await other.start();
  await eventually(() => other.state("a") === "sent");
  assert.deepEqual(ids(), ["a", "a"]);
  thaw(new Response(null, { status: 202 }));

  reply = () => new Response(null, { status: 503, headers: { "retry-after": "600" } });
  await other.keep(parcel("b"));
  await eventually(() => posts.length === 3);
  const third = page();
  await third.start();
  await new Promise((resolve) => setTimeout(resolve, 300)); // three times its patience
  assert.equal(posts.length, 3);
  other.drop("b");
});

test("without Web Locks ten pages may post it, and it is one message", async () => {
  const said = new Set();
  reply = ({ messages: [{ id }] }) => {
    said.add(id);
    return new Response(null, { status: 202 });
  };
  kept.set("a", { ...parcel("a"), chatId: "c1", url: "http://chat.test/api/chat?id=c1", at: 1, state: "sending" });
  const ten = Array.from({ length: 10 }, () => page({ locks: undefined }));
  await Promise.all(ten.map((each) => each.start()));
  await eventually(() => ten.every((each) => each.state("a") === "sent"));
  assert.deepEqual([...said], ["a"]);
  assert.equal(new Set(ids()).size, 1);
  for (const id of ["b", "c", "d"]) await ten[0].keep(parcel(id));
  await eventually(() => ten[9].state("d") === "sent");
  assert.deepEqual(ids().slice(-3), ["b", "c", "d"]);
});

test("whoever sends for a page that is gone has its tools, unless it is a page without any", async () => {
  const orphan = { ...parcel("a"), chatId: "c1", url: "http://chat.test/api/chat?id=c1", at: 1, state: /** @type {const} */ ("sending") };
  kept.set("a", orphan);
  const chat = page();
  await chat.start();
  await eventually(() => chat.state("a") === "sent");
  assert.deepEqual(chat.told.map(([, state]) => state), ["sending", "own", "sent"]);
  kept.set("a", orphan);
  await page({ chatId: "" }).start();
  await eventually(() => posts.length === 2);
  assert.deepEqual(posts.map(({ tools }) => tools), [[{ name: "clock" }], undefined]);

  await chat.keep(parcel("b"));
  await eventually(() => chat.state("b") === "sent");
  assert.deepEqual(posts[2].tools, [{ name: "clock" }]);
  assert.ok(!chat.told.some(([id, state]) => id === "b" && state === "own"));
});

test("a session shows what waits on every page, and sends by itself where nothing can be kept", async () => {
  const here = page();
  const two = [1, 2].map((number) => open({ more: { outbox: Promise.resolve(number === 1 ? here : page()), ids: () => `m${number}-${Math.random()}` } }, ChatSession));
  reply = () => Promise.reject(new TypeError("network error"));
  for (const chat of two) await chat.live();
  two[0].client.say("Hello");
  await eventually(() => two.every(({ texts, deliveries }) => `${texts} ${deliveries}` === "Hello sending"));
  reply = () => Response.json({ error: "No." }, { status: 403 });
  await here.flush();
  await eventually(() => two.every(({ deliveries }) => `${deliveries}` === "failed"));
  assert.deepEqual(two.map(({ events }) => events.filter(({ type }) => type === "error").map(({ detail }) => detail.error.message)), [["No."], ["No."]]);
  assert.equal(two[1].client.discard(two[1].client.messages[0].id), "Hello");
  await eventually(() => two.every(({ texts }) => !texts.length));
  for (const { client } of two) client.close();

  const refusing = { put: () => Promise.reject(new Error("private")), remove: () => Promise.reject(new Error("private")), all: () => Promise.reject(new Error("private")) };
  for (const outbox of [async () => page({ store: refusing }), () => Promise.reject(new Error("not loaded"))]) {
    const chat = open({ more: { outbox: outbox() } }, ChatSession);
    await chat.live();
    chat.client.say("All the same");
    await chat.world.until(() => chat.deliveries.length === 1 && chat.deliveries[0] === undefined);
    assert.deepEqual(chat.texts, ["All the same"]);
    chat.client.close();
  }
});
